//! `steadfast run`.

use std::process::ExitCode;

use log::LevelFilter;

use super::{args, fail};
use crate::Steadfast;

pub(super) fn run(args: &args::Run) -> ExitCode {
    start_logger();
    let upgrade = |steadfast: Steadfast| if args.upgrade { steadfast.upgrade() } else { steadfast };
    let started = Steadfast::from_file(&args.config).map(upgrade).and_then(Steadfast::run);
    match started {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Logs to standard error; `RUST_LOG` says how much. Pingora's own debug lines print request heads, cookies
/// and all, so they stay off whatever it says.
pub(super) fn start_logger() {
    let default = env_logger::Env::default().default_filter_or("info");
    let mut logger = env_logger::Builder::from_env(default);
    for module in ["pingora", "pingora_core", "pingora_proxy", "pingora_http", "pingora_pool"] {
        logger.filter_module(module, LevelFilter::Warn);
    }
    // A second logger in one process (an embedder's) stands; ours is then not needed.
    let _ = logger.try_init();
}
