//! The active check of one backend: a loop that looks, counts and waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::exchange::Exchange;
use super::probe::{HttpProbe, probe_http, probe_tcp};
use super::state::{Observation, RiseFall};
use crate::clock::Now;
use crate::names::BackendIndex;
use crate::pool::{AdminState, Backend, Cause, CheckVerdict, Checked, Health, Pool};

/// How a pool's backends are checked.
#[derive(Clone, Debug)]
pub struct CheckSpec {
    /// What one check does.
    pub check: Check,
    /// From the start of one check to the next.
    pub interval: Duration,
    /// For one check as a whole.
    pub timeout: Duration,
    /// Passes in a row that bring a backend up.
    pub rise: u32,
    /// Failures in a row that take it down.
    pub fall: u32,
    /// How long a backend may drain that says so itself.
    pub drain_deadline: Duration,
}

impl CheckSpec {
    /// Whether one backend is checked as another specification checks one.
    pub(super) fn is_same_for(&self, index: BackendIndex, other: &Self, other_index: BackendIndex) -> bool {
        let times = |spec: &Self| (spec.interval, spec.timeout, spec.rise, spec.fall, spec.drain_deadline);
        let (here, there) = (index.position(), other_index.position());
        let same = match (&self.check, &other.check) {
            (Check::Tcp, Check::Tcp) => true,
            (Check::Http(probes), Check::Http(others)) => probes.get(here) == others.get(there),
            (Check::Exchange(one), Check::Exchange(others)) => one.get(here) == others.get(there),
            (Check::Tcp | Check::Http(_) | Check::Exchange(_), _) => false,
        };
        same && times(self) == times(other)
    }
}

/// What one check does.
#[derive(Clone, Debug)]
pub enum Check {
    /// Connects.
    Tcp,
    /// Sends a GET; one request for each backend, in the pool's order.
    Http(Vec<HttpProbe>),
    /// Says something and expects something; for each backend, in the pool's order.
    Exchange(Vec<Arc<Exchange>>),
}

/// Checks one backend for ever.
pub(super) async fn watch(pool: Arc<Pool>, index: BackendIndex, spec: Arc<CheckSpec>) {
    let Some(backend) = pool.backend(index) else { return };
    let live = backend.live();
    let mut check = RiseFall::new(spec.rise, spec.fall);
    // Spread over the interval, so that many backends are not all asked at once.
    let spread = spec.interval.mul_f64((backend.tag().0 % 1024) as f64 / 1024.0);
    let mut turns = interval_at(Instant::now() + spread, spec.interval);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        if check.stands_up() && live.health(Now::read()) == Health::Down(Cause::Unreachable) {
            check.forget_passes();
        }
        let observation = match &spec.check {
            Check::Tcp => probe_tcp(backend.address(), spec.timeout).await,
            Check::Exchange(exchanges) => match exchanges.get(index.position()) {
                Some(exchange) => exchange.look(backend.address(), spec.timeout).await,
                None => Observation::PageFailed,
            },
            Check::Http(probes) => match probes.get(index.position()) {
                Some(probe) => {
                    let look = probe_http(backend.address(), probe, spec.timeout).await;
                    if let Some(drains) = look.drains {
                        heed(&pool, backend, drains, spec.drain_deadline);
                    }
                    look.observation
                }
                None => Observation::PageFailed,
            },
        };
        live.checks().count(match observation {
            Observation::Pass => Checked::Passed,
            Observation::PageFailed => Checked::PageFailed,
            Observation::Unreachable => Checked::Unreachable,
            Observation::Untried => Checked::Untried,
        });
        let Some(verdict) = check.observe(observation) else { continue };
        if live.check_verdict(verdict, Now::read()) {
            let (pool, id) = (pool.name(), backend.id());
            match verdict {
                CheckVerdict::Up => log::info!("backend {pool}/{id} is up: its check passes"),
                CheckVerdict::Unhealthy => log::warn!("backend {pool}/{id} is down: its check fails"),
                CheckVerdict::Unreachable => log::warn!("backend {pool}/{id} is down: it cannot be reached"),
            }
        }
    }
}

/// Does what the backend itself says of draining. What the operator wants of it counts more.
fn heed(pool: &Pool, backend: &Backend, drains: bool, deadline: Duration) {
    let live = backend.live();
    if !live.set_asks_to_drain(drains) {
        return;
    }
    let (pool, id) = (pool.name(), backend.id());
    if drains {
        log::info!("backend {pool}/{id} drains: its health page says so");
    } else {
        log::info!("backend {pool}/{id} drains no longer, as its health page says");
    }
    match backend.admin() {
        AdminState::Up if drains => live.drain().begin(deadline, Now::read()),
        AdminState::Up => live.drain().end(),
        AdminState::Draining | AdminState::Maintenance => {}
    }
}
