//! The time, read once per request and passed down as a value.
//!
//! Pure code takes [`Now`] as an argument, so that tests and `explain` can set it. Only this file reads
//! the system's clocks.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where the monotonic clock begins: eleven days ahead, so that "some time ago" exists from the first request on, also
/// for what another process began.
const HEAD_START_MS: u64 = 1_000_000_000;

/// One moment: on the monotonic clock, for measuring, and on the wall clock, for tokens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Now {
    /// Milliseconds on the monotonic clock since this process first asked; never goes back.
    pub monotonic_ms: u64,
    /// Seconds since 1970-01-01 UTC, for times that outlive the process or leave it.
    pub unix_s: u64,
}

impl Now {
    /// Reads both clocks.
    pub fn read() -> Self {
        Exact::read().now
    }

    /// The same moment, `later` on both clocks.
    pub fn after(self, later: Duration) -> Self {
        Self {
            monotonic_ms: self.monotonic_ms.saturating_add(millis(later)),
            unix_s: self.unix_s.saturating_add(later.as_secs()),
        }
    }

    /// Milliseconds since an earlier reading of the monotonic clock; zero if it lies ahead.
    pub fn ms_since(self, earlier_ms: u64) -> u64 {
        self.monotonic_ms.saturating_sub(earlier_ms)
    }
}

/// One moment, in full: what a request's beginning is kept as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exact {
    /// As everything but measuring takes it.
    pub now: Now,
    /// For measuring.
    pub stamp: Stamp,
    /// Nanoseconds since 1970-01-01 UTC.
    pub unix_ns: u64,
}

impl Exact {
    /// Reads both clocks.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clocks")]
    pub fn read() -> Self {
        static START: OnceLock<Instant> = OnceLock::new();
        let stamp = Instant::now();
        let elapsed = stamp.saturating_duration_since(*START.get_or_init(|| stamp));
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let now = Now {
            monotonic_ms: HEAD_START_MS + u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX / 2),
            unix_s: unix.as_secs(),
        };
        let unix_ns = u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX);
        Self { now, stamp: Stamp(stamp), unix_ns }
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub fn unix_ms(&self) -> u64 {
        self.unix_ns / 1_000_000
    }
}

/// A moment on the monotonic clock, exact: for measuring how long a phase of a request takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Stamp(Instant);

impl Stamp {
    /// Reads the monotonic clock.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clocks")]
    pub fn read() -> Self {
        Self(Instant::now())
    }

    /// The moment that lies so long before this one; this one, where the clock does not reach back so far.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        self.0.checked_sub(by).map_or(self, Self)
    }

    /// How long after an earlier moment it is; zero if that lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }
}

/// A duration in whole milliseconds, saturating.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
