//! The active check of one backend: a loop that looks, counts and waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::probe::{HttpProbe, probe_http, probe_tcp};
use super::state::{Observation, RiseFall};
use crate::clock::Now;
use crate::names::BackendIndex;
use crate::pool::{Cause, CheckVerdict, Checked, Health, Pool};

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
}

impl CheckSpec {
    /// Whether one backend is checked as another specification checks one.
    pub(super) fn is_same_for(&self, index: BackendIndex, other: &Self, other_index: BackendIndex) -> bool {
        let times = |spec: &Self| (spec.interval, spec.timeout, spec.rise, spec.fall);
        let probe = |spec: &Self, index: BackendIndex| match &spec.check {
            Check::Tcp => None,
            Check::Http(probes) => probes.get(index.position()).cloned(),
        };
        times(self) == times(other) && probe(self, index) == probe(other, other_index)
    }
}

/// What one check does.
#[derive(Clone, Debug)]
pub enum Check {
    /// Connects.
    Tcp,
    /// Sends a GET; one request for each backend, in the pool's order.
    Http(Vec<HttpProbe>),
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
            Check::Http(probes) => match probes.get(index.position()) {
                Some(probe) => probe_http(backend.address(), probe, spec.timeout).await,
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
