//! Memory per idle connection of Steadfast against a bare Pingora proxy: `make bench-idle`.
//!
//! 5 000 kept connections, one request each, then the growth of resident memory divided by their number.

#[expect(dead_code, reason = "serves the other benchmarks, too")]
mod bench_support;

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use bench_support::{Failure, Proxy, backend, exchange, request};

const CONNECTIONS: u64 = 5_000;

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() -> Result<(), Failure> {
    let backend = backend()?;
    println!("{CONNECTIONS} idle kept connections after one request each: resident bytes per connection");
    for proxy in [Proxy::bare(backend)?, Proxy::steadfast(backend)?] {
        let request = request("");
        let mut buffer = Vec::new();
        // Warm: what is allocated once is no cost of a connection.
        for _ in 0..100 {
            exchange(&mut TcpStream::connect(proxy.address)?, request.as_bytes(), &mut buffer)?;
        }
        let before = proxy.resident()?;
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut connection = TcpStream::connect(proxy.address)?;
            exchange(&mut connection, request.as_bytes(), &mut buffer)?;
            held.push(connection);
        }
        thread::sleep(Duration::from_secs(1));
        let after = proxy.resident()?;
        println!("{:<18} {:>8}", proxy.name, after.saturating_sub(before) / CONNECTIONS);
    }
    println!("goal               {:>8}", 8 * 1024);
    Ok(())
}
