//! `steadfast explain`: the very decision that a request would get, with each piece of evidence; or why a recent request
//! went where it went.
//!
//! From the configuration alone: every backend counts as its configuration says, nobody is loaded, and the
//! learned table is empty. With `--admin`, a running balancer is asked.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use super::client::Client;
use super::{args, finish, pretty};
use crate::admin::{Clue, Explained, Field, Question, RecentRequest, Supposition};
use crate::clock::Now;
use crate::config;
use crate::snapshot::{Logs, Secrets, Snapshot};

pub(super) fn explain(args: &args::Explain) -> ExitCode {
    finish(match &args.request {
        Some(request) => recent(args, request),
        None => explained(args),
    })
}

fn explained(args: &args::Explain) -> Result<String, String> {
    let question = Question {
        method: args.method.clone().unwrap_or_default(),
        url: args.url.clone().unwrap_or_default(),
        headers: args.headers.iter().map(|field| self::field(field)).collect::<Result<_, _>>()?,
        from: args.from,
        listener: args.listener.clone(),
        suppose: args.suppose.clone(),
    };
    let explained = match (&args.admin, &args.config) {
        (None, Some(file)) => {
            let checked = config::load(file).map_err(|problems| problems.to_string())?;
            let secrets = Secrets::open_without_writing(&checked).map_err(|error| error.to_string())?;
            let snapshot = Snapshot::compile(checked, &secrets, Logs::default(), None, Now::read());
            crate::admin::explain(&snapshot, &question).map_err(|error| error.to_string())?
        }
        (admin, file) => {
            let client = Client::find(admin.as_deref(), file.as_deref())?;
            client.send("POST", "/v1/explain", Some(&question))?
        }
    };
    if args.json {
        return serde_json::to_string_pretty(&explained).map_err(|error| error.to_string());
    }
    Ok(as_text(&question, &explained))
}

fn recent(args: &args::Explain, request: &str) -> Result<String, String> {
    let client = Client::find(args.admin.as_deref(), args.config.as_deref())?;
    let answer: Value = client.get(&format!("/v1/requests/{request}"))?;
    if args.json {
        return Ok(pretty(&answer));
    }
    Ok(recent_as_text(&client.understood(answer)?))
}

fn field(text: &str) -> Result<Field, String> {
    let (name, value) = text.split_once(':').ok_or_else(|| format!("`{text}` is no `NAME: VALUE`"))?;
    Ok(Field { name: name.trim().to_owned(), value: value.trim().to_owned() })
}

fn as_text(question: &Question, explained: &Explained) -> String {
    let mut text = format!("{} {} from {}\n", question.method, question.url, question.from);
    let _ = writeln!(text, "  route     {}", explained.route);
    for limit in &explained.limits {
        let _ = writeln!(text, "  limit     {limit}");
    }
    let _ = writeln!(text, "  pool      {}", explained.pool);
    let supposed = |id: &str| question.suppose.iter().any(|Supposition { backend, .. }| backend == id);
    let states = explained.states.iter().map(|state| {
        let note = if supposed(&state.backend) { " (if)" } else { "" };
        format!("{} {}{note}", state.backend, state.state.as_str())
    });
    let _ = writeln!(text, "  backends  {}", states.collect::<Vec<_>>().join(", "));
    evidence(&mut text, &explained.evidence);
    let backend = explained.backend.as_deref().unwrap_or("none");
    let _ = writeln!(text, "  backend   {backend} (reason: {})", explained.reason);
    let _ = write!(text, "  because   {}", explained.because);
    next(&mut text, explained.runner_up.as_deref());
    text
}

fn recent_as_text(recent: &RecentRequest) -> String {
    let request = &recent.request;
    let at = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(request.at_s));
    let mut text = format!("request {}: {} {} at {at}\n", request.number, request.method, request.path);
    let _ = writeln!(text, "  pool      {}", request.pool);
    let states = recent.states.iter().map(|state| format!("{} {}", state.backend, state.state));
    let _ = writeln!(text, "  backends  {}", states.collect::<Vec<_>>().join(", "));
    evidence(&mut text, &recent.evidence);
    let backend = request.backend.as_deref().unwrap_or("none");
    let _ = writeln!(text, "  backend   {backend} (reason: {})", request.reason);
    let _ = writeln!(text, "  because   {}", request.because);
    if let Some(left) = &request.left {
        let _ = writeln!(text, "  left      {left}");
    }
    let tries = match request.retries {
        0 => String::new(),
        1 => ", after 1 retry".to_owned(),
        more => format!(", after {more} retries"),
    };
    let _ = write!(text, "  came to   {}, status {}{tries}", request.outcome, request.status);
    next(&mut text, recent.runner_up.as_deref());
    text
}

fn evidence(text: &mut String, evidence: &[Clue]) {
    if evidence.is_empty() {
        let _ = writeln!(text, "  evidence  none");
    }
    for clue in evidence {
        let _ = writeln!(text, "  evidence  {}: {}", clue.what, clue.says);
        let _ = writeln!(text, "            {}: {}", clue.weight, clue.why);
    }
}

fn next(text: &mut String, runner_up: Option<&str>) {
    if let Some(next) = runner_up {
        let _ = write!(text, "\n  next      {next}, if that one were gone");
    }
}
