//! One shard of a table: a hash index into a slab whose entries form a list by use. Pure: seconds come as numbers.

use hashbrown::HashTable;

use crate::affinity::session::SessionDigest;
use crate::names::BackendTag;

/// No position.
const NOBODY: u32 = u32::MAX;

/// More entries than a shard may have.
pub(super) const MOST: u32 = NOBODY - 1;

fn position(at: u32) -> usize {
    at as usize
}

/// What a shard knows of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Known {
    pub(super) backend: BackendTag,
    pub(super) expires_s: u32,
    pub(super) retired: bool,
}

/// What became of an entry that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Found {
    pub(super) now: Known,
    /// When it would have expired without this use.
    pub(super) expired_s: u32,
}

/// What an insert changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Inserted {
    /// What stood there before.
    pub(super) before: Option<Known>,
    /// Who had to go for it.
    pub(super) evicted: Option<SessionDigest>,
}

/// A hash table of positions into a slab whose entries form one list from most to least recently used.
#[derive(Debug)]
pub(super) struct Shard {
    index: HashTable<u32>,
    entries: Vec<Entry>,
    capacity: u32,
    newest: u32,
    oldest: u32,
}

/// 40 bytes; the backend's tag is split so that nothing is padded.
#[derive(Debug, Clone)]
struct Entry {
    session: SessionDigest,
    backend: [u32; 2],
    expires_s: u32,
    newer: u32,
    older: u32,
    /// Replaced by the application: use no longer extends its life.
    retired: bool,
}

impl Entry {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of a u64")]
    fn split(backend: BackendTag) -> [u32; 2] {
        [(backend.0 >> 32) as u32, backend.0 as u32]
    }

    fn known(&self) -> Known {
        let [high, low] = self.backend;
        let backend = BackendTag(u64::from(high) << 32 | u64::from(low));
        Known { backend, expires_s: self.expires_s, retired: self.retired }
    }
}

const _: () = assert!(size_of::<Entry>() == 40, "a million sessions have to fit");

fn hash(session: &SessionDigest) -> u64 {
    // Already a keyed digest; the first byte chose the shard.
    session.ring_key()
}

impl Shard {
    pub(super) fn new(capacity: u32) -> Self {
        Self { index: HashTable::new(), entries: Vec::new(), capacity, newest: NOBODY, oldest: NOBODY }
    }

    fn position_of(&self, session: &SessionDigest) -> Option<u32> {
        let is_it = |at: &u32| self.entries.get(position(*at)).is_some_and(|entry| entry.session == *session);
        self.index.find(hash(session), is_it).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn peek(&self, session: &SessionDigest) -> Option<Known> {
        Some(self.entries.get(position(self.position_of(session)?))?.known())
    }

    /// Looks a session up, which counts as use unless the id is retired.
    ///
    /// # Errors
    /// It is not there; if it was until now, when it expired.
    pub(super) fn find(
        &mut self,
        session: &SessionDigest,
        now_s: u32,
        idle_s: u32,
    ) -> Result<Found, Option<u32>> {
        let at = self.position_of(session).ok_or(None)?;
        let entry = self.entries.get_mut(position(at)).ok_or(None)?;
        let expired_s = entry.expires_s;
        if expired_s <= now_s {
            let known = Some(expired_s).filter(|_| !entry.retired);
            self.remove(at);
            return Err(known);
        }
        if !entry.retired {
            entry.expires_s = now_s.saturating_add(idle_s);
        }
        let now = entry.known();
        self.unlink(at);
        self.link_newest(at);
        Ok(Found { now, expired_s })
    }

    /// Enters a session as the most recently used, in place of what was known of it.
    pub(super) fn learn(&mut self, session: &SessionDigest, known: Known) -> Inserted {
        let mut inserted = Inserted::default();
        if let Some(at) = self.position_of(session) {
            if let Some(entry) = self.entries.get_mut(position(at)) {
                inserted.before = Some(entry.known());
                entry.backend = Entry::split(known.backend);
                (entry.expires_s, entry.retired) = (known.expires_s, known.retired);
            }
            self.unlink(at);
            self.link_newest(at);
            return inserted;
        }
        if self.is_full() {
            inserted.evicted = self.entries.get(position(self.oldest)).map(|entry| entry.session);
            self.remove(self.oldest);
        }
        if let Some(at) = self.push(session, known) {
            self.link_newest(at);
        }
        inserted
    }

    /// Enters a session as the least recently used, if it is unknown and there is room; tells whether it was.
    pub(super) fn restore(&mut self, session: &SessionDigest, known: Known) -> bool {
        if self.is_full() || self.position_of(session).is_some() {
            return false;
        }
        let Some(at) = self.push(session, known) else { return false };
        self.link_oldest(at);
        true
    }

    /// Shortens an id's life; what is known of it afterwards, if that is new.
    pub(super) fn retire(&mut self, session: &SessionDigest, expires_s: u32) -> Option<Known> {
        let at = self.position_of(session)?;
        let entry = self.entries.get_mut(position(at))?;
        let before = entry.known();
        entry.retired = true;
        entry.expires_s = entry.expires_s.min(expires_s);
        Some(entry.known()).filter(|after| *after != before)
    }

    /// Forgets a session; tells whether it was known.
    pub(super) fn forget(&mut self, session: &SessionDigest) -> bool {
        let known = self.position_of(session);
        known.inspect(|at| self.remove(*at)).is_some()
    }

    /// All entries, most recently used first.
    pub(super) fn all(&self) -> impl Iterator<Item = (SessionDigest, Known)> + '_ {
        let entry = |at: u32| self.entries.get(position(at));
        std::iter::successors(entry(self.newest), move |newer| entry(newer.older))
            .map(|entry| (entry.session, entry.known()))
    }

    /// What is known of all entries, as they lie in memory.
    pub(super) fn unordered(&self) -> impl Iterator<Item = Known> + '_ {
        self.entries.iter().map(Entry::known)
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= position(self.capacity)
    }

    /// Puts an entry into the slab and the index, but not into the list.
    fn push(&mut self, session: &SessionDigest, known: Known) -> Option<u32> {
        self.reserve();
        let at = u32::try_from(self.entries.len()).ok()?;
        self.entries.push(Entry {
            session: *session,
            backend: Entry::split(known.backend),
            expires_s: known.expires_s,
            newer: NOBODY,
            older: NOBODY,
            retired: known.retired,
        });
        let entries = &self.entries;
        self.index.insert_unique(hash(session), at, |at| {
            entries.get(position(*at)).map_or(0, |entry| hash(&entry.session))
        });
        Some(at)
    }

    /// Grows by an eighth: `Vec`'s own doubling would waste up to half of the memory.
    fn reserve(&mut self) {
        let length = self.entries.len();
        if length == self.entries.capacity() {
            let room = position(self.capacity).saturating_sub(length).max(1);
            self.entries.reserve_exact((length / 8 + 16).min(room));
        }
    }

    fn remove(&mut self, at: u32) {
        let Some(session) = self.entries.get(position(at)).map(|entry| entry.session) else { return };
        self.unlink(at);
        if let Ok(found) = self.index.find_entry(hash(&session), |candidate| *candidate == at) {
            found.remove();
        }
        // The last entry takes the free place: correct whoever points at it.
        let Some(last) = u32::try_from(self.entries.len() - 1).ok() else { return };
        self.entries.swap_remove(position(at));
        let Some(moved) = self.entries.get(position(at)).cloned() else { return };
        if let Some(slot) = self.index.find_mut(hash(&moved.session), |candidate| *candidate == last) {
            *slot = at;
        }
        self.set_older(moved.newer, at);
        self.set_newer(moved.older, at);
    }

    fn unlink(&mut self, at: u32) {
        let Some((newer, older)) = self.entries.get(position(at)).map(|entry| (entry.newer, entry.older))
        else {
            return;
        };
        self.set_older(newer, older);
        self.set_newer(older, newer);
    }

    fn link_newest(&mut self, at: u32) {
        let second = self.newest;
        if let Some(entry) = self.entries.get_mut(position(at)) {
            (entry.newer, entry.older) = (NOBODY, second);
        }
        self.set_newer(second, at);
        self.newest = at;
    }

    fn link_oldest(&mut self, at: u32) {
        let last_but_one = self.oldest;
        if let Some(entry) = self.entries.get_mut(position(at)) {
            (entry.newer, entry.older) = (last_but_one, NOBODY);
        }
        self.set_older(last_but_one, at);
        self.oldest = at;
    }

    /// Makes `older` the neighbour behind `at`; behind nobody stands the newest.
    fn set_older(&mut self, at: u32, older: u32) {
        match self.entries.get_mut(position(at)) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
    }

    /// Makes `newer` the neighbour before `at`; before nobody stands the oldest.
    fn set_newer(&mut self, at: u32, newer: u32) {
        match self.entries.get_mut(position(at)) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::affinity::learned::tests::session;

    #[derive(Debug, Clone)]
    enum Action {
        Learn(u64, u64),
        Find(u64),
        Forget(u64),
        Restore(u64, u64),
    }

    fn known(backend: u64) -> Known {
        Known { backend: BackendTag(backend), expires_s: 100, retired: false }
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            (0..40_u64, 0..5_u64).prop_map(|(n, b)| Action::Learn(n, b)),
            (0..40_u64).prop_map(Action::Find),
            (0..40_u64).prop_map(Action::Forget),
            (0..40_u64, 0..5_u64).prop_map(|(n, b)| Action::Restore(n, b)),
        ]
    }

    proptest! {
        /// One shard against a list that is ordered by use.
        #[test]
        fn the_least_recently_used_goes_first(actions in proptest::collection::vec(action(), 0..200)) {
            const CAPACITY: usize = 8;
            let mut shard = Shard::new(u32::try_from(CAPACITY).unwrap());
            let mut model: VecDeque<(u64, u64)> = VecDeque::new();
            for action in actions {
                match action {
                    Action::Learn(n, b) => {
                        let inserted = shard.learn(&session(n), known(b));
                        let before = model.iter().find(|(known, _)| *known == n).map(|(_, b)| known(*b));
                        prop_assert_eq!(inserted.before.map(|known| known.backend), before.map(|known| known.backend));
                        model.retain(|(known, _)| *known != n);
                        let evicted = if model.len() == CAPACITY { model.pop_back() } else { None };
                        prop_assert_eq!(inserted.evicted, evicted.map(|(n, _)| session(n)));
                        model.push_front((n, b));
                    }
                    Action::Find(n) => {
                        let expected = model.iter().position(|(known, _)| *known == n).and_then(|i| model.remove(i));
                        let found = shard.find(&session(n), 1, 99).map(|found| found.now).ok();
                        prop_assert_eq!(found, expected.map(|(_, b)| known(b)));
                        if let Some(entry) = expected {
                            model.push_front(entry);
                        }
                    }
                    Action::Forget(n) => {
                        let there = model.iter().any(|(known, _)| *known == n);
                        prop_assert_eq!(shard.forget(&session(n)), there);
                        model.retain(|(known, _)| *known != n);
                    }
                    Action::Restore(n, b) => {
                        let room = model.len() < CAPACITY && model.iter().all(|(known, _)| *known != n);
                        prop_assert_eq!(shard.restore(&session(n), known(b)), room);
                        model.extend(room.then_some((n, b)));
                    }
                }
                prop_assert_eq!(shard.entries.len(), model.len());
                prop_assert_eq!(shard.index.len(), model.len());
                let all: Vec<_> = shard.all().collect();
                let expected: Vec<_> = model.iter().map(|(n, b)| (session(*n), known(*b))).collect();
                prop_assert_eq!(all, expected);
                let last = model.back().map(|(n, _)| session(*n));
                prop_assert_eq!(shard.entries.get(position(shard.oldest)).map(|entry| entry.session), last);
            }
        }
    }
}
