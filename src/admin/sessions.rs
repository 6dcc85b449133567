//! Where sessions live. A session id comes in a body and goes no further: not into an answer, a URL or the log.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use http::HeaderMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::Refusal;
use super::app::Api;
use super::call::Call;
use crate::affinity::{Evidence, PresentedId, RequestView};
use crate::clock::Now;
use crate::snapshot::ServedPool;

/// How many sessions a pool's learned table has.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PoolSessions {
    /// All together.
    pub(crate) learned_sessions: u64,
    /// By backend.
    pub(crate) backends: BTreeMap<String, u64>,
    /// Of backends that the pool does not have any more.
    pub(crate) homeless: u64,
}

/// A session.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionId {
    /// The session id, as the application's cookie has it.
    #[schemars(length(min = 1, max = 4096))]
    pub(crate) id: String,
}

/// Where a session lives.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Home {
    /// The backend; null: nothing here knows, or the backend is gone. A client's load-balancer cookie may still know.
    pub(crate) backend: Option<String>,
    /// How it is known; null: it is not.
    pub(crate) known_by: Option<KnownBy>,
}

/// How a session's home is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KnownBy {
    /// The id's own route suffix.
    Route,
    /// The learned table.
    Learned,
}

/// Whether a session was forgotten.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Forgotten {
    /// False: it was not known.
    pub(crate) forgotten: bool,
}

/// Counts the sessions of a pool.
pub(super) fn count(api: &Api, call: &Call<'_>) -> Result<PoolSessions, Refusal> {
    let snapshot = api.current.load();
    let served = call.pool(&snapshot)?;
    let counted = by_backend(served, Now::read());
    let known = |(index, count): (Option<usize>, u64)| {
        Some((served.pool.backends().get(index?)?.id().to_string(), count))
    };
    Ok(PoolSessions {
        learned_sessions: counted.values().sum(),
        homeless: counted.get(&None).copied().unwrap_or_default(),
        backends: counted.into_iter().filter_map(known).collect(),
    })
}

/// Learned sessions by the position of their backend in the pool; each backend is there, also without any.
pub(super) fn by_backend(served: &ServedPool, now: Now) -> BTreeMap<Option<usize>, u64> {
    let mut counts: BTreeMap<_, u64> =
        served.pool.indexes().map(|index| (Some(index.position()), 0)).collect();
    for session in served.policy.learned.export(now).flatten() {
        let home = served.pool.find_tag(session.backend).map(|index| index.position());
        *counts.entry(home).or_default() += 1;
    }
    counts
}

/// Finds out where a session lives; does not count as use.
pub(super) fn lookup(api: &Api, call: &Call<'_>, asked: SessionId) -> Result<Home, Refusal> {
    let snapshot = api.current.load();
    let served = call.pool(&snapshot)?;
    let now = Now::read();
    let Some(presented) = presented(&asked, served, now)? else {
        return Ok(Home { backend: None, known_by: None });
    };
    let id = |index| served.pool.backend(index).map(|backend| backend.id().to_string());
    if let Some(route) = presented.route {
        return Ok(Home { backend: id(route), known_by: Some(KnownBy::Route) });
    }
    let learned = served.policy.learned.peek(&presented.digest, now);
    Ok(Home {
        backend: learned.and_then(|tag| id(served.pool.find_tag(tag)?)),
        known_by: learned.map(|_| KnownBy::Learned),
    })
}

/// Forgets a session.
pub(super) fn forget(api: &Api, call: &Call<'_>, asked: SessionId) -> Result<Forgotten, Refusal> {
    let snapshot = api.current.load();
    let served = call.pool(&snapshot)?;
    let now = Now::read();
    let Some(presented) = presented(&asked, served, now)? else { return Ok(Forgotten { forgotten: false }) };
    let forgotten = served.policy.learned.peek(&presented.digest, now).is_some();
    served.policy.learned.forget(&presented.digest);
    Ok(Forgotten { forgotten })
}

/// The id as a request would present it; `None`: no request could.
fn presented(asked: &SessionId, served: &ServedPool, now: Now) -> Result<Option<PresentedId>, Refusal> {
    if !(1..=4096).contains(&asked.id.chars().count()) {
        return Err(Refusal::bad("bad_id", "`id` is no session id", "it has 1 to 4096 characters"));
    }
    let headers = HeaderMap::new();
    let request = RequestView {
        target: b"/",
        headers: &headers,
        client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        connection_choice: None,
        named_session: Some(asked.id.as_bytes()),
    };
    Ok(Evidence::read(&request, &served.policy, &served.pool, now).ids.first().copied())
}
