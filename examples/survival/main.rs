//! Plays incidents on load balancers, with real applications and real cookie jars, and counts what was lost:
//! `make survival`.
//!
//! `survival [--only NUMBER] [--contender NAME]` prints the table; it ends with 1 where Steadfast lost what it
//! could have kept.

#![expect(clippy::disallowed_methods, reason = "a program about time reads clocks")]

mod app;
mod client;
mod contender;
mod contenders;
mod field;
mod incidents;
mod judge;
mod server;
mod table;

use std::process::ExitCode;

use contender::{Contender, Failure};
use contenders::haproxy::Haproxy;
use contenders::nginx::Nginx;
use contenders::steadfast::Steadfast;
use field::Field;
use incidents::Incident;
use table::{Row, print_header, print_row, print_summary};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((first, rest)) if first == "app" => app::run(rest).map(|()| true),
        _ => play_all(&arguments),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("survival: {error}");
            ExitCode::from(2)
        }
    }
}

fn play_all(arguments: &[String]) -> Result<bool, Failure> {
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let only: Option<u32> = option("--only").map(|number| number.parse()).transpose()?;
    let contender = option("--contender");
    let mut rows = Vec::new();
    let makers = makers();
    let makers: Vec<_> =
        makers.iter().filter(|make| contender.is_none_or(|name| make().name() == name.as_str())).collect();
    print_header(&makers.iter().map(|make| make().name()).collect::<Vec<_>>());
    for incident in incidents::all().iter().filter(|incident| only.is_none_or(|only| incident.number == only))
    {
        let mut row = Row::new(incident.number, incident.name);
        for make in &makers {
            let contender = make();
            row.add(contender.name(), play(incident, contender));
        }
        print_row(&row, only.is_some());
        rows.push(row);
    }
    print_summary(&rows);
    Ok(rows.iter().all(Row::steadfast_is_clean))
}

type Make = fn() -> Box<dyn Contender>;

fn makers() -> Vec<Make> {
    vec![
        || Box::new(Steadfast::default()),
        || Box::new(Haproxy::both()),
        || Box::new(Haproxy::cookie()),
        || Box::new(Haproxy::table()),
        || Box::new(Nginx::hash()),
        || Box::new(Nginx::own_cookie()),
    ]
}

/// Waits until the ports that other plays have used may be used again; a minute is what the kernel keeps them for.
fn wait_for_ports() {
    let in_time_wait = || {
        let table = std::fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
        let count = table.split_once(" tw ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        count.unwrap_or(0)
    };
    let mut patience = 70;
    while patience > 0 && in_time_wait() > 15_000 {
        field::pause(1_000);
        patience -= 1;
    }
}

fn play(incident: &Incident, contender: Box<dyn Contender>) -> Result<judge::Count, Failure> {
    wait_for_ports();
    let Incident { servers, replicas, backend_limit, http2, .. } = *incident;
    let mut field = Field::new(contender, servers, replicas, backend_limit, http2)?;
    (incident.play)(&mut field)?;
    Ok(field.judge.count())
}
