//! The numbers of one second, from counts: rates and latencies are those of the last few seconds.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Now;
use crate::names::PoolName;
use crate::pool::{AdminState, Backend};
use crate::snapshot::{ServedListener, ServedPool, Snapshot};
use crate::telemetry::{
    BackendSample, BackendTraffic, CertificateSample, Distribution, PoolSample, Report, Sample, Sessions,
    Traffic,
};

/// Seconds that rates and latencies are taken over.
const WINDOW: usize = 5;
/// Of so many learned sessions it takes a while to count them by backend: then it is not done each second.
const MANY: usize = 100_000;
/// How long such a count serves.
const RECOUNT_MS: u64 = 10_000;

/// What rates are made from.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    earlier: VecDeque<Earlier>,
    counted: Vec<(PoolName, u64, Report)>,
}

#[derive(Debug)]
struct Earlier {
    at_ms: u64,
    pools: Vec<(PoolName, Traffic)>,
}

impl Sampler {
    /// The numbers of this second.
    pub(super) fn sample(&mut self, snapshot: &Snapshot, differences: Vec<String>, now: Now) -> Sample {
        let traffic: Vec<_> = snapshot
            .pools
            .iter()
            .map(|served| (served.pool.name().clone(), served.meter.traffic()))
            .collect();
        self.counted.retain(|(name, ..)| snapshot.pool_named(name).is_some());
        let mut all = Distribution::default();
        let pools = snapshot.pools.iter().zip(&traffic).map(|(served, (name, traffic))| {
            let report = self.sessions(served, now);
            let losses = served.losses.all();
            let earlier = self.earlier.front();
            let seconds = earlier.map_or(1.0, |earlier| seconds(now.ms_since(earlier.at_ms)));
            let before = earlier.and_then(|earlier| earlier.pools.iter().find(|(known, _)| known == name));
            let backends = served.pool.backends().iter().map(|backend| {
                let of = |traffic: &Traffic| {
                    traffic.backends.iter().find(|one| one.backend == *backend.id()).cloned()
                };
                let before = before.and_then(|(_, traffic)| of(traffic));
                let sessions = report.backends.iter().find(|one| one.backend == *backend.id());
                let mut sample = standing(backend, now);
                sample.sessions = sessions.map(Sessions::from).unwrap_or_default();
                if let Some(losses) = losses.iter().find(|one| one.backend == *backend.id()) {
                    sample.sessions.count_lost(&losses.lost);
                }
                if let Some(traffic) = of(traffic) {
                    all = all.with(&moving(&mut sample, &traffic, before.as_ref(), seconds));
                }
                sample
            });
            PoolSample { name: name.to_string(), backends: backends.collect() }
        });
        let pools = pools.collect();
        let (median_ms, slow_ms) = (all.quantile(500).map(ms), all.quantile(990).map(ms));
        let certificates = certificates(snapshot);
        let sample = Sample { at_s: now.unix_s, pools, median_ms, slow_ms, differences, certificates };
        if self.earlier.len() >= WINDOW {
            self.earlier.pop_front();
        }
        self.earlier.push_back(Earlier { at_ms: now.monotonic_ms, pools: traffic });
        sample
    }

    /// Nobody listens: what is kept would be too old when somebody does.
    pub(super) fn rest(&mut self) {
        self.earlier.clear();
        self.counted.clear();
    }

    fn sessions(&mut self, served: &ServedPool, now: Now) -> Report {
        let name = served.pool.name();
        let counted = self.counted.iter().find(|(known, ..)| known == name);
        if let Some((_, at_ms, report)) = counted
            && served.policy.learned.len() >= MANY
            && now.ms_since(*at_ms) < RECOUNT_MS
        {
            return report.clone();
        }
        let report = served.sessions(now);
        self.counted.retain(|(known, ..)| known != name);
        self.counted.push((name.clone(), now.monotonic_ms, report.clone()));
        report
    }
}

fn certificates(snapshot: &Snapshot) -> Vec<CertificateSample> {
    let of = |listener: &ServedListener| {
        let (listener, certificates) = (listener.name.to_string(), listener.certificates.clone());
        certificates.into_iter().map(move |(name, ends_s)| CertificateSample {
            listener: listener.clone(),
            name,
            ends_s,
        })
    };
    snapshot.listeners.iter().flat_map(of).collect()
}

/// What a backend is, whatever happens to it.
fn standing(backend: &Backend, now: Now) -> BackendSample {
    let live = backend.live();
    let wanted = match backend.admin() {
        AdminState::Up => "up",
        AdminState::Draining => "draining",
        AdminState::Maintenance => "maintenance",
    };
    BackendSample {
        id: backend.id().to_string(),
        address: backend.address().to_string(),
        state: backend.state(now).as_str().to_owned(),
        wanted: wanted.to_owned(),
        weight: backend.weight(),
        drain_left_s: live.drain().left(now).map(|left| left.as_secs()),
        drain_forecast_s: live.drain().forecast(now).map(|end| end.as_secs()),
        in_flight: live.in_flight(),
        waiting: live.waiting(),
        ..BackendSample::default()
    }
}

/// Gives how long the requests of the last few seconds took.
fn moving(
    sample: &mut BackendSample,
    traffic: &BackendTraffic,
    before: Option<&BackendTraffic>,
    seconds: f64,
) -> Distribution {
    (sample.requests, sample.errors) = (traffic.total(), traffic.errors());
    let Some(before) = before else { return Distribution::default() };
    let each_second = |now: u64, before: u64| count(now.saturating_sub(before)) / seconds;
    sample.rate = each_second(sample.requests, before.total());
    sample.error_rate = each_second(sample.errors, before.errors());
    let took = traffic.whole.since(&before.whole);
    sample.median_ms = took.quantile(500).map(ms);
    sample.slow_ms = took.quantile(990).map(ms);
    took
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "a difference of counts within seconds")]
fn count(number: u64) -> f64 {
    number as f64
}

fn seconds(ms: u64) -> f64 {
    (count(ms) / 1000.0).max(0.001)
}
