//! The meter of one pool and its backends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::counts::{CodeClass, FailedTry, Measure, reason_place};
use super::histogram::{Distribution, Histogram};
use super::stripes::Stripes;
use super::words::{TokenFault, Turned};
use crate::names::{BackendId, BackendIndex, Reason};

const CLASSES: usize = CodeClass::ALL.len();
const REASONS: usize = Reason::ALL.len();
const TURNS: usize = Turned::ALL.len();
const FAULTS: usize = TokenFault::ALL.len();
const WAYS: usize = FailedTry::ALL.len();

/// Counts the requests of one pool.
#[derive(Debug)]
pub struct PoolMeter {
    /// In the pool's order.
    pages: Vec<Page>,
    whole: Arc<Stripes<PoolCounts>>,
}

#[derive(Debug)]
struct Page {
    backend: BackendId,
    counts: Arc<Stripes<BackendCounts>>,
}

/// What is counted for a pool before a backend is known.
#[derive(Debug, Default)]
struct PoolCounts {
    decided: [AtomicU64; REASONS],
    refused: [AtomicU64; TURNS],
    tokens: [AtomicU64; FAULTS],
}

/// What is counted for a backend.
#[derive(Debug, Default)]
struct BackendCounts {
    requests: [[AtomicU64; CLASSES]; REASONS],
    retries: AtomicU64,
    failed: [AtomicU64; WAYS],
    received: AtomicU64,
    sent: AtomicU64,
    queue: Histogram,
    connect: Histogram,
    first_byte: Histogram,
    whole: Histogram,
}

/// The requests of a pool since the process began, at one moment, in the pool's order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// One for each backend.
    pub backends: Vec<BackendTraffic>,
    /// Decisions by reason, in the order of [`Reason::ALL`]: each try is decided.
    pub decided: [u64; REASONS],
    /// Requests that were refused before they came to a backend, in the order of [`Turned::ALL`].
    pub refused: [u64; TURNS],
    /// Tokens that counted as absent, in the order of [`TokenFault::ALL`].
    pub tokens: [u64; FAULTS],
}

/// The requests of one backend since the process began, at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackendTraffic {
    /// The backend.
    pub backend: BackendId,
    /// Requests by reason and class, in the order of [`Reason::ALL`] and [`CodeClass::ALL`].
    pub requests: [[u64; CLASSES]; REASONS],
    /// Tries after the first of requests that ended here.
    pub retries: u64,
    /// Tries that failed here, in the order of [`FailedTry::ALL`].
    pub failed: [u64; WAYS],
    /// Bytes of requests' bodies.
    pub received: u64,
    /// Bytes of responses' bodies.
    pub sent: u64,
    /// From arrival to a place at the backend.
    pub queue: Distribution,
    /// To connect, where no kept connection was used.
    pub connect: Distribution,
    /// From the connection to the head of the response.
    pub first_byte: Distribution,
    /// From arrival to the end.
    pub whole: Distribution,
}

impl BackendTraffic {
    fn new(backend: BackendId) -> Self {
        Self {
            backend,
            requests: Default::default(),
            retries: 0,
            failed: [0; WAYS],
            received: 0,
            sent: 0,
            queue: Distribution::default(),
            connect: Distribution::default(),
            first_byte: Distribution::default(),
            whole: Distribution::default(),
        }
    }

    /// All requests.
    pub fn total(&self) -> u64 {
        self.requests.iter().flatten().sum()
    }

    /// Requests of a class.
    pub fn of(&self, class: CodeClass) -> u64 {
        self.requests.iter().filter_map(|by_class| by_class.get(class.place())).sum()
    }

    /// Requests that ended in a server error.
    pub fn errors(&self) -> u64 {
        self.of(CodeClass::ServerError)
    }
}

impl PoolMeter {
    /// A meter for these backends; counts are carried over from `before`.
    pub fn new(backends: impl Iterator<Item = BackendId>, before: Option<&Self>) -> Self {
        let page = |backend: BackendId| {
            let known = before.and_then(|before| before.pages.iter().find(|page| page.backend == backend));
            Page { counts: known.map(|page| Arc::clone(&page.counts)).unwrap_or_default(), backend }
        };
        let whole = before.map(|before| Arc::clone(&before.whole)).unwrap_or_default();
        Self { pages: backends.map(page).collect(), whole }
    }

    /// Counts a decision that is carried out.
    pub fn decided(&self, reason: Reason) {
        if let Some(count) = self.whole.mine().and_then(|counts| counts.decided.get(reason_place(reason))) {
            one(count);
        }
    }

    /// Counts a request that was refused before it came to a backend.
    pub fn refused(&self, turned: Turned) {
        if let Some(count) = self.whole.mine().and_then(|counts| counts.refused.get(turned.place())) {
            one(count);
        }
    }

    /// Counts a token that counted as absent.
    pub fn token_refused(&self, fault: TokenFault) {
        if let Some(count) = self.whole.mine().and_then(|counts| counts.tokens.get(fault.place())) {
            one(count);
        }
    }

    /// Counts a request that has ended.
    pub fn count(&self, backend: BackendIndex, measure: &Measure) {
        let Some(counts) = self.mine(backend) else { return };
        let place = counts.requests.get(reason_place(measure.reason));
        if let Some(count) = place.and_then(|by_class| by_class.get(measure.class.place())) {
            one(count);
        }
        add(&counts.retries, u64::from(measure.retries));
        add(&counts.received, measure.received);
        add(&counts.sent, measure.sent);
        let times = &measure.times;
        let phases = [
            (&counts.queue, times.queue),
            (&counts.connect, times.connect),
            (&counts.first_byte, times.first_byte),
            (&counts.whole, Some(times.whole)),
        ];
        for (histogram, took) in phases {
            if let Some(took) = took {
                histogram.observe(took);
            }
        }
    }

    /// Counts a try that failed at a backend.
    pub fn try_failed(&self, backend: BackendIndex, way: FailedTry) {
        if let Some(count) = self.mine(backend).and_then(|counts| counts.failed.get(way.place())) {
            one(count);
        }
    }

    /// All counts as they stand.
    pub fn traffic(&self) -> Traffic {
        let backends = self.pages.iter().map(Page::traffic).collect();
        let mut sum = Traffic { backends, ..Traffic::default() };
        for counts in self.whole.all() {
            sum.decided.iter_mut().zip(&counts.decided).for_each(|(to, from)| *to += load(from));
            sum.refused.iter_mut().zip(&counts.refused).for_each(|(to, from)| *to += load(from));
            sum.tokens.iter_mut().zip(&counts.tokens).for_each(|(to, from)| *to += load(from));
        }
        sum
    }

    fn mine(&self, backend: BackendIndex) -> Option<&BackendCounts> {
        self.pages.get(backend.position())?.counts.mine()
    }
}

impl Page {
    fn traffic(&self) -> BackendTraffic {
        let mut sum = BackendTraffic::new(self.backend.clone());
        for counts in self.counts.all() {
            let requests = sum.requests.iter_mut().flatten().zip(counts.requests.iter().flatten());
            requests.for_each(|(to, from)| *to += load(from));
            sum.failed.iter_mut().zip(&counts.failed).for_each(|(to, from)| *to += load(from));
            sum.retries += load(&counts.retries);
            sum.received += load(&counts.received);
            sum.sent += load(&counts.sent);
            counts.queue.add_to(&mut sum.queue);
            counts.connect.add_to(&mut sum.connect);
            counts.first_byte.add_to(&mut sum.first_byte);
            counts.whole.add_to(&mut sum.whole);
        }
        sum
    }
}

fn one(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// Most requests have nothing to add here, and looking is cheaper.
fn add(count: &AtomicU64, more: u64) {
    if more > 0 {
        count.fetch_add(more, Ordering::Relaxed);
    }
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::Times;

    fn meter(backends: &[&str], before: Option<&PoolMeter>) -> PoolMeter {
        PoolMeter::new(backends.iter().map(|id| BackendId::new(id)), before)
    }

    fn measure(reason: Reason, status: u16) -> Measure {
        let times = Times { whole: Duration::from_millis(3), ..Times::default() };
        Measure { reason, class: CodeClass::of(Some(status)), retries: 1, received: 2, sent: 5, times }
    }

    #[test]
    fn each_request_is_counted_once_where_it_ended() {
        let meter = meter(&["app1", "app2"], None);
        meter.decided(Reason::New);
        meter.decided(Reason::Moved);
        meter.try_failed(BackendIndex(0), FailedTry::Connect);
        meter.count(BackendIndex(1), &measure(Reason::New, 200));
        meter.count(BackendIndex(1), &measure(Reason::Moved, 502));
        meter.count(BackendIndex(7), &measure(Reason::Moved, 502));
        meter.refused(Turned::Full);
        meter.token_refused(TokenFault::Expired);
        let Traffic { backends, decided, refused, tokens } = meter.traffic();
        assert_eq!((refused, tokens), ([0, 0, 1], [0, 0, 0, 0, 1]));
        assert_eq!(decided, [0, 0, 0, 0, 0, 1, 1]);
        assert_eq!((backends[0].total(), backends[0].failed), (0, [1, 0, 0]));
        let second = &backends[1];
        assert_eq!((second.total(), second.errors(), second.of(CodeClass::Success)), (2, 1, 1));
        assert_eq!((second.requests[6][2], second.requests[5][5]), (1, 1));
        assert_eq!((second.retries, second.received, second.sent), (2, 4, 10));
        assert_eq!((second.whole.count(), second.whole.sum_us), (2, 6000));
        assert_eq!(second.queue.count(), 0, "it had no such phase");
    }

    #[test]
    fn counts_outlive_a_reload_by_backend_id() {
        let before = meter(&["app1", "app2"], None);
        before.decided(Reason::New);
        before.count(BackendIndex(1), &measure(Reason::New, 200));
        let after = meter(&["app3", "app2"], Some(&before));
        // A request that began before the reload counts where it is seen.
        before.count(BackendIndex(1), &measure(Reason::New, 200));
        let Traffic { backends, decided, .. } = after.traffic();
        assert_eq!((backends[0].total(), backends[1].total(), decided[6]), (0, 2, 1));
    }
}
