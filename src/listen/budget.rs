//! Memory and disk that all buffers of a listener share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is left of it, in bytes.
#[derive(Debug)]
pub struct Budget(AtomicU64);

/// A part of it; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    of: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    /// So many bytes.
    pub fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(bytes)))
    }

    /// Bytes that are left.
    pub fn left(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Share {
    /// Nothing yet.
    pub(super) fn of(budget: &Arc<Budget>) -> Self {
        Self { of: Arc::clone(budget), bytes: 0 }
    }

    /// Takes more, unless too little is left.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let more = u64::try_from(bytes).unwrap_or(u64::MAX);
        let taken =
            self.of.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(more));
        if taken.is_ok() {
            self.bytes += more;
        }
        taken.is_ok()
    }

    /// Gives all of it back.
    pub(super) fn clear(&mut self) {
        self.of.0.fetch_add(std::mem::take(&mut self.bytes), Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_given_back() {
        let budget = Budget::new(100);
        let (mut one, mut two) = (Share::of(&budget), Share::of(&budget));
        assert!(one.grow(60) && !two.grow(50) && two.grow(40) && budget.left() == 0);
        drop(one);
        two.clear();
        assert_eq!(budget.left(), 100);
    }
}
