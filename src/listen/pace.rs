//! How fast a client sends or reads: only the time counts that we wait for it.

use std::io;

/// A client's first waits do not count: a hiccup of the network is no attack.
const GRACE_MS: u64 = 10_000;

/// The pace of one direction of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Pace {
    /// Milliseconds for which we have waited.
    waited_ms: u64,
    /// Since when we wait; 0: we do not.
    since_ms: u64,
    bytes: u64,
}

/// It is slower than allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("slower than the limits allow")]
pub(super) struct TooSlow;

impl Pace {
    /// From now on we wait.
    pub(super) fn waits(&mut self, now_ms: u64) {
        if self.since_ms == 0 {
            self.since_ms = now_ms.max(1);
        }
    }

    /// Whether we wait.
    pub(super) fn is_waiting(&self) -> bool {
        self.since_ms != 0
    }

    /// So many bytes went on. `slowest` is in bytes per second; 0: no bound.
    ///
    /// # Errors
    /// On average it is slower.
    pub(super) fn went_on(&mut self, bytes: usize, slowest: u64, now_ms: u64) -> Result<(), TooSlow> {
        if self.since_ms != 0 {
            self.waited_ms = self.waited_ms.saturating_add(now_ms.saturating_sub(self.since_ms));
            self.since_ms = 0;
        }
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let counted_ms = self.waited_ms.saturating_sub(GRACE_MS);
        let least = slowest.saturating_mul(counted_ms) / 1000;
        if self.bytes < least { Err(TooSlow) } else { Ok(()) }
    }
}

impl From<TooSlow> for io::Error {
    fn from(slow: TooSlow) -> Self {
        Self::new(io::ErrorKind::TimedOut, slow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_ends_and_a_pause_of_ours_does_not_count() {
        let mut pace = Pace::default();
        let mut now = 1000;
        let ended = (0..1000).find(|_| {
            pace.waits(now);
            now += 1000;
            pace.went_on(1, 100, now).is_err()
        });
        assert_eq!(ended, Some(10), "one byte a second, after ten seconds of grace");
        let mut pace = Pace::default();
        for _ in 0..1000 {
            pace.waits(now);
            now += 1000;
            assert_eq!(pace.went_on(100, 100, now), Ok(()));
            now += 60_000;
        }
        assert_eq!(Pace::default().went_on(1, 100, u64::MAX), Ok(()), "nobody has waited");
        let mut pace = Pace { bytes: 1_000_000, ..Pace::default() };
        pace.waits(1);
        assert_eq!(pace.went_on(1, 100, 3_600_000), Ok(()), "who has taken much may pause");
    }
}
