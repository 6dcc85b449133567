//! CPU per request of Steadfast against a bare Pingora proxy, in interleaved rounds: `make bench-floor`.
//!
//! Both proxies have one thread and stand before the same backend; clients come back with their cookies over
//! kept connections. Processor time is the system's own account of the proxy's process.

#[expect(dead_code, reason = "serves the other benchmark, too")]
mod bench_support;

use std::net::TcpStream;
use std::thread;

use bench_support::{Failure, Proxy, backend, exchange, request, summary};

const ROUNDS: usize = 61;
const CONNECTIONS: usize = 32;
const REQUESTS: usize = 250;

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

/// The request of a client that has both cookies.
fn returning_client(proxy: &Proxy) -> Result<String, Failure> {
    let mut buffer = Vec::new();
    exchange(&mut TcpStream::connect(proxy.address)?, request("").as_bytes(), &mut buffer)?;
    let text = String::from_utf8_lossy(&buffer).into_owned();
    let lines = text
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    let cookies: Vec<_> = lines.filter_map(|(_, value)| value.split(';').next()).collect();
    Ok(request(&cookies.join("; ")))
}

fn connect(proxy: &Proxy) -> Result<Vec<TcpStream>, Failure> {
    let open = |_| {
        let connection = TcpStream::connect(proxy.address)?;
        connection.set_nodelay(true)?;
        Ok(connection)
    };
    (0..CONNECTIONS).map(open).collect()
}

fn measure(proxy: &Proxy, request: &str, connections: &mut [TcpStream]) -> Result<f64, Failure> {
    let before = proxy.processor_ns()?;
    thread::scope(|scope| {
        let clients: Vec<_> = connections
            .iter_mut()
            .map(|connection| scope.spawn(|| client(connection, request).map_err(|error| error.to_string())))
            .collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().unwrap_or_else(|_| Err("a client panicked".to_owned())))
    })?;
    let spent = proxy.processor_ns()? - before;
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    Ok(spent as f64 / 1_000.0 / (CONNECTIONS * REQUESTS) as f64)
}

fn client(connection: &mut TcpStream, request: &str) -> Result<(), Failure> {
    let mut buffer = Vec::with_capacity(4096);
    (0..REQUESTS).try_for_each(|_| exchange(connection, request.as_bytes(), &mut buffer))
}
