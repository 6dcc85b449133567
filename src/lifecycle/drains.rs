//! Counts what is left of drains, now and then, so that their end can be told.

use crate::clock::Now;
use crate::pool::Backend;
use crate::snapshot::{ServedPool, Snapshot};

/// Counts the sessions of those backends that drain, where the drain wants to know. Called once a second.
pub(super) fn count_left(snapshot: &Snapshot, now: Now) {
    for served in &snapshot.pools {
        let wants = |backend: &Backend| backend.live().drain().wants_count(now);
        // Counting looks at every learned session: not for nothing.
        if served.pool.backends().iter().any(wants) {
            count(served, now);
        }
    }
}

fn count(served: &ServedPool, now: Now) {
    let report = served.sessions(now);
    for (backend, page) in served.pool.backends().iter().zip(report.backends) {
        let drain = backend.live().drain();
        if drain.wants_count(now) {
            drain.note_left(page.live.total(), now);
        }
    }
}
