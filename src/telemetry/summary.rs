//! The summary of one request, and counts of summaries.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::names::{BackendId, ListenerName, PoolName, Reason};

/// What one request came to.
#[derive(Clone, Debug)]
pub struct Summary<'a> {
    /// Its listener.
    pub listener: &'a ListenerName,
    /// Its id, where the listener has ids.
    pub request_id: Option<&'a str>,
    /// The route that took it, if any did.
    pub route: Option<&'a str>,
    /// Its pool and backend, if it got that far.
    pub went_to: Option<(&'a PoolName, &'a BackendId, Reason)>,
    /// What happened to its session.
    pub outcome: &'static str,
    /// The status that the client saw; 0: none.
    pub status: u16,
    /// Tries after the first.
    pub retries: u32,
    /// From its arrival to its end.
    pub took: Duration,
}

/// How many requests went where they went for each reason.
#[derive(Debug, Default)]
pub struct Counts {
    by_reason: [AtomicU64; Reason::ALL.len()],
    undecided: AtomicU64,
}

impl Counts {
    /// Counts a request.
    pub fn add(&self, summary: &Summary<'_>) {
        let count = summary
            .went_to
            .and_then(|(_, _, reason)| Reason::ALL.iter().position(|known| *known == reason))
            .and_then(|position| self.by_reason.get(position))
            .unwrap_or(&self.undecided);
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that went where they went for this reason.
    pub fn of(&self, reason: Reason) -> u64 {
        let position = Reason::ALL.iter().position(|known| *known == reason);
        position
            .and_then(|position| self.by_reason.get(position))
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

impl std::fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { listener, outcome, status, retries, took, .. } = self;
        write!(f, "listener={listener} status={status} outcome={outcome} retries={retries} took={took:?}")?;
        if let Some(id) = self.request_id {
            write!(f, " request_id={id}")?;
        }
        if let Some(route) = self.route {
            write!(f, " route={route}")?;
        }
        match self.went_to {
            Some((pool, backend, reason)) => write!(f, " pool={pool} backend={backend} reason={reason}"),
            None => Ok(()),
        }
    }
}
