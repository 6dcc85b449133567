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
    let backend: BackendView = client.understood(answer)?;
    let sessions = match backend.learned_sessions {
        1 => "1 session".to_owned(),
        many => format!("{many} sessions"),
    };
    Ok(format!(
        "{}: {}, {sessions}, {} requests in flight",
        name(args),
        backend.state.as_str(),
        backend.in_flight
    ))
}

/// Waits until a drain has ended. Sessions that only a load-balancer cookie knows cannot be seen from here.
fn wait(args: &args::Change) -> Result<String, String> {
    let client = Client::of(&args.reach)?;
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
            let busy = u64::from(backend.in_flight) + backend.learned_sessions;
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
