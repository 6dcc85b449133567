//! `steadfast run`.

use std::process::ExitCode;

use super::{args, fail};
use crate::{Steadfast, telemetry};

/// Pingora's own debug lines print request heads, cookies and all, so they stay off whatever is asked for.
const QUIET: [&str; 5] = ["pingora", "pingora_core", "pingora_proxy", "pingora_http", "pingora_pool"];

/// Errors of Pingora's that are none: an idle connection to a backend was just ending when a request wanted it, which gets another.
const HARMLESS: [(&str, &str); 1] = [("pingora_core::connectors", "failed to acquire reusable stream")];

pub(super) fn run(args: &args::Run) -> ExitCode {
    start_logger();
    let upgrade = |steadfast: Steadfast| if args.upgrade { steadfast.upgrade() } else { steadfast };
    let started = Steadfast::from_file(&args.config).map(upgrade).and_then(Steadfast::run);
    match started {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Logs to standard error; `RUST_LOG` says how much.
pub(super) fn start_logger() {
    telemetry::start_logger(&QUIET, &HARMLESS);
}
