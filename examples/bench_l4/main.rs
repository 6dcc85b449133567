//! TCP and UDP through Steadfast, HAProxy (which has no UDP) and NGINX, side by side in one run: `make bench-l4`.
//!
//! Processor time for each GB, connection, datagram and session of UDP, in interleaved rounds, and memory for each idle connection. Every
//! proxy has one thread and one backend.

#[expect(dead_code, reason = "serves the other benchmarks, too")]
#[path = "../bench_support/mod.rs"]
mod bench_support;
mod contenders;
mod datagrams;
mod work;

use bench_support::{Failure, Proxy, summary};
use contenders::contenders;
use datagrams::{bursts, questions, sessions};
use work::{Backend, bulk, connections, idle};

const ROUNDS: usize = 9;

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() -> Result<(), Failure> {
    let only = std::env::args().nth(1);
    let backend = Backend::start()?;
    datagrams::echo(backend.address)?;
    let proxies = contenders(backend.address)?;
    let of_udp: Vec<_> = proxies
        .iter()
        .filter(|proxy| proxy.name.contains("Steadfast") || proxy.name.contains("NGINX"))
        .collect();
    let proxies: Vec<_> = proxies.iter().collect();
    let parts = ["questions", "bursts", "sessions", "bulk", "connections", "idle"];
    for part in parts.iter().filter(|part| only.as_ref().is_none_or(|only| only == *part)) {
        match *part {
            "questions" => print("µs of CPU per short datagram", &rounds(&of_udp, questions)?),
            "bursts" => print("µs of CPU per long datagram", &rounds(&of_udp, bursts)?),
            "sessions" => print("µs of CPU per UDP session", &rounds(&of_udp, sessions)?),
            "bulk" => print("s of CPU per GB", &rounds(&proxies, bulk)?),
            "connections" => print("µs of CPU per connection", &rounds(&proxies, connections)?),
            _ => {
                println!("\nbytes of resident memory per idle connection");
                for &proxy in &proxies {
                    let (count, bytes) = idle(proxy, &backend)?;
                    println!("{:<16} {bytes:>10} ({count} connections)", proxy.name);
                }
            }
        }
    }
    Ok(())
}

/// Each proxy's figures, whose rounds take turns. The first round warms up.
fn rounds(
    proxies: &[&Proxy],
    work: impl Fn(&Proxy) -> Result<f64, Failure>,
) -> Result<Vec<Figures>, Failure> {
    let mut all: Vec<Figures> = proxies.iter().map(|proxy| (proxy.name, Vec::new())).collect();
    for round in 0..=ROUNDS {
        for (&proxy, (_, figures)) in proxies.iter().zip(&mut all) {
            let figure = work(proxy).map_err(|error| format!("{}: {error}", proxy.name))?;
            if round > 0 {
                figures.push(figure);
            }
        }
    }
    Ok(all)
}

type Figures = (&'static str, Vec<f64>);

/// The figures, and the ratio of ours to each other's, of the same rounds.
#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn print(what: &str, all: &[Figures]) {
    println!("\n{what:<30} median      min      max   ours/theirs");
    let Some((_, ours)) = all.first() else { return };
    for (name, figures) in all {
        let mut ratios: Vec<f64> = ours.iter().zip(figures).map(|(ours, theirs)| ours / theirs).collect();
        let (median, min, max) = summary(&mut figures.clone());
        println!("{name:<28} {median:>8.3} {min:>8.3} {max:>8.3}      {:>8.3}", summary(&mut ratios).0);
    }
}
