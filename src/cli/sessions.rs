//! `steadfast sessions`.

use std::io::Read as _;
use std::process::ExitCode;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::client::Client;
use super::table::table;
use super::{args, finish, pretty};
use crate::admin::{Forgotten, Home, KnownBy, PoolSessions, Pools, SessionId};

pub(super) fn sessions(args: &args::Sessions) -> ExitCode {
    finish(match &args.pool {
        Some(pool) if args.lookup => lookup(args, pool),
        Some(pool) if args.forget => forget(args, pool),
        _ => counted(args),
    })
}

fn counted(args: &args::Sessions) -> Result<String, String> {
    let client = Client::of(&args.reach)?;
    let pools = match &args.pool {
        Some(pool) => vec![pool.clone()],
        None => client.get::<Pools>("/v1/pools")?.pools.into_iter().map(|pool| pool.name).collect(),
    };
    if args.reach.json {
        let counted = pools.iter().map(|pool| Ok((pool.clone(), of::<Value>(&client, pool)?)));
        let counted = counted.collect::<Result<serde_json::Map<_, _>, String>>()?;
        return Ok(pretty(&json!({ "pools": counted })));
    }
    let mut rows = Vec::new();
    for pool in &pools {
        let sessions: PoolSessions = of(&client, pool)?;
        rows.extend(sessions.backends.iter().map(|(id, count)| [format!("{pool}/{id}"), count.to_string()]));
        if sessions.homeless > 0 {
            rows.push([format!("{pool}: backends that are gone"), sessions.homeless.to_string()]);
        }
    }
    Ok(table(["BACKEND", "SESSIONS"], &rows))
}

fn of<A: DeserializeOwned>(client: &Client, pool: &str) -> Result<A, String> {
    Ok(client.get(&format!("/v1/pools/{pool}/sessions"))?)
}

fn lookup(args: &args::Sessions, pool: &str) -> Result<String, String> {
    let path = format!("/v1/pools/{pool}/sessions/lookup");
    let client = Client::of(&args.reach)?;
    let id = id()?;
    if args.reach.json {
        return Ok(pretty(&client.send::<Value>("POST", &path, Some(&id))?));
    }
    let home: Home = client.send("POST", &path, Some(&id))?;
    Ok(match (home.backend, home.known_by) {
        (Some(backend), Some(KnownBy::Learned)) => format!("{pool}/{backend}"),
        (Some(backend), _) => format!("{pool}/{backend}, as its own route suffix says"),
        (None, Some(_)) => "on a backend that is gone: its next request moves it".to_owned(),
        (None, None) => "not known here; its client's load-balancer cookie may still know".to_owned(),
    })
}

fn forget(args: &args::Sessions, pool: &str) -> Result<String, String> {
    let path = format!("/v1/pools/{pool}/sessions/forget");
    let client = Client::of(&args.reach)?;
    let id = id()?;
    if args.reach.json {
        return Ok(pretty(&client.send::<Value>("POST", &path, Some(&id))?));
    }
    let Forgotten { forgotten } = client.send("POST", &path, Some(&id))?;
    Ok(if forgotten { "forgotten".to_owned() } else { "it was not known here".to_owned() })
}

/// The session id from standard input.
fn id() -> Result<SessionId, String> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(64 * 1024).read_to_string(&mut text);
    read.map_err(|error| format!("cannot read the session id from standard input: {error}"))?;
    let id = text.trim();
    if id.is_empty() {
        return Err(
            "no session id on standard input: give it there, or type it and end with Ctrl-D".to_owned()
        );
    }
    Ok(SessionId { id: id.to_owned() })
}
