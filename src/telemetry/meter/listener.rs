//! What a listener answers by itself: requests that come to no backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::counts::CodeClass;

/// Requests of one listener that came to no backend, by what the client saw.
#[derive(Clone, Debug, Default)]
pub struct ListenerMeter(Arc<Tally>);

#[derive(Debug, Default)]
struct Tally {
    answered: [AtomicU64; CodeClass::ALL.len()],
    limited: LimitMeter,
}

/// Requests that were one too many, by what was counted.
#[derive(Clone, Debug, Default)]
pub struct LimitMeter(Arc<[AtomicU64; LimitedBy::ALL.len()]>);

impl LimitMeter {
    /// Counts one.
    pub fn limited(&self, by: LimitedBy) {
        if let Some(count) = self.0.get(by.place()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many there were.
    pub fn limited_by(&self, by: LimitedBy) -> u64 {
        self.0.get(by.place()).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// By what requests were told apart of which one was too many.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LimitedBy {
    /// The client's address.
    Client,
    /// The session.
    Session,
    /// A header field.
    Header,
}

impl LimitedBy {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Client, Self::Session, Self::Header];

    /// The word that metrics use, and the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Session => "session",
            Self::Header => "header",
        }
    }

    fn place(self) -> usize {
        match self {
            Self::Client => 0,
            Self::Session => 1,
            Self::Header => 2,
        }
    }
}

impl ListenerMeter {
    /// Counts one.
    pub fn answered(&self, class: CodeClass) {
        if let Some(count) = self.0.answered.get(class.place()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many there were of a class.
    pub fn of(&self, class: CodeClass) -> u64 {
        self.0.answered.get(class.place()).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Counts those that were one too many for the listener.
    pub fn limits(&self) -> &LimitMeter {
        &self.0.limited
    }
}
