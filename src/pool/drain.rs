//! The clock of one backend's drain: it keeps its sessions until the deadline, and then gives them up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::forecast::Curve;
use crate::clock::{Now, millis};

/// When a backend was told to drain, and for how long. Outlives a reload, so that one does not extend a drain.
#[derive(Debug, Default)]
pub struct Drain {
    /// Monotonic milliseconds; 0: it does not drain.
    since_ms: AtomicU64,
    for_ms: AtomicU64,
    curve: Mutex<Curve>,
}

impl Drain {
    /// It drains, for this long from the moment at which it began.
    pub fn begin(&self, deadline: Duration, now: Now) {
        self.for_ms.store(millis(deadline), Ordering::Relaxed);
        // Whoever drains already goes on.
        let since = now.monotonic_ms.max(1);
        if self.since_ms.compare_exchange(0, since, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            *self.curve.lock() = Curve::default();
        }
    }

    /// It takes new sessions again.
    pub fn end(&self) {
        self.since_ms.store(0, Ordering::Relaxed);
    }

    /// How long it has drained; `None`: it does not.
    pub fn age(&self, now: Now) -> Option<Duration> {
        let since = self.since_ms.load(Ordering::Relaxed);
        (since > 0).then(|| Duration::from_millis(now.ms_since(since)))
    }

    /// How long it may still drain; `None`: it does not drain.
    pub fn left(&self, now: Now) -> Option<Duration> {
        let deadline = Duration::from_millis(self.for_ms.load(Ordering::Relaxed));
        self.age(now).map(|age| deadline.saturating_sub(age))
    }

    /// Whether its deadline has passed.
    pub fn is_over(&self, now: Now) -> bool {
        self.left(now).is_some_and(|left| left.is_zero())
    }

    /// Whether it would like to know how many sessions are left.
    pub fn wants_count(&self, now: Now) -> bool {
        self.age(now).is_some_and(|age| self.curve.lock().wants(age))
    }

    /// So many sessions are left.
    pub fn note_left(&self, sessions: u64, now: Now) {
        if let Some(age) = self.age(now) {
            self.curve.lock().note(age, sessions);
        }
    }

    /// In how long 95 % of the sessions that it began with will be gone; zero: they are. `None`: it does not drain, or
    /// nothing can be said yet.
    pub fn forecast(&self, now: Now) -> Option<Duration> {
        let age = self.age(now)?;
        self.curve.lock().forecast().map(|end| end.saturating_sub(age))
    }

    /// How its sessions have ended, for another process.
    pub(super) fn curve(&self) -> Curve {
        self.curve.lock().clone()
    }

    /// Goes on with a drain that began `age` ago in another process.
    pub(super) fn resume(&self, age: Duration, curve: Curve, now: Now) {
        *self.curve.lock() = curve;
        self.since_ms.store(now.monotonic_ms.saturating_sub(millis(age)).max(1), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { monotonic_ms: 10_000, unix_s: 0 };

    #[test]
    fn a_drain_runs_from_its_beginning_whatever_is_said_meanwhile() {
        let drain = Drain::default();
        assert!(!drain.is_over(NOW) && drain.age(NOW).is_none());
        drain.begin(Duration::from_secs(10), NOW);
        let later = NOW.after(Duration::from_secs(6));
        drain.begin(Duration::from_secs(8), later);
        assert_eq!(drain.left(later), Some(Duration::from_secs(2)), "another deadline, the same beginning");
        assert!(drain.is_over(NOW.after(Duration::from_secs(8))));
        drain.end();
        assert!(!drain.is_over(NOW.after(Duration::from_secs(8))));
    }
}
