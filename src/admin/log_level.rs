//! How much is logged.

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::Refusal;
use super::app::Api;
use super::call::Call;
use crate::telemetry;

/// How much is logged.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogLevel {
    pub(crate) level: Level,
}

/// The levels, each with all before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// Nothing.
    Off,
    /// The operator must act.
    Error,
    /// Something is worse than it should be.
    Warn,
    /// What the balancer does as a whole.
    Info,
    /// Each request.
    Debug,
    /// As `debug`.
    Trace,
}

/// Tells the level.
pub(super) fn get(_: &Api, _: &Call<'_>) -> Result<LogLevel, Refusal> {
    Ok(LogLevel { level: telemetry::log_level().into() })
}

/// Changes the level, until the process ends.
pub(super) fn put(_: &Api, _: &Call<'_>, asked: LogLevel) -> Result<LogLevel, Refusal> {
    telemetry::set_log_level(asked.level.into()).map_err(|error| {
        let help = "change the level there";
        Refusal::new(StatusCode::CONFLICT, "not_ours", error.to_string(), help)
    })?;
    Ok(asked)
}

impl From<Level> for log::LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Off => Self::Off,
            Level::Error => Self::Error,
            Level::Warn => Self::Warn,
            Level::Info => Self::Info,
            Level::Debug => Self::Debug,
            Level::Trace => Self::Trace,
        }
    }
}

impl From<log::LevelFilter> for Level {
    fn from(level: log::LevelFilter) -> Self {
        match level {
            log::LevelFilter::Off => Self::Off,
            log::LevelFilter::Error => Self::Error,
            log::LevelFilter::Warn => Self::Warn,
            log::LevelFilter::Info => Self::Info,
            log::LevelFilter::Debug => Self::Debug,
            log::LevelFilter::Trace => Self::Trace,
        }
    }
}
