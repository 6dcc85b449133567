//! The log's writer, and how much it writes: env_logger, replaced whole when another level is asked for.

use std::sync::OnceLock;

use arc_swap::ArcSwap;
use log::{LevelFilter, Log, Metadata, Record};

/// The process's logger, where it is ours. The `log` crate knows one for each process, so this is no worse.
static LOGGER: OnceLock<&'static Logger> = OnceLock::new();

/// Writes to standard error; which lines, may change at any time.
struct Logger {
    inner: ArcSwap<env_logger::Logger>,
    /// Modules that never say more than warnings.
    quiet: &'static [&'static str],
    /// Lines that are not written, by module and text.
    harmless: &'static [(&'static str, &'static str)],
}

/// The log is written by the program that embeds us.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the log is written by the program that runs the balancer")]
pub struct NotOurs;

/// Logs to standard error from now on; `RUST_LOG` says how much, else it is `info`. `quiet` modules never say more
/// than warnings; `harmless` lines, by module and text, are not written. Where there is a logger already (an embedder's), it stands.
pub fn start_logger(quiet: &'static [&'static str], harmless: &'static [(&'static str, &'static str)]) {
    let mut builder = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"));
    for module in quiet {
        builder.filter_module(module, LevelFilter::Warn);
    }
    let inner = builder.build();
    let most = inner.filter();
    let inner = ArcSwap::from_pointee(inner);
    let logger: &'static Logger = Box::leak(Box::new(Logger { inner, quiet, harmless }));
    if log::set_logger(logger).is_ok() {
        log::set_max_level(most);
        let _ = LOGGER.set(logger);
    }
}

/// The most verbose level that is written.
pub fn log_level() -> LevelFilter {
    log::max_level()
}

/// From now on, our own lines are written up to this level, and those of others up to `info`. Takes the place of
/// what `RUST_LOG` said.
///
/// # Errors
/// The logger is not ours.
pub fn set_log_level(level: LevelFilter) -> Result<(), NotOurs> {
    let logger = LOGGER.get().ok_or(NotOurs)?;
    let mut builder = env_logger::Builder::new();
    builder.filter_level(level.min(LevelFilter::Info)).filter_module("steadfast", level);
    for module in logger.quiet {
        builder.filter_module(module, level.min(LevelFilter::Warn));
    }
    let inner = builder.build();
    let most = inner.filter();
    logger.inner.store(inner.into());
    log::set_max_level(most);
    Ok(())
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.load().enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let is_harmless = |(module, text): &(&str, &str)| {
            *module == record.target() && record.args().as_str() == Some(text)
        };
        if !self.harmless.iter().any(is_harmless) {
            self.inner.load().log(record);
        }
    }

    fn flush(&self) {
        self.inner.load().flush();
    }
}
