//! What it costs to be seen: CPU per request with access log, admin API and metrics against without, in interleaved rounds of
//! one run: `make bench-seeing`.
//!
//! Requests are counted in any case; what that costs is measured beside it, in this process.

#[expect(dead_code, reason = "serves the other benchmarks, too")]
mod bench_support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use bench_support::{
    CONNECTIONS, Failure, Proxy, REQUESTS, backend, connect, free_address, measure, returning_client, summary,
};
use steadfast::clock::Stamp;
use steadfast::names::{BackendId, BackendIndex, Reason};
use steadfast::telemetry::{CodeClass, Measure, PoolMeter, Times};

const ROUNDS: usize = 61;

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() -> Result<(), Failure> {
    let backend = backend()?;
    let admin = [free_address()?, free_address()?];
    let seen = |admin: SocketAddr| {
        format!(
            "admin: {{ listen: \"{admin}\" }}\naccess_log: {{ file: {{ path: access.log, rotate: {{ size: 64MiB, keep: 1 }} }} }}\n"
        )
    };
    let traced = format!("{}telemetry: {{ otlp: {{ url: \"http://{}\" }} }}\n", seen(admin[1]), collector()?);
    let proxies = [
        Proxy::steadfast_with("nothing", backend, "")?,
        Proxy::steadfast_with("log, metrics", backend, &seen(admin[0]))?,
        Proxy::steadfast_with("and all traces", backend, &traced)?,
    ];
    let requests: Vec<String> = proxies.iter().map(returning_client).collect::<Result<_, _>>()?;
    let mut connections: Vec<Vec<TcpStream>> = proxies.iter().map(connect).collect::<Result<_, _>>()?;
    let mut figures = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        let sides = proxies.iter().zip(&requests).zip(&mut connections).zip(&mut figures);
        for (((proxy, request), connections), figures) in sides {
            let figure = measure(proxy, request, connections)?;
            if round > 0 {
                figures.push(figure);
            }
        }
    }
    println!(
        "{ROUNDS} interleaved rounds of {} requests over {CONNECTIONS} kept connections, 1 thread each",
        CONNECTIONS * REQUESTS
    );
    println!("CPU per request        median      min      max   ratio to nothing: median, quartiles");
    let [nothing, ..] = &figures;
    for (proxy, figures) in proxies.iter().zip(&figures) {
        let mut ratios: Vec<f64> =
            figures.iter().zip(nothing).map(|(with, without)| with / without).collect();
        let (ratio, ..) = summary(&mut ratios);
        let quartile = |part: usize| ratios.get(ratios.len() * part / 4).copied().unwrap_or(f64::NAN);
        let (median, min, max) = summary(&mut figures.clone());
        println!(
            "{:<18} {median:>7.2} µs {min:>5.2} µs {max:>5.2} µs  {ratio:>6.3} ({:.3} to {:.3})",
            proxy.name,
            quartile(1),
            quartile(3)
        );
    }
    let (count_ns, scrape_ns) = (counting_ns(), scrape_ns(&proxies[1], admin[0])?);
    println!(
        "counting, which is always on: {count_ns:.0} ns for each request; one scrape: {:.2} ms of CPU",
        scrape_ns / 1e6
    );
    println!("goal: log and metrics together at most 1.03");
    Ok(())
}

/// A collector that reads everything and understands nothing.
fn collector() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            thread::spawn(move || swallow(connection));
        }
    });
    Ok(address)
}

fn swallow(mut connection: TcpStream) -> Option<()> {
    let (mut read, mut buffer) = (Vec::new(), [0; 65536]);
    loop {
        let length = connection.read(&mut buffer).ok().filter(|length| *length > 0)?;
        read.extend_from_slice(buffer.get(..length)?);
        let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(read.get(..end)?).to_lowercase();
        let body: usize = head.split_once("content-length: ")?.1.lines().next()?.parse().ok()?;
        if read.len() >= end + 4 + body {
            return connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok();
        }
    }
}

/// What counting one request costs, at its best.
fn counting_ns() -> f64 {
    const TIMES: u32 = 100_000;
    let meter = PoolMeter::new((1..=3).map(|n| BackendId::new(&format!("app{n}"))), None);
    let took = Some(Duration::from_micros(300));
    let times = Times { queue: took, connect: None, first_byte: took, whole: Duration::from_micros(700) };
    let measure = Measure {
        reason: Reason::LbCookie,
        class: CodeClass::of(Some(200)),
        retries: 0,
        received: 0,
        sent: 100,
        times,
    };
    let round = |_| {
        let begin = Stamp::read();
        for _ in 0..TIMES {
            meter.decided(Reason::LbCookie);
            meter.count(BackendIndex(std::hint::black_box(1)), std::hint::black_box(&measure));
        }
        Stamp::read().since(begin).as_secs_f64() * 1e9 / f64::from(TIMES)
    };
    (0..20).map(round).fold(f64::INFINITY, f64::min)
}

/// What one scrape costs the process.
fn scrape_ns(proxy: &Proxy, admin: SocketAddr) -> Result<f64, Failure> {
    const TIMES: u32 = 20;
    let before = proxy.processor_ns()?;
    for _ in 0..TIMES {
        let mut connection = TcpStream::connect(admin)?;
        connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        connection.read_to_end(&mut Vec::new())?;
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok((proxy.processor_ns()? - before) as f64 / f64::from(TIMES))
}
