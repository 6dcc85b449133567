//! Sends every request of `tests/data/http1` through balancers, to a backend that records bytes: `make desync`.
//!
//! `desync [--contender NAME] [--detail]` prints the table; it ends with 1 where Steadfast has a fault.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]
#![expect(clippy::disallowed_methods, reason = "a program that waits reads clocks")]

mod contenders;
mod corpus;
mod exchange;
mod judge;
mod reading;
mod recorder;

use std::path::Path;
use std::process::ExitCode;

use corpus::Case;
use judge::Fault;

const NAMES: [&str; 4] = ["Steadfast", "HAProxy", "NGINX", "bare Pingora"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let only = arguments.iter().position(|it| it == "--contender").and_then(|at| arguments.get(at + 1));
    let detail = arguments.iter().any(|it| it == "--detail");
    let names = NAMES.into_iter().filter(|name| only.is_none_or(|only| only == name));
    match play_all(&names.collect::<Vec<_>>(), detail) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("desync: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether Steadfast has no fault.
fn play_all(names: &[&'static str], detail: bool) -> Result<bool, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/http1");
    let cases = corpus::read(&folder)?;
    println!("{} requests; see tests/data/http1/README.md and examples/desync/judge.rs\n", cases.len());
    println!(
        "{:<14} {:>9} {:>12} {:>14} {:>14}",
        "", "dangerous", "must refuse", "should refuse", "valid refused"
    );
    let mut clean = true;
    for name in names {
        let faults = play(name, &cases)?;
        let of =
            |kind: fn(&Fault) -> bool| faults.iter().filter(|(_, faults)| faults.iter().any(kind)).count();
        println!(
            "{name:<14} {:>9} {:>12} {:>14} {:>14}",
            of(|fault| matches!(fault, Fault::Dangerous(_))),
            of(|fault| *fault == Fault::MustRefuse),
            of(|fault| *fault == Fault::ShouldRefuse),
            of(|fault| matches!(fault, Fault::ValidRefused(_))),
        );
        let ours = *name == "Steadfast";
        clean &= !ours || faults.is_empty();
        if ours || detail {
            for (case, faults) in &faults {
                println!("    {}/{}: {faults:?}", case.group, case.name);
            }
        }
    }
    println!(
        "\ndangerous: a backend got a form that some servers read in another way, or more requests than were answered;\n\
         must refuse, should refuse: served although RFC 9110 or 9112 says so; valid refused: a request that has to be served."
    );
    Ok(clean)
}

/// The cases that have faults.
fn play<'a>(name: &'static str, cases: &'a [Case]) -> Result<Vec<(&'a Case, Vec<Fault>)>, String> {
    let backend = recorder::Recorder::start().map_err(|error| error.to_string())?;
    let contender = contenders::start(name, backend.address)?;
    let played = cases.iter().map(|case| (case, exchange::play(case, contender.address, &backend)));
    Ok(played.filter(|(_, faults)| !faults.is_empty()).collect())
}
