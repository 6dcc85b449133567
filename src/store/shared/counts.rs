//! What happened between us and the engine, for metrics.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What happened so far; counted as it happens.
#[derive(Debug, Default)]
pub struct SharedCounts {
    pub(super) reads: AtomicU64,
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) timeouts: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) skipped: AtomicU64,
    pub(super) writes: AtomicU64,
    pub(super) write_failures: AtomicU64,
    connected: AtomicBool,
}

/// [`SharedCounts`] at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SharedTally {
    /// Requests that asked the engine.
    pub reads: u64,
    /// Those whose session it knew.
    pub hits: u64,
    /// Those whose session it did not know.
    pub misses: u64,
    /// Those that it did not answer in time.
    pub timeouts: u64,
    /// Those that it answered with an error, or that its connection broke under.
    pub failures: u64,
    /// Requests that would have asked, but were not let: no connection, or too many asked already.
    pub skipped: u64,
    /// Sessions that were written or deleted there.
    pub writes: u64,
    /// Batches that could not be written; what was in them is written again once the engine is back.
    pub write_failures: u64,
    /// Whether the engine is in use.
    pub connected: bool,
}

impl SharedCounts {
    /// All of them now.
    pub fn tally(&self) -> SharedTally {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        SharedTally {
            reads: of(&self.reads),
            hits: of(&self.hits),
            misses: of(&self.misses),
            timeouts: of(&self.timeouts),
            failures: of(&self.failures),
            skipped: of(&self.skipped),
            writes: of(&self.writes),
            write_failures: of(&self.write_failures),
            connected: self.connected.load(Ordering::Relaxed),
        }
    }

    pub(super) fn wrote(&self, sessions: usize) {
        self.writes.fetch_add(u64::try_from(sessions).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }
}

/// Counts one more.
pub(super) fn one(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

impl fmt::Display for SharedTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reads, hits, misses, timeouts, failures, skipped, writes, write_failures, connected } =
            self;
        write!(
            f,
            "connected={connected} reads={reads} hits={hits} misses={misses} timeouts={timeouts} \
             failures={failures} skipped={skipped} writes={writes} write_failures={write_failures}"
        )
    }
}
