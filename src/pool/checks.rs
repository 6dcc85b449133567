//! What active checks of a backend met so far.

use std::sync::atomic::{AtomicU64, Ordering};

/// What active checks of a backend met so far.
#[derive(Debug, Default)]
pub struct Checks {
    passed: AtomicU64,
    page_failed: AtomicU64,
    unreachable: AtomicU64,
    untried: AtomicU64,
}

/// What one active check met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checked {
    /// It passed.
    Passed,
    /// Somebody is there, but did not answer as expected.
    PageFailed,
    /// Nobody is there.
    Unreachable,
    /// We could not try.
    Untried,
}

impl Checked {
    /// Everything that a check may meet.
    pub const ALL: [Self; 4] = [Self::Passed, Self::PageFailed, Self::Unreachable, Self::Untried];

    /// The word that metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "pass",
            Self::PageFailed => "page_failed",
            Self::Unreachable => "unreachable",
            Self::Untried => "untried",
        }
    }
}

impl Checks {
    /// Counts one.
    pub fn count(&self, met: Checked) {
        self.place(met).fetch_add(1, Ordering::Relaxed);
    }

    /// How many met that.
    pub fn of(&self, met: Checked) -> u64 {
        self.place(met).load(Ordering::Relaxed)
    }

    fn place(&self, met: Checked) -> &AtomicU64 {
        match met {
            Checked::Passed => &self.passed,
            Checked::PageFailed => &self.page_failed,
            Checked::Unreachable => &self.unreachable,
            Checked::Untried => &self.untried,
        }
    }
}
