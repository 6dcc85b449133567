//! `steadfast drain`, `ready` and `maintain`.

use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::client::{Client, ClientError};
use super::{args, finish, pretty};
use crate::admin::{BackendView, Drain, Nothing, StateWord, Wanted};

/// Between two looks at a backend that drains.
const PAUSE: Duration = Duration::from_millis(500);
/// From one word on how far a drain is to the next: ten seconds.
const PAUSES_A_WORD: u32 = 20;

pub(super) fn ready(args: &args::Change) -> ExitCode {
    finish(change(args, "ready", &Nothing {}))
}

pub(super) fn maintain(args: &args::Change) -> ExitCode {
    finish(change(args, "maintain", &Nothing {}))
}

pub(super) fn drain(args: &args::Drain) -> ExitCode {
    let deadline = args.deadline.map(|deadline| format!("{}s", deadline.as_secs()));
    let asked = change(&args.change, "drain", &Drain { deadline });
    finish(match asked {
        Ok(_) if args.wait => wait(&args.change),
        other => other,
    })
}

fn change(args: &args::Change, what: &str, body: &impl Serialize) -> Result<String, String> {
    let client = Client::of(&args.reach)?;
    let answer: Value = client.send("POST", &format!("{}/{what}", path(args)), Some(body))?;
    if args.reach.json {
        return Ok(pretty(&answer));
    }
    Ok(format!("{}: {}", name(args), as_text(&client.understood(answer)?)))
}

/// What is left of a backend's sessions, and until when.
fn as_text(backend: &BackendView) -> String {
    let sessions = match sessions(backend) {
        1 => "1 session".to_owned(),
        many => format!("{many} sessions"),
    };
    let mut text =
        format!("{}, {sessions}, {} requests in flight", backend.state.as_str(), backend.in_flight);
    let duration = |seconds| humantime::format_duration(Duration::from_secs(seconds));
    if let Some(left) = backend.drain_left_s {
        text += &format!(", at most {} left", duration(left));
    }
    match backend.drain_forecast_s {
        Some(0) => text += ", 95 % are gone",
        Some(end) => text += &format!(", 95 % gone in about {}", duration(end)),
        None => {}
    }
    text
}

fn sessions(backend: &BackendView) -> u64 {
    backend.learned_sessions + backend.sessions_by_token
}

/// Waits until a drain has ended, and tells now and then how far it is.
fn wait(args: &args::Change) -> Result<String, String> {
    let client = Client::of(&args.reach)?;
    let mut pauses = 0_u32;
    loop {
        let answer = match client.get::<Value>(&path(args)) {
            Ok(answer) => answer,
            Err(ClientError::Refused { status: 404, .. }) if args.reach.json => {
                return Ok(pretty(&Value::Null));
            }
            Err(ClientError::Refused { status: 404, .. }) => return Ok(format!("{}: gone", name(args))),
            Err(error) => return Err(error.into()),
        };
        let backend: BackendView = client.understood(answer.clone())?;
        if pauses.is_multiple_of(PAUSES_A_WORD) {
            eprintln!("{}: {}", name(args), as_text(&backend));
        }
        pauses += 1;
        if let Some(end) = end(&backend)? {
            return Ok(if args.reach.json { pretty(&answer) } else { format!("{}: {end}", name(args)) });
        }
        std::thread::sleep(PAUSE);
    }
}

/// How a drain has ended, if it has.
fn end(backend: &BackendView) -> Result<Option<&'static str>, String> {
    if backend.wanted != Wanted::Draining {
        return Err(format!("{} does not drain any more: it was changed meanwhile", backend.id));
    }
    Ok(match backend.state {
        StateWord::Maintenance => Some("its deadline has passed, and its last sessions move"),
        StateWord::Down => Some("it is down, and its sessions move"),
        StateWord::Up | StateWord::Suspect | StateWord::Draining => {
            let busy = u64::from(backend.in_flight) + sessions(backend);
            (busy == 0 && backend.waiting == 0).then_some("drained")
        }
    })
}

fn path(args: &args::Change) -> String {
    format!("/v1/pools/{}/backends/{}", args.backend.pool, args.backend.backend)
}

fn name(args: &args::Change) -> String {
    format!("{}/{}", args.backend.pool, args.backend.backend)
}
