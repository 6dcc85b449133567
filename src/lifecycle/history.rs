//! How reloads and upgrades went so far, for metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::control::Control;
use crate::clock::Now;

/// How reloads and upgrades went so far.
#[derive(Debug)]
pub(crate) struct History {
    reloaded: AtomicU64,
    reloads_refused: AtomicU64,
    last_refused: AtomicBool,
    in_force_since_s: AtomicU64,
    upgraded: AtomicU64,
    upgrades_refused: AtomicU64,
}

/// [`History`] at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Past {
    /// Reloads that were done.
    pub(crate) reloaded: u64,
    /// Reloads that were refused.
    pub(crate) reloads_refused: u64,
    /// Whether the last one was.
    pub(crate) last_refused: bool,
    /// When the configuration in force was read, in seconds since 1970.
    pub(crate) in_force_since_s: u64,
    /// Upgrades that were done.
    pub(crate) upgraded: u64,
    /// Upgrades that were not.
    pub(crate) upgrades_refused: u64,
}

impl Control {
    /// Opens log files anew that somebody has moved away, as SIGUSR1 does.
    pub fn reopen_logs(&self) {
        self.current.load().logs.reopen();
    }

    /// How reloads and upgrades went so far.
    pub(crate) fn past(&self) -> Past {
        self.history.past()
    }
}

impl History {
    /// Of a process that starts with its configuration now.
    pub(super) fn new() -> Self {
        Self {
            reloaded: AtomicU64::new(0),
            reloads_refused: AtomicU64::new(0),
            last_refused: AtomicBool::new(false),
            in_force_since_s: AtomicU64::new(Now::read().unix_s),
            upgraded: AtomicU64::new(0),
            upgrades_refused: AtomicU64::new(0),
        }
    }

    /// Counts a reload by its result.
    pub(super) fn reload<T, E>(&self, result: Result<T, E>) -> Result<T, E> {
        count(if result.is_ok() { &self.reloaded } else { &self.reloads_refused });
        self.last_refused.store(result.is_err(), Ordering::Relaxed);
        if result.is_ok() {
            self.in_force_since_s.store(Now::read().unix_s, Ordering::Relaxed);
        }
        result
    }

    /// Counts an upgrade by its result.
    pub(super) fn upgrade<T, E>(&self, result: Result<T, E>) -> Result<T, E> {
        count(if result.is_ok() { &self.upgraded } else { &self.upgrades_refused });
        result
    }

    /// All of it.
    fn past(&self) -> Past {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Past {
            reloaded: of(&self.reloaded),
            reloads_refused: of(&self.reloads_refused),
            last_refused: self.last_refused.load(Ordering::Relaxed),
            in_force_since_s: of(&self.in_force_since_s),
            upgraded: of(&self.upgraded),
            upgrades_refused: of(&self.upgrades_refused),
        }
    }
}

fn count(one: &AtomicU64) {
    one.fetch_add(1, Ordering::Relaxed);
}
