//! When to stop asking an engine that does not answer, and for how long. Pure.
//!
//! The trial after a pause is made by the task that owns the connection, so that no request waits for it.

use std::time::Duration;

use crate::clock::{Now, millis};

/// Failures in a row that are too many.
const TOO_MANY: u32 = 3;

/// The first pause; each one is twice as long as the one before it, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// An engine that was good for so long is given the first pause again.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// Counts failures in a row, and says how long each pause is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Breaker {
    in_a_row: u32,
    next_pause: Duration,
    /// Since when requests ask the engine; `None`: they do not.
    closed_ms: Option<u64>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { in_a_row: 0, next_pause: FIRST_PAUSE, closed_ms: None }
    }
}

impl Breaker {
    /// The engine answered.
    pub(super) fn answered(&mut self) {
        self.in_a_row = 0;
    }

    /// The engine did not answer in time, or with an error. Tells whether that was once too often.
    pub(super) fn failed(&mut self) -> bool {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.in_a_row >= TOO_MANY
    }

    /// The trial succeeded: requests ask again.
    pub(super) fn closed(&mut self, now: Now) {
        self.in_a_row = 0;
        self.closed_ms = Some(now.monotonic_ms);
    }

    /// It broke, or the trial failed: how long to wait before the next trial.
    pub(super) fn pause(&mut self, now: Now) -> Duration {
        let was_good =
            self.closed_ms.take().is_some_and(|closed_ms| now.ms_since(closed_ms) >= millis(GOOD_FOR));
        let pause = if was_good { FIRST_PAUSE } else { self.next_pause };
        self.next_pause = (pause * 2).min(LONGEST_PAUSE);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now { monotonic_ms: 0, unix_s: 0 }.after(Duration::from_secs(seconds))
    }

    #[test]
    fn three_failures_in_a_row_break_it() {
        let mut breaker = Breaker::default();
        breaker.closed(at(0));
        assert_eq!([breaker.failed(), breaker.failed()], [false, false]);
        breaker.answered();
        assert_eq!([breaker.failed(), breaker.failed(), breaker.failed()], [false, false, true]);
        breaker.closed(at(1));
        assert!(!breaker.failed(), "a trial that succeeded counts");
    }

    #[test]
    fn pauses_double_until_it_was_good_for_a_while() {
        let mut breaker = Breaker::default();
        let pauses = |breaker: &mut Breaker, count| -> Vec<u64> {
            (0..count).map(|_| breaker.pause(at(100)).as_secs()).collect()
        };
        assert_eq!(pauses(&mut breaker, 6), [1, 2, 4, 8, 10, 10]);
        breaker.closed(at(95));
        assert_eq!(pauses(&mut breaker, 1), [10], "five good seconds are not enough");
        breaker.closed(at(90));
        assert_eq!(pauses(&mut breaker, 2), [1, 2]);
    }
}
