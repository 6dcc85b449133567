//! What another configuration would change, in words, and how many live sessions would move.

use serde::Serialize;

use crate::clock::Now;
use crate::config::Checked;
use crate::config::checked::{Backend, BackendState, Pool};
use crate::snapshot::Snapshot;

/// What another configuration changes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Plan {
    /// Each change, in words.
    pub changes: Vec<String>,
    /// Learned sessions whose backend would not keep them; those known by a token alone are not counted.
    pub moving_sessions: u64,
    /// What only another process can put in force, if anything.
    pub needs_another_process: Option<String>,
}

impl Plan {
    /// All changes on one line.
    pub fn summary(&self) -> String {
        if self.changes.is_empty() { "nothing has changed".to_owned() } else { self.changes.join("; ") }
    }

    /// The changes from some pools to others.
    pub(super) fn between(before: &[Pool], after: &[Pool]) -> Self {
        let mut changes = Vec::new();
        for pool in after {
            match before.iter().find(|old| old.name == pool.name) {
                None => changes.push(format!("pool {}: added", pool.name)),
                Some(old) => compare_pools(old, pool, &mut changes),
            }
        }
        let gone = before.iter().filter(|old| after.iter().all(|pool| pool.name != old.name));
        changes.extend(gone.map(|old| format!("pool {}: removed", old.name)));
        Self { changes, ..Self::default() }
    }

    /// Adds what differs outside of pools.
    pub(super) fn compare_rest(&mut self, before: &Checked, after: &Checked) {
        for listener in &after.listeners {
            let old = before.listeners.iter().find(|old| old.name == listener.name);
            if old.is_some_and(|old| old != listener) {
                self.changes.push(format!("listener {}: settings", listener.name));
            }
        }
        let token = |checked: &Checked| checked.admin.as_ref().and_then(|admin| admin.token.clone());
        if token(before) != token(after) {
            self.changes.push("admin: token".to_owned());
        }
        if before.webhook != after.webhook {
            self.changes.push("alerts".to_owned());
        }
        if before.otlp != after.otlp {
            self.changes.push("telemetry".to_owned());
        }
        if before.keys != after.keys {
            self.changes.push("keys".to_owned());
        }
        if before.affinity_seed != after.affinity_seed {
            self.changes.push("affinity_seed: consistent hashes and learned sessions begin anew".to_owned());
        }
    }

    /// Counts the sessions of backends that would not keep them.
    pub(super) fn count_moving(&mut self, snapshot: &Snapshot, after: &[Pool], now: Now) {
        for served in &snapshot.pools {
            let pool = after.iter().find(|pool| pool.name == *served.pool.name());
            let keeps = |backend: &Backend| backend.state != BackendState::Maintenance;
            let staying: Vec<_> = pool
                .map(|pool| pool.backends.iter().filter(|backend| keeps(backend)).collect())
                .unwrap_or_default();
            let leaves = |index| {
                let id = served.pool.backend(index).map(|backend| backend.id());
                staying.iter().all(|backend| Some(&backend.id) != id)
            };
            let tags: Vec<_> = served
                .pool
                .indexes()
                .filter(|index| leaves(*index))
                .filter_map(|index| Some(served.pool.backend(index)?.tag()))
                .collect();
            if !tags.is_empty() {
                let sessions = served.policy.learned.export(now).flatten();
                let moving = sessions.filter(|session| !session.retired && tags.contains(&session.backend));
                self.moving_sessions += u64::try_from(moving.count()).unwrap_or(u64::MAX);
            }
        }
    }
}

fn compare_pools(before: &Pool, after: &Pool, changes: &mut Vec<String>) {
    let name = &after.name;
    for backend in &after.backends {
        let id = &backend.id;
        let Some(old) = before.backends.iter().find(|old| old.id == *id) else {
            changes.push(format!("pool {name}: backend {id}: added"));
            continue;
        };
        if old.address != backend.address {
            changes.push(format!("pool {name}: backend {id}: address {} → {}", old.address, backend.address));
        }
        if old.weight != backend.weight {
            changes.push(format!("pool {name}: backend {id}: weight {} → {}", old.weight, backend.weight));
        }
        if old.state != backend.state {
            let (old, new) = (old.state.as_str(), backend.state.as_str());
            changes.push(format!("pool {name}: backend {id}: state {old} → {new}"));
        }
    }
    let gone = before.backends.iter().filter(|old| after.backends.iter().all(|backend| backend.id != old.id));
    changes.extend(gone.map(|old| format!("pool {name}: backend {}: removed", old.id)));
    let rest = Pool { backends: after.backends.clone(), ..before.clone() };
    if rest != *after {
        changes.push(format!("pool {name}: settings"));
    }
}
