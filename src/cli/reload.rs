//! `steadfast reload`.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::Value;

use super::client::Client;
use super::{args, finish, pretty};
use crate::admin::{Nothing, PlanView};

pub(super) fn reload(args: &args::Reload) -> ExitCode {
    finish(reloaded(args))
}

fn reloaded(args: &args::Reload) -> Result<String, String> {
    let path = if args.dry_run { "/v1/reload?dry_run=true" } else { "/v1/reload" };
    // It may take another process.
    let client = Client::of(&args.reach)?.patient(super::upgrade::PATIENCE);
    let answer: Value = client.send("POST", path, Some(&Nothing {}))?;
    if args.reach.json {
        return Ok(pretty(&answer));
    }
    Ok(as_text(args.dry_run, &client.understood(answer)?))
}

fn as_text(dry_run: bool, plan: &PlanView) -> String {
    if let Some(pid) = plan.upgraded_to {
        return format!(
            "upgraded: process {pid} serves, because a reload could not do all that the file asks for"
        );
    }
    let mut text = match (dry_run, plan.changes.is_empty()) {
        (true, true) => "a reload would change nothing".to_owned(),
        (true, false) => "a reload would change:".to_owned(),
        (false, true) => "reloaded: nothing has changed".to_owned(),
        (false, false) => "reloaded:".to_owned(),
    };
    for change in &plan.changes {
        let _ = write!(text, "\n  {change}");
    }
    if plan.moving_sessions > 0 {
        let verb = if dry_run { "would move" } else { "move" };
        let _ = write!(text, "\n{} sessions {verb} to another backend", plan.moving_sessions);
    }
    if let Some(what) = &plan.needs_another_process {
        let _ = write!(text, "\nanother process would take over: {what}");
    }
    text
}
