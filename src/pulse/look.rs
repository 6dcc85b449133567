//! What has changed since the last look: states of backends, who came and went, moves and losses.

use std::collections::HashMap;

use crate::clock::Now;
use crate::names::{BackendId, Outcome, PoolName};
use crate::pool::{Backend, Cause, Health, State};
use crate::snapshot::Snapshot;
use crate::telemetry::{About, EventKind, Events, Recent, Record, is_loss};

/// Moves and losses that are told one by one in each look; of more, how many.
const TOLD: usize = 10;

/// What was seen at the last look.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// `None`: nothing yet.
    states: Option<HashMap<(PoolName, BackendId), State>>,
    /// The last recent request that was told of.
    request: u64,
}

impl Look {
    /// Tells which backends are in another state, have come or have gone.
    pub(super) fn states(&mut self, snapshot: &Snapshot, events: &Events, now: Now) {
        let mut states = HashMap::new();
        for served in &snapshot.pools {
            let pool = served.pool.name();
            for backend in served.pool.backends() {
                let state = backend.state(now);
                let key = (pool.clone(), backend.id().clone());
                let about = About { pool: Some(pool), backend: Some(backend.id()), ..About::default() };
                match self.states.as_ref().map(|before| before.get(&key)) {
                    None => {}
                    Some(None) => {
                        let text = format!("{} was added to pool {pool}", backend.id());
                        events.tell(EventKind::Configuration, about, text, now);
                    }
                    Some(Some(before)) if *before == state => {}
                    Some(Some(before)) => {
                        let (kind, text) = changed(backend, *before, state, now);
                        events.tell(kind, about, text, now);
                    }
                }
                states.insert(key, state);
            }
        }
        let mut gone: Vec<_> = self.states.take().into_iter().flatten().map(|(key, _)| key).collect();
        gone.retain(|key| !states.contains_key(key));
        gone.sort_unstable();
        for (pool, backend) in gone {
            let about = About { pool: Some(&pool), backend: Some(&backend), ..About::default() };
            events.tell(EventKind::Configuration, about, format!("{backend} has left pool {pool}"), now);
        }
        self.states = Some(states);
    }

    /// Tells of sessions that moved or were lost.
    pub(super) fn requests(&mut self, recent: &Recent, events: &Events, now: Now) {
        let news = recent.notable_since(self.request);
        self.request = news.last().map_or(self.request, |record| record.number);
        for (kind, is_it) in [
            (EventKind::Lost, (|record| is_loss(record.outcome)) as fn(&Record) -> bool),
            (EventKind::Moved, |record| record.outcome == Outcome::Moved),
        ] {
            let all: Vec<_> = news.iter().filter(|record| is_it(record)).collect();
            for record in all.iter().take(TOLD) {
                let about = About {
                    pool: Some(&record.pool),
                    backend: record.left.as_ref().or(record.backend.as_ref()),
                    request: Some(record.number),
                    at_s: Some(record.at_s),
                };
                events.tell(kind, about, in_words(record), now);
            }
            let rest = all.len().saturating_sub(TOLD);
            if rest > 0 {
                let verb = if kind == EventKind::Lost { "were lost" } else { "moved" };
                let text = format!("{rest} more sessions {verb} in this second");
                events.tell(kind, About::default(), text, now);
            }
        }
    }
}

fn changed(backend: &Backend, before: State, state: State, now: Now) -> (EventKind, String) {
    let id = backend.id();
    let why = match (state, backend.live().health(now)) {
        (State::Down, Health::Down(Cause::Unreachable)) => ": connections to it fail",
        (State::Down, Health::Down(Cause::Unhealthy)) => ": its health page fails",
        (State::Suspect, _) => ": a connection failed, and a probe decides",
        (State::Maintenance, _) if backend.live().drain().is_over(now) => {
            ": its drain has reached its deadline"
        }
        _ => "",
    };
    let kind = match (before, state) {
        (State::Draining, _) | (_, State::Draining) => EventKind::Drain,
        _ => EventKind::State,
    };
    (kind, format!("{id}: {} → {}{why}", before.as_str(), state.as_str()))
}

fn in_words(record: &Record) -> String {
    let now_at = record.backend.as_ref().map_or("nobody", |backend| backend.as_str());
    match (record.outcome, &record.left) {
        (Outcome::Moved, Some(left)) => format!("a session moved from {left} to {now_at}"),
        (Outcome::Moved, None) => format!("a session moved to {now_at}"),
        (Outcome::LostAfterMove, Some(left)) => {
            format!("a session was lost with {left}, which was gone; {now_at} has started a new one")
        }
        (Outcome::LostAfterMove, None) => {
            format!("a session was lost with its backend, which was gone; {now_at} has started a new one")
        }
        (Outcome::LostAtHome, _) => {
            format!("a session was lost: {now_at} did not know it any more and has started a new one")
        }
        _ => format!("a session was lost: nothing proved where it lived, and {now_at} did not know it"),
    }
}
