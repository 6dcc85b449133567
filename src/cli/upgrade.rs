//! `steadfast upgrade`.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::client::Client;
use super::{args, finish, pretty};
use crate::admin::{Nothing, Upgraded};

/// A new process is given 90 seconds; then the old one says that it was too slow.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn upgrade(reach: &args::Reach) -> ExitCode {
    finish(upgraded(reach))
}

fn upgraded(reach: &args::Reach) -> Result<String, String> {
    let client = Client::of(reach)?.patient(PATIENCE);
    let answer: Value = client.send("POST", "/v1/upgrade", Some(&Nothing {}))?;
    if reach.json {
        return Ok(pretty(&answer));
    }
    let upgraded: Upgraded = client.understood(answer)?;
    Ok(format!("upgraded: process {} serves", upgraded.pid))
}
