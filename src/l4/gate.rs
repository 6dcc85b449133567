//! A listener of layer 4: what its connections and sessions need, and where what comes of them is counted.

use std::sync::Arc;

use super::ties::Ties;
use super::udp::Spare;
use crate::affinity::{Decision, FlowNote};
use crate::clock::{Exact, Stamp};
use crate::listen::{Counts, ListenerFacts};
use crate::names::Outcome;
use crate::pool::Backend;
use crate::snapshot::{Current, ServedPool, Snapshot};
use crate::telemetry::{self, CodeClass, Entry, Summary};

/// A listener of layer 4.
pub(crate) struct Gate {
    pub(crate) facts: Arc<ListenerFacts>,
    pub(crate) counts: Arc<Counts>,
    pub(super) current: Arc<Current>,
    /// Counts of connections by reason, as those of requests.
    requests: Arc<telemetry::Counts>,
    pub(super) ties: Arc<Ties>,
    /// What a listener of UDP has for a lane that has no place left.
    pub(super) spare: Spare,
}

impl Gate {
    /// A listener that goes by the snapshot in force at each connection.
    pub(crate) fn new(
        facts: Arc<ListenerFacts>,
        current: &Arc<Current>,
        requests: &Arc<telemetry::Counts>,
        ties: &Arc<Ties>,
    ) -> Self {
        let (current, requests, ties) = (Arc::clone(current), Arc::clone(requests), Arc::clone(ties));
        Self { facts, counts: Arc::default(), current, requests, ties, spare: Spare::default() }
    }

    /// Counts a client that found nobody to serve it.
    pub(super) fn not_served(&self, snapshot: &Snapshot, arrived: Stamp) {
        if let Some(listener) = snapshot.listeners.get(self.facts.index) {
            listener.meter.answered(CodeClass::ServerError);
        }
        self.requests.add(&Summary {
            listener: &self.facts.name,
            request_id: None,
            route: None,
            went_to: None,
            outcome: Outcome::Kept.as_str(),
            status: 0,
            retries: 0,
            took: Stamp::read().since(arrived),
        });
    }

    /// Counts a client that has its backend, and enters what that means for its session: when it came, and when it was.
    pub(super) fn served(
        &self,
        served: &ServedPool,
        backend: &Backend,
        decision: &Decision,
        note: FlowNote,
        retries: u32,
        (arrived, at): (Stamp, Exact),
    ) {
        served.meter.decided(decision.reason);
        let entry = Entry {
            outcome: note.outcome,
            moved_from: note.moved_from.and_then(|tag| served.pool.find_tag(tag)),
            ..Entry::default()
        };
        served.book.enter(decision.backend, &entry, at.now);
        let summary = Summary {
            listener: &self.facts.name,
            request_id: None,
            route: None,
            went_to: Some((served.pool.name(), backend.id(), decision.reason)),
            outcome: note.outcome.as_str(),
            status: 0,
            retries,
            took: at.stamp.since(arrived),
        };
        self.requests.add(&summary);
        log::debug!("{summary}");
    }
}
