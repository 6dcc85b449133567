//! What differs from the file at run time: what discovery has found, what was changed by hand, and who is leaving.
//!
//! Pure. A configuration file and an overlay make the configuration that is in force, so a change at run time takes
//! the same way as a reload: it is compiled and swapped whole.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Now, millis};
use crate::config::checked::{Backend, BackendState, Pool, Removal};
use crate::names::{BackendId, PoolName};

/// What differs from the file, pool by pool.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Overlay {
    pools: BTreeMap<PoolName, PoolOverlay>,
}

/// What differs in one pool.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct PoolOverlay {
    /// What discovery found last; `None`: nothing yet, or no discovery.
    found: Option<Vec<Backend>>,
    by_hand: BTreeMap<BackendId, ByHand>,
    leaving: BTreeMap<BackendId, Leaving>,
}

/// What was changed of one backend at run time.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ByHand {
    pub(crate) state: Option<BackendState>,
    /// How long it may drain, where that was said.
    pub(crate) deadline: Option<Duration>,
    pub(crate) weight: Option<u16>,
    /// It is none of the file's.
    pub(crate) added: Option<SocketAddr>,
    /// It was taken out.
    pub(crate) removed: bool,
}

/// A backend that was taken out and drains.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Leaving {
    backend: Backend,
    until_ms: u64,
}

/// The backends of one pool, under its name.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Members {
    pool: PoolName,
    backends: Vec<Backend>,
}

impl Members {
    /// Those of each pool.
    pub(crate) fn of(pools: &[Pool]) -> Vec<Self> {
        pools.iter().map(|pool| Self { pool: pool.name.clone(), backends: pool.backends.clone() }).collect()
    }
}

impl Overlay {
    /// The backends of a pool of the file as they are in force: those that are named, and those that are leaving.
    pub(crate) fn backends(&self, pool: &Pool) -> Vec<Backend> {
        let mut backends = self.named(pool);
        if let Some(overlay) = self.pools.get(&pool.name) {
            backends.extend(overlay.leaving.values().map(|leaving| leaving.backend.clone()));
        }
        backends
    }

    /// The pools of the file as they are in force.
    pub(crate) fn pools(&self, file: &[Pool]) -> Vec<Pool> {
        file.iter().map(|pool| Pool { backends: self.backends(pool), ..pool.clone() }).collect()
    }

    /// What the file, discovery and changes by hand name. The file has the last word on what discovery found.
    fn named(&self, pool: &Pool) -> Vec<Backend> {
        let mut backends = pool.backends.clone();
        let Some(overlay) = self.pools.get(&pool.name) else { return backends };
        for found in overlay.found.iter().flatten() {
            if backends.iter().all(|backend| backend.id != found.id) {
                backends.push(found.clone());
            }
        }
        for (id, change) in &overlay.by_hand {
            match backends.iter().position(|backend| backend.id == *id) {
                Some(at) if change.removed => drop(backends.remove(at)),
                Some(at) => backends.iter_mut().skip(at).take(1).for_each(|backend| change.apply(backend)),
                None => backends.extend(change.backend(id)),
            }
        }
        backends
    }

    /// The change by hand of one backend, to be made.
    pub(crate) fn by_hand(&mut self, pool: &PoolName, id: &BackendId) -> &mut ByHand {
        self.pools.entry(pool.clone()).or_default().by_hand.entry(id.clone()).or_default()
    }

    /// Takes the change of one backend back; tells whether there was one.
    pub(crate) fn forget(&mut self, pool: &PoolName, id: &BackendId) -> bool {
        self.pools.get_mut(pool).is_some_and(|overlay| overlay.by_hand.remove(id).is_some())
    }

    /// All changes by hand.
    #[cfg(test)]
    pub(crate) fn changes(&self) -> impl Iterator<Item = (&PoolName, &BackendId, &ByHand)> {
        self.pools
            .iter()
            .flat_map(|(pool, overlay)| overlay.by_hand.iter().map(move |(id, change)| (pool, id, change)))
    }

    /// What discovery has found, all of it.
    pub(crate) fn found(&mut self, pool: &PoolName, backends: Vec<Backend>) {
        self.pools.entry(pool.clone()).or_default().found = Some(backends);
    }

    /// Drops what another file makes pointless: changes of backends that it changes, too, or no longer has.
    pub(crate) fn follow(&mut self, before: &[Members], after: &[Pool]) {
        self.pools.retain(|name, _| after.iter().any(|pool| pool.name == *name));
        for pool in after {
            let Some(overlay) = self.pools.get_mut(&pool.name) else { continue };
            let old = before.iter().find(|before| before.pool == pool.name);
            let found = overlay.found.clone().unwrap_or_default();
            let discovered = |id: &BackendId| found.iter().any(|backend| backend.id == *id);
            overlay.by_hand.retain(|id, change| {
                let in_file = pool.backends.iter().find(|backend| backend.id == *id);
                let before = old.and_then(|pool| pool.backends.iter().find(|backend| backend.id == *id));
                match in_file {
                    // The file was written later than the change was made.
                    Some(now) if before.is_some_and(|before| before != now) => false,
                    Some(_) if change.added.is_some() => false,
                    Some(now) => {
                        change.state = change.state.filter(|state| *state != now.state);
                        change.weight = change.weight.filter(|weight| *weight != now.weight);
                        change.removed || change.state.is_some() || change.weight.is_some()
                    }
                    None => change.added.is_some() || discovered(id),
                }
            });
        }
    }

    /// Lets backends that are in force, but named no more, leave slowly where their pool wants it.
    pub(crate) fn see_off(&mut self, in_force: &[Members], file: &[Pool], now: Now) {
        for pool in file {
            let named = self.named(pool);
            let is_named = |id: &BackendId| named.iter().any(|backend| backend.id == *id);
            let leaving = &mut self.pools.entry(pool.name.clone()).or_default().leaving;
            leaving.retain(|id, _| !is_named(id));
            let until_ms = now.monotonic_ms.saturating_add(millis(pool.drain.deadline));
            let before = in_force.iter().find(|before| before.pool == pool.name);
            for backend in before.into_iter().flat_map(|before| &before.backends) {
                let slowly = pool.removal == Removal::Drain && backend.state != BackendState::Maintenance;
                if slowly && !is_named(&backend.id) && !leaving.contains_key(&backend.id) {
                    let backend = Backend {
                        state: BackendState::Draining,
                        drain_deadline: Some(pool.drain.deadline),
                        ..backend.clone()
                    };
                    leaving.insert(backend.id.clone(), Leaving { backend, until_ms });
                }
            }
        }
    }

    /// Drops those who have left: their time is over, or `gone` says that they do not answer. Tells whether there were any.
    pub(crate) fn dismiss(&mut self, now: Now, gone: impl Fn(&PoolName, &BackendId) -> bool) -> bool {
        let mut any = false;
        for (pool, overlay) in &mut self.pools {
            let before = overlay.leaving.len();
            overlay.leaving.retain(|id, leaving| leaving.until_ms > now.monotonic_ms && !gone(pool, id));
            any |= overlay.leaving.len() < before;
        }
        any
    }

    /// The same for another process: whoever is leaving has so much time left.
    pub(crate) fn carried(mut self, now: Now) -> Self {
        for leaving in self.pools.values_mut().flat_map(|overlay| overlay.leaving.values_mut()) {
            leaving.until_ms = leaving.until_ms.saturating_sub(now.monotonic_ms);
        }
        self
    }

    /// What another process carried over, by this process's clock.
    pub(crate) fn resumed(mut self, now: Now) -> Self {
        for leaving in self.pools.values_mut().flat_map(|overlay| overlay.leaving.values_mut()) {
            leaving.until_ms = leaving.until_ms.saturating_add(now.monotonic_ms);
        }
        self
    }

    /// Whether a backend was taken out and drains.
    pub(crate) fn is_leaving(&self, pool: &PoolName, id: &BackendId) -> bool {
        self.pools.get(pool).is_some_and(|overlay| overlay.leaving.contains_key(id))
    }

    /// Whether nobody is leaving.
    pub(crate) fn nobody_leaves(&self) -> bool {
        self.pools.values().all(|overlay| overlay.leaving.is_empty())
    }
}

impl ByHand {
    fn apply(&self, backend: &mut Backend) {
        backend.state = self.state.unwrap_or(backend.state);
        backend.weight = self.weight.unwrap_or(backend.weight);
        backend.drain_deadline = self.deadline;
    }

    /// The backend that was added by hand.
    fn backend(&self, id: &BackendId) -> Option<Backend> {
        let address = self.added.filter(|_| !self.removed)?;
        let mut backend = Backend {
            id: id.clone(),
            address: address.into(),
            weight: 1,
            state: BackendState::Up,
            drain_deadline: None,
        };
        self.apply(&mut backend);
        Some(backend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { monotonic_ms: 10_000, unix_s: 0 };

    fn file(yaml_backends: &str) -> Vec<Pool> {
        let text = format!(
            "version: 1\nlisteners: [ {{ name: web, address: '127.0.0.1:0', routes: [ {{ pool: app }} ] }} ]\n\
             pools:\n  app:\n    backends: [ {yaml_backends} ]\n"
        );
        crate::config::parse(&text, std::path::Path::new("test.yaml")).unwrap().pools
    }

    fn backend(id: &str) -> String {
        format!("{{ id: {id}, address: '127.0.0.1:80' }}")
    }

    fn words(overlay: &Overlay, file: &[Pool]) -> String {
        let backends = overlay.backends(&file[0]);
        let word = |backend: &Backend| format!("{} {:?} {}", backend.id, backend.state, backend.weight);
        backends.iter().map(word).collect::<Vec<_>>().join(", ")
    }

    fn app() -> PoolName {
        PoolName::new("app")
    }

    fn id(id: &str) -> BackendId {
        BackendId::new(id)
    }

    #[test]
    fn changes_by_hand_stand_over_the_file_until_it_says_something_new() {
        let first = file(&format!("{}, {}", backend("a"), backend("b")));
        let mut overlay = Overlay::default();
        overlay.by_hand(&app(), &id("a")).state = Some(BackendState::Draining);
        overlay.by_hand(&app(), &id("b")).weight = Some(7);
        overlay.by_hand(&app(), &id("c")).added = Some("127.0.0.1:81".parse().unwrap());
        assert_eq!(words(&overlay, &first), "a Draining 1, b Up 7, c Up 1");
        overlay.follow(&Members::of(&first), &first);
        assert_eq!(words(&overlay, &first), "a Draining 1, b Up 7, c Up 1", "the same file changes nothing");
        let second = file(&format!(
            "{}, {{ id: b, address: '127.0.0.1:80', weight: 3 }}, {}",
            backend("a"),
            backend("c")
        ));
        overlay.follow(&Members::of(&first), &second);
        assert_eq!(words(&overlay, &second), "a Draining 1, b Up 3, c Up 1", "the file was written later");
        let third = file(&format!("{{ id: a, address: '127.0.0.1:80', state: draining }}, {}", backend("b")));
        overlay.follow(&Members::of(&second), &third);
        assert_eq!(overlay.changes().count(), 0, "the file has caught up");
    }

    #[test]
    fn who_is_taken_out_drains_first_and_may_come_back() {
        let both = file(&format!("{}, {}", backend("a"), backend("b")));
        let one = file(&backend("a"));
        let mut overlay = Overlay::default();
        let before = Members::of(&overlay.pools(&both));
        overlay.see_off(&before, &one, NOW);
        assert_eq!(words(&overlay, &one), "a Up 1, b Draining 1");
        let before = Members::of(&overlay.pools(&one));
        overlay.see_off(&before, &one, NOW.after(Duration::from_secs(60)));
        assert!(!overlay.dismiss(NOW.after(Duration::from_secs(1799)), |_, _| false), "its time is not over");
        assert_eq!(words(&overlay, &one), "a Up 1, b Draining 1");
        let mut returned = overlay.clone();
        returned.see_off(&before, &both, NOW);
        assert_eq!(words(&returned, &both), "a Up 1, b Up 1");
        let mut dead = overlay.clone();
        assert!(dead.dismiss(NOW, |_, gone| gone.as_str() == "b"));
        assert_eq!(words(&dead, &one), "a Up 1", "who does not answer has nothing to keep");
        assert!(overlay.dismiss(NOW.after(Duration::from_secs(1800)), |_, _| false));
        assert!(overlay.nobody_leaves());
    }

    #[test]
    fn discovery_adds_to_the_file_and_what_it_no_longer_finds_drains() {
        let file = file(&backend("a"));
        let found = |id: &str| Backend {
            id: BackendId::new(id),
            address: "127.0.0.1:82".parse().unwrap(),
            weight: 2,
            state: BackendState::Up,
            drain_deadline: None,
        };
        let mut overlay = Overlay::default();
        overlay.found(&app(), vec![found("a"), found("x"), found("y")]);
        assert_eq!(words(&overlay, &file), "a Up 1, x Up 2, y Up 2", "the file has the last word");
        let before = Members::of(&overlay.pools(&file));
        overlay.by_hand(&app(), &id("x")).removed = true;
        overlay.found(&app(), vec![found("x")]);
        overlay.see_off(&before, &file, NOW);
        assert_eq!(words(&overlay, &file), "a Up 1, x Draining 2, y Draining 2");
    }
}
