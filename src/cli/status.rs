//! `steadfast status`.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Map, Value};

use super::client::Client;
use super::table::table;
use super::{args, finish, pretty};
use crate::admin::{BackendView, Phase, Pools, Status, Wanted};

pub(super) fn status(reach: &args::Reach) -> ExitCode {
    finish(shown(reach))
}

fn shown(reach: &args::Reach) -> Result<String, String> {
    let client = Client::of(reach)?;
    if reach.json {
        // As the text has it: both in one.
        let mut status: Map<String, Value> = client.get("/v1/status")?;
        status.extend(client.get::<Map<String, Value>>("/v1/pools")?);
        return Ok(pretty(&status.into()));
    }
    let status: Status = client.get("/v1/status")?;
    let pools: Pools = client.get("/v1/pools")?;
    Ok(as_text(&status, &pools))
}

fn as_text(status: &Status, pools: &Pools) -> String {
    let up = humantime::format_duration(Duration::from_secs(status.uptime_s));
    let word = match (status.phase, status.ready) {
        (Phase::Stopping, _) => "stopping",
        (Phase::Running, true) => "ready",
        (Phase::Running, false) => "not ready: no pool has a backend that takes new sessions",
    };
    let mut text = format!("steadfast {}, process {}, up {up}: {word}\n\n", status.version, status.pid);
    let listeners = status.listeners.iter().map(|listener| {
        let number = |number: u64| number.to_string();
        [
            listener.name.clone(),
            listener.address.clone(),
            listener.open.to_string(),
            number(listener.accepted),
            number(listener.rejected + listener.over_limit + listener.timed_out),
        ]
    });
    let listeners: Vec<_> = listeners.collect();
    let _ = writeln!(text, "{}\n", table(["LISTENER", "ADDRESS", "OPEN", "ACCEPTED", "REFUSED"], &listeners));
    let rows: Vec<_> = pools
        .pools
        .iter()
        .flat_map(|pool| pool.backends.iter().map(|backend| row(&pool.name, backend)))
        .collect();
    let head = ["BACKEND", "ADDRESS", "STATE", "WEIGHT", "IN FLIGHT", "WAITING", "SESSIONS"];
    let _ = write!(text, "{}", table(head, &rows));
    if !status.differences.is_empty() {
        let _ = write!(text, "\n\nDiffers from the file:");
        status.differences.iter().for_each(|difference| {
            let _ = write!(text, "\n  {difference}");
        });
    }
    text
}

/// One backend as a row.
fn row(pool: &str, backend: &BackendView) -> [String; 7] {
    let left = backend.drain_left_s.filter(|_| backend.wanted == Wanted::Draining);
    let state = match left {
        Some(left) => {
            let left = humantime::format_duration(Duration::from_secs(left));
            format!("{} ({left} left)", backend.state.as_str())
        }
        None => backend.state.as_str().to_owned(),
    };
    [
        format!("{pool}/{}", backend.id),
        backend.address.clone(),
        state,
        backend.weight.to_string(),
        backend.in_flight.to_string(),
        backend.waiting.to_string(),
        (backend.learned_sessions + backend.sessions_by_token).to_string(),
    ]
}
