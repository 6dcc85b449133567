//! How long to wait after a failure: longer each time, up to a bound.

use std::time::Duration;

/// Before the second try.
const FIRST: Duration = Duration::from_secs(1);

/// Before any later one: short enough that the end of an outage is seen soon.
const LONGEST: Duration = Duration::from_secs(10);

/// Counts failures in a row.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// After one more failure: how long to wait.
    pub(super) fn failed(&mut self) -> Duration {
        let doublings = self.failures.min(8);
        self.failures = self.failures.saturating_add(1);
        (FIRST * 2u32.pow(doublings)).min(LONGEST)
    }

    /// After a success.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_bounded() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..6).map(|_| backoff.failed().as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
        (0..1000).for_each(|_| assert!(backoff.failed() <= LONGEST));
        backoff.succeeded();
        assert_eq!(backoff.failed(), FIRST);
    }
}
