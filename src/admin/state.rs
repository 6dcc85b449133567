//! The read side: what the balancer, its pools and their backends are doing.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use http::StatusCode;

use super::answer::Refusal;
use super::app::{Api, ListenerHandle};
use super::call::Call;
use super::sessions::by_backend;
use super::view::{
    Alive, BackendView, Backends, ListenerView, Phase, PoolSummary, PoolView, Pools, Ready, StateWord, Status,
};
use crate::clock::Now;
use crate::names::Reason;
use crate::pool::Backend;
use crate::snapshot::{ServedPool, Snapshot};

/// The process lives.
pub(super) fn healthz(_: &Api, _: &Call<'_>) -> Result<Alive, Refusal> {
    Ok(Alive { alive: true })
}

/// New sessions can be served.
pub(super) fn readyz(api: &Api, _: &Call<'_>) -> Result<Ready, Refusal> {
    let refuse = |message: &str, help: &str| {
        Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message, help))
    };
    if api.is_stopping() {
        return refuse("the balancer is stopping", "send new clients elsewhere");
    }
    if !can_serve(&api.current.load(), Now::read()) {
        return refuse(
            "no pool has a backend that takes new sessions",
            "GET /v1/pools says how backends are",
        );
    }
    Ok(Ready { ready: true })
}

/// What the balancer is doing.
pub(super) fn status(api: &Api, _: &Call<'_>) -> Result<Status, Refusal> {
    let now = Now::read();
    let snapshot = api.current.load();
    let stopping = api.is_stopping();
    let reasons = Reason::ALL.iter().map(|reason| (reason.as_str().to_owned(), api.counts.of(*reason)));
    Ok(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_s: now.ms_since(api.started.monotonic_ms) / 1000,
        phase: if stopping { Phase::Stopping } else { Phase::Running },
        ready: !stopping && can_serve(&snapshot, now),
        listeners: api.listeners.iter().map(listener).collect(),
        pools: snapshot.pools.iter().map(|served| summary(served, now)).collect(),
        requests: reasons.collect(),
        differences: api.control.differences(),
    })
}

/// All pools.
pub(super) fn pools(api: &Api, _: &Call<'_>) -> Result<Pools, Refusal> {
    let now = Now::read();
    Ok(Pools { pools: api.current.load().pools.iter().map(|served| view(served, now)).collect() })
}

/// One pool.
pub(super) fn pool(api: &Api, call: &Call<'_>) -> Result<PoolView, Refusal> {
    Ok(view(call.pool(&api.current.load())?, Now::read()))
}

/// The backends of a pool.
pub(super) fn backends(api: &Api, call: &Call<'_>) -> Result<Backends, Refusal> {
    Ok(Backends { backends: pool(api, call)?.backends })
}

/// One backend.
pub(super) fn backend(api: &Api, call: &Call<'_>) -> Result<BackendView, Refusal> {
    let pool = pool(api, call)?;
    let ids: Vec<_> = pool.backends.iter().map(|backend| backend.id.clone()).collect();
    pool.backends.into_iter().find(|backend| Some(backend.id.as_str()) == call.backend).ok_or_else(|| {
        let help = format!("the backends of pool {} are: {}", pool.name, ids.join(", "));
        Refusal::unknown("unknown_backend", "there is no such backend", help)
    })
}

fn can_serve(snapshot: &Snapshot, now: Now) -> bool {
    let mut backends = snapshot.pools.iter().flat_map(|served| served.pool.backends());
    backends.any(|backend| backend.takes_new(now))
}

fn listener(handle: &ListenerHandle) -> ListenerView {
    let counts = &handle.counts;
    ListenerView {
        name: handle.name.to_string(),
        address: handle.address.to_string(),
        open: counts.open(),
        accepted: counts.accepted.load(Ordering::Relaxed),
        over_limit: counts.over_limit.load(Ordering::Relaxed),
        rejected: counts.rejected.load(Ordering::Relaxed),
        timed_out: counts.timed_out.load(Ordering::Relaxed),
        handshake_failed: counts.handshake_failed.load(Ordering::Relaxed),
    }
}

fn summary(served: &ServedPool, now: Now) -> PoolSummary {
    let mut states = BTreeMap::new();
    for backend in served.pool.backends() {
        *states.entry(StateWord::from(backend.state(now))).or_default() += 1;
    }
    let lives = || served.pool.backends().iter().map(Backend::live);
    PoolSummary {
        name: served.pool.name().to_string(),
        backends: states,
        in_flight: lives().map(|live| u64::from(live.in_flight())).sum(),
        waiting: lives().map(|live| live.waiting()).sum(),
        learned_sessions: served.policy.learned.len(),
    }
}

fn view(served: &ServedPool, now: Now) -> PoolView {
    let sessions = by_backend(served, now);
    let backends = served.pool.backends().iter().enumerate().map(|(position, backend)| {
        let live = backend.live();
        BackendView {
            id: backend.id().to_string(),
            address: backend.address().to_string(),
            weight: backend.weight(),
            state: backend.state(now).into(),
            wanted: backend.admin().into(),
            health: live.health(now).into(),
            in_flight: live.in_flight(),
            waiting: live.waiting(),
            new_sessions: live.assigned(),
            learned_sessions: sessions.get(&Some(position)).copied().unwrap_or_default(),
            drain_left_s: live.drain().left(now).map(|left| left.as_secs()),
            epoch: backend.epoch().0,
        }
    });
    PoolView { name: served.pool.name().to_string(), backends: backends.collect() }
}
