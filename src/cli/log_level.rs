//! `steadfast log-level`.

use std::process::ExitCode;

use serde_json::Value;

use super::client::Client;
use super::{args, finish, pretty};
use crate::admin::LogLevel;

pub(super) fn log_level(args: &args::LogLevel) -> ExitCode {
    finish(level(args))
}

fn level(args: &args::LogLevel) -> Result<String, String> {
    let client = Client::of(&args.reach)?;
    let answer: Value = match args.level {
        Some(level) => client.send("PUT", "/v1/log-level", Some(&LogLevel { level }))?,
        None => client.get("/v1/log-level")?,
    };
    match answer.get("level").and_then(Value::as_str) {
        Some(level) if !args.reach.json => Ok(level.to_owned()),
        _ => Ok(pretty(&answer)),
    }
}
