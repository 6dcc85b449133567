//! What a listener answers by itself: requests that come to no backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::counts::CodeClass;

/// Requests of one listener that came to no backend, by what the client saw.
#[derive(Clone, Debug, Default)]
pub struct ListenerMeter(Arc<[AtomicU64; CodeClass::ALL.len()]>);

impl ListenerMeter {
    /// Counts one.
    pub fn answered(&self, class: CodeClass) {
        if let Some(count) = self.0.get(class.place()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many there were of a class.
    pub fn of(&self, class: CodeClass) -> u64 {
        self.0.get(class.place()).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}
