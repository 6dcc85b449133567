//! `steadfast advise`: what was lost and why, and whether timeouts fit.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::client::Client;
use super::table::table;
use super::{args, finish, pretty};
use crate::admin::{AdviceView, GapView, PoolGaps};

pub(super) fn advise(reach: &args::Reach) -> ExitCode {
    finish(advised(reach))
}

fn advised(reach: &args::Reach) -> Result<String, String> {
    let client = Client::of(reach)?;
    let answer: Value = client.get("/v1/advice")?;
    if reach.json {
        return Ok(pretty(&answer));
    }
    Ok(as_text(&client.understood(answer)?))
}

fn as_text(view: &AdviceView) -> String {
    let mut text = String::new();
    for said in &view.advice {
        let _ = writeln!(text, "{}: {}\n", said.pool, said.text);
    }
    if view.advice.is_empty() {
        let _ = writeln!(
            text,
            "Nothing to say: no backend lost more sessions than it used to, and the timeouts fit.\n"
        );
    }
    for pool in &view.gaps {
        gaps(&mut text, pool);
    }
    text.trim_end().to_owned()
}

fn gaps(text: &mut String, pool: &PoolGaps) {
    let spoken = |seconds: u64| humantime::format_duration(Duration::from_secs(seconds)).to_string();
    let came_back = |gap: &&GapView| gap.kept + gap.replaced + gap.forgotten > 0;
    let row = |gap: &GapView| {
        let from = spoken(gap.from_s.into());
        let range = gap
            .to_s
            .map_or_else(|| format!("{from} or more"), |to| format!("{from} – {}", spoken(to.into())));
        [range, gap.kept.to_string(), gap.replaced.to_string(), gap.forgotten.to_string()]
    };
    let rows: Vec<_> = pool.gaps.iter().filter(came_back).map(row).collect();
    if rows.is_empty() {
        let _ = writeln!(text, "Pool {}: no session has come back after a minute or more yet.\n", pool.pool);
        return;
    }
    let _ = writeln!(
        text,
        "Pool {}: sessions that came back, by how long they had been away (learn.idle: {})",
        pool.pool,
        spoken(pool.idle_s)
    );
    let _ =
        writeln!(text, "{}\n", table(["AWAY FOR", "STILL THERE", "GIVEN A NEW ID", "FORGOTTEN HERE"], &rows));
}
