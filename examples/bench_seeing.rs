//! What it costs to be seen: CPU per request with the access log against without, in interleaved rounds of one run:
//! `make bench-seeing`.
//!
//! Requests are counted for the metrics in any case; what that costs is measured beside it, in this process.

#[expect(dead_code, reason = "serves the other benchmarks, too")]
mod bench_support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use bench_support::{
    CONNECTIONS, Failure, Proxy, REQUESTS, backend, connect_to, free_address, measure, returning_client,
    summary,
};
use steadfast::clock::Stamp;
use steadfast::names::{BackendId, BackendIndex, Reason};
use steadfast::telemetry::{CodeClass, Measure, PoolMeter, Times};

const ROUNDS: usize = 301;

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() -> Result<(), Failure> {
    let backend = backend()?;
    let (admin, logged) = (free_address()?, free_address()?);
    let log = "access_log: { file: { path: access.log, rotate: { size: 64MiB, keep: 1 } } }";
    let top = format!("admin: {{ listen: \"{admin}\" }}\n");
    let traced = format!("{log}\ntelemetry: {{ otlp: {{ url: \"http://{}\" }} }}\n", collector()?);
    // Two processes of one program differ by a hundredth; two listeners of one process do not.
    let proxy = Proxy::steadfast_also_at("Steadfast", backend, &top, &[(logged, log)])?;
    let traced = Proxy::steadfast_with("Steadfast with traces", backend, &traced)?;
    let mut sides = [
        Side::new("no log", &proxy, proxy.address)?,
        Side::new("log", &proxy, logged)?,
        Side::new("log and all traces", &traced, traced.address)?,
    ];
    let request = returning_client(&proxy)?;
    for round in 0..=ROUNDS {
        for side in &mut sides {
            let figure = measure(side.proxy, &request, &mut side.connections)?;
            if round > 0 {
                side.figures.push(figure);
            }
        }
    }
    println!(
        "{ROUNDS} interleaved rounds of {} requests over {CONNECTIONS} kept connections, 1 thread each",
        CONNECTIONS * REQUESTS
    );
    println!("CPU per request        median      min      max   ratio to no log: median, quartiles");
    let without = sides[0].figures.clone();
    for side in &sides {
        let mut ratios: Vec<f64> =
            side.figures.iter().zip(&without).map(|(with, without)| with / without).collect();
        let (ratio, ..) = summary(&mut ratios);
        let quartile = |part: usize| ratios.get(ratios.len() * part / 4).copied().unwrap_or(f64::NAN);
        let (median, min, max) = summary(&mut side.figures.clone());
        println!(
            "{:<18} {median:>7.2} µs {min:>5.2} µs {max:>5.2} µs  {ratio:>6.3} ({:.3} to {:.3})",
            side.name,
            quartile(1),
            quartile(3)
        );
    }
    let (count_ns, scrape_ns) = (counting_ns(), scrape_ns(&proxy, admin)?);
    let share = |ns: f64| ns / 1_000.0 / summary(&mut without.clone()).0;
    println!(
        "counting for the metrics, which is always on: {count_ns:.0} ns for each request ({:.3} of it); one scrape: {:.2} ms of CPU",
        share(count_ns),
        scrape_ns / 1e6
    );
    println!("goal: log and metrics together at most 1.03");
    Ok(())
}

/// What is measured against the others.
struct Side<'p> {
    name: &'static str,
    proxy: &'p Proxy,
    connections: Vec<TcpStream>,
    figures: Vec<f64>,
}

impl<'p> Side<'p> {
    fn new(name: &'static str, proxy: &'p Proxy, listener: SocketAddr) -> Result<Self, Failure> {
        Ok(Self { name, proxy, connections: connect_to(listener)?, figures: Vec::new() })
    }
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
