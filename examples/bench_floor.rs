//! CPU per request of Steadfast against a bare Pingora proxy, in interleaved rounds: `make bench-floor`.
//!
//! Both proxies have one thread and stand before the same backend; clients come back with their cookies over
//! kept connections. Processor time is the system's own account of the proxy's process.

#[expect(dead_code, reason = "serves the other benchmarks, too")]
mod bench_support;

use std::net::TcpStream;

use bench_support::{
    CONNECTIONS, Failure, Proxy, REQUESTS, backend, connect, measure, returning_client, summary,
};

const ROUNDS: usize = 61;

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() -> Result<(), Failure> {
    let backend = backend()?;
    let proxies = [Proxy::steadfast(backend)?, Proxy::bare(backend)?];
    let requests: Vec<String> = proxies.iter().map(returning_client).collect::<Result<_, _>>()?;
    let mut connections: Vec<Vec<TcpStream>> = proxies.iter().map(connect).collect::<Result<_, _>>()?;
    let mut figures = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        let sides = proxies.iter().zip(&requests).zip(&mut connections).zip(&mut figures);
        for (((proxy, request), connections), figures) in sides {
            let figure = measure(proxy, request, connections)?;
            if round > 0 {
                figures.push(figure);
            }
        }
    }
    let [ours, floor] = &figures;
    let mut ratios: Vec<f64> = ours.iter().zip(floor).map(|(ours, floor)| ours / floor).collect();
    println!(
        "{ROUNDS} interleaved rounds of {} requests over {CONNECTIONS} kept connections, 1 thread each",
        CONNECTIONS * REQUESTS
    );
    println!("CPU per request        median      min      max");
    for (proxy, figures) in proxies.iter().zip(&figures) {
        let (median, min, max) = summary(&mut figures.clone());
        println!("{:<18} {median:>7.2} µs {min:>5.2} µs {max:>5.2} µs", proxy.name);
    }
    let (median, min, max) = summary(&mut ratios);
    println!("{:<18} {median:>7.3}    {min:>5.3}    {max:>5.3}      (goal: at most 1.05)", "ratio");
    Ok(())
}
