//! Which requests are written.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::record::LogRecord;
use crate::names::Outcome;

/// What makes a request matter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Matter {
    /// A server error, or no answer at all.
    Errors,
    /// A client error.
    ClientErrors,
    /// Its session moved.
    Moved,
    /// Its session was lost.
    Lost,
    /// It was tried more than once.
    Retried,
}

/// Which requests are written.
#[derive(Debug)]
pub struct Filter {
    /// Any of these; empty, and `slower_than` absent: every request.
    pub only: Vec<Matter>,
    /// Also those that took longer.
    pub slower_than: Option<Duration>,
    /// Of what is left, one of so many; errors, moved and lost sessions are always written.
    pub one_of: u64,
    /// Counts for `one_of`.
    pub turn: AtomicU64,
}

impl Matter {
    fn is(self, record: &LogRecord<'_>) -> bool {
        match self {
            Self::Errors => record.status.is_none_or(|status| status >= 500),
            Self::ClientErrors => record.status.is_some_and(|status| (400..500).contains(&status)),
            Self::Moved => record.outcome == Outcome::Moved,
            Self::Lost => {
                matches!(record.outcome, Outcome::LostAfterMove | Outcome::LostNoProof | Outcome::LostAtHome)
            }
            Self::Retried => record.retries > 0,
        }
    }
}

impl Filter {
    /// Lets everything through.
    pub fn all() -> Self {
        Self { only: Vec::new(), slower_than: None, one_of: 1, turn: AtomicU64::new(0) }
    }

    /// Whether a request is written.
    pub(super) fn wants(&self, record: &LogRecord<'_>) -> bool {
        let slow = self.slower_than.is_some_and(|limit| record.times.whole > limit);
        let every = self.only.is_empty() && self.slower_than.is_none();
        if !every && !slow && !self.only.iter().any(|matter| matter.is(record)) {
            return false;
        }
        self.one_of <= 1
            || [Matter::Errors, Matter::Moved, Matter::Lost].iter().any(|matter| matter.is(record))
            || self.turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.one_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::access_log::record::tests::record;

    fn wants(only: &[Matter], slower_than: Option<u64>, record: &LogRecord<'_>) -> bool {
        let slower_than = slower_than.map(Duration::from_millis);
        Filter { only: only.to_vec(), slower_than, ..Filter::all() }.wants(record)
    }

    #[test]
    fn conditions_are_alternatives() {
        let good = record();
        let failed = LogRecord { status: Some(502), ..good };
        let left = LogRecord { status: None, ..good };
        let lost = LogRecord { outcome: Outcome::LostNoProof, ..good };
        let moved = LogRecord { outcome: Outcome::Moved, retries: 1, ..good };
        let slow = LogRecord {
            times: crate::telemetry::Times { whole: Duration::from_secs(2), ..good.times },
            ..good
        };
        assert!(wants(&[], None, &good));
        for (one, matter) in
            [(failed, Matter::Errors), (left, Matter::Errors), (lost, Matter::Lost), (moved, Matter::Moved)]
        {
            assert!(wants(&[matter], None, &one) && !wants(&[matter], None, &good));
            assert!(wants(&[Matter::ClientErrors, matter], Some(1000), &one));
        }
        assert!(wants(&[Matter::Retried], None, &moved));
        assert!(wants(&[], Some(1000), &slow) && !wants(&[], Some(1000), &good));
        assert!(wants(&[Matter::Lost], Some(1000), &slow));
        let unknown = LogRecord { status: Some(404), ..good };
        assert!(wants(&[Matter::ClientErrors], None, &unknown) && !wants(&[Matter::Errors], None, &unknown));
    }

    #[test]
    fn a_sample_keeps_what_matters() {
        let filter = Filter { one_of: 10, ..Filter::all() };
        let good = record();
        let lost = LogRecord { outcome: Outcome::LostAtHome, ..good };
        assert_eq!((0..1000).filter(|_| filter.wants(&good)).count(), 100);
        assert!((0..50).all(|_| filter.wants(&lost)));
    }
}
