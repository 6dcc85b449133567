//! The learned table: which backend holds which session, for clients that hold no token.
//!
//! Sharded, bounded, least recently used goes first; an insert is never refused. Keys are keyed digests, so
//! a session id is never kept. One session costs at most 64 bytes (`benches/learned.rs` measures it).
//!
//! Ids that only a client has named are kept apart, in an eighth of the room: a flood of invented ids must
//! not push out a session that the application started.

use std::time::Duration;

use hashbrown::HashTable;
use parking_lot::Mutex;

use super::session::SessionDigest;
use crate::clock::Now;
use crate::names::BackendTag;

/// How long a session id stays known after the application has replaced it: for requests in flight.
pub const RETIRED_FOR: Duration = Duration::from_secs(60);

const SHARDS: usize = 16;
const NOBODY: u32 = u32::MAX;

/// Which backend holds which session.
#[derive(Debug)]
pub struct Learned {
    started: Table,
    named: Table,
}

/// Who vouches for a learned session id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The application set it.
    Application,
    /// A client presented it and a backend accepted it without a word.
    Client,
}

impl Learned {
    /// Makes an empty table for `capacity` sessions, each forgotten when unused for `idle`.
    pub fn new(capacity: usize, idle: Duration) -> Self {
        Self { started: Table::new(capacity, idle), named: Table::new((capacity / 8).max(1), idle) }
    }

    /// The backend that holds the session; counts as use.
    pub fn find(&self, session: &SessionDigest, now: Now) -> Option<BackendTag> {
        self.started.find(session, now).or_else(|| self.named.find(session, now))
    }

    /// The backend that holds the session, without counting as use.
    pub fn peek(&self, session: &SessionDigest, now: Now) -> Option<BackendTag> {
        self.started.peek(session, now).or_else(|| self.named.peek(session, now))
    }

    /// Remembers that the backend holds the session.
    pub fn learn(&self, session: &SessionDigest, backend: BackendTag, origin: Origin, now: Now) {
        match origin {
            Origin::Application => {
                self.named.forget(session);
                self.started.learn(session, backend, now);
            }
            Origin::Client if self.started.relearn(session, backend, now) => {}
            Origin::Client => self.named.learn(session, backend, now),
        }
    }

    /// The application replaced the id: it stays known for [`RETIRED_FOR`].
    pub fn retire(&self, session: &SessionDigest, now: Now) {
        self.started.retire(session, now);
        self.named.retire(session, now);
    }

    /// The session is over.
    pub fn forget(&self, session: &SessionDigest) {
        self.started.forget(session);
        self.named.forget(session);
    }

    /// Sessions in the table, among them some whose idle time is over but whose room nobody needed yet.
    pub fn len(&self) -> usize {
        self.started.len() + self.named.len()
    }

    /// Whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[derive(Debug)]
struct Table {
    shards: Box<[Mutex<Shard>]>,
    idle_s: u32,
}

impl Table {
    fn new(capacity: usize, idle: Duration) -> Self {
        let each = u32::try_from(capacity.div_ceil(SHARDS)).unwrap_or(NOBODY - 1).clamp(1, NOBODY - 1);
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::new(each))).collect(),
            idle_s: u32::try_from(idle.as_secs()).unwrap_or(u32::MAX).max(1),
        }
    }

    fn shard(&self, session: &SessionDigest) -> Option<&Mutex<Shard>> {
        let [first, ..] = session.0;
        self.shards.get(usize::from(first) % SHARDS)
    }

    fn find(&self, session: &SessionDigest, now: Now) -> Option<BackendTag> {
        self.shard(session)?.lock().find(session, seconds(now), self.idle_s)
    }

    fn peek(&self, session: &SessionDigest, now: Now) -> Option<BackendTag> {
        let shard = self.shard(session)?.lock();
        let entry = shard.entries.get(position(shard.position_of(session)?))?;
        (entry.expires_s > seconds(now)).then(|| entry.backend())
    }

    fn learn(&self, session: &SessionDigest, backend: BackendTag, now: Now) {
        if let Some(shard) = self.shard(session) {
            shard.lock().learn(session, backend, seconds(now).saturating_add(self.idle_s));
        }
    }

    /// Learns only what is known already; tells whether it was.
    fn relearn(&self, session: &SessionDigest, backend: BackendTag, now: Now) -> bool {
        let Some(shard) = self.shard(session) else { return false };
        let mut shard = shard.lock();
        let known = shard.position_of(session).is_some();
        if known {
            shard.learn(session, backend, seconds(now).saturating_add(self.idle_s));
        }
        known
    }

    fn retire(&self, session: &SessionDigest, now: Now) {
        if let Some(shard) = self.shard(session) {
            shard.lock().retire(session, seconds(now).saturating_add(RETIRED_S));
        }
    }

    fn forget(&self, session: &SessionDigest) {
        if let Some(shard) = self.shard(session) {
            shard.lock().forget(session);
        }
    }

    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().entries.len()).sum()
    }
}

const RETIRED_S: u32 = 60;

fn seconds(now: Now) -> u32 {
    u32::try_from(now.unix_s).unwrap_or(u32::MAX)
}

fn position(at: u32) -> usize {
    at as usize
}

/// A hash table of positions into a slab whose entries form one list from most to least recently used.
#[derive(Debug)]
struct Shard {
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

    fn backend(&self) -> BackendTag {
        let [high, low] = self.backend;
        BackendTag(u64::from(high) << 32 | u64::from(low))
    }
}

fn hash(session: &SessionDigest) -> u64 {
    // Already a keyed digest; the first byte chose the shard.
    session.ring_key()
}

impl Shard {
    fn new(capacity: u32) -> Self {
        Self { index: HashTable::new(), entries: Vec::new(), capacity, newest: NOBODY, oldest: NOBODY }
    }

    fn position_of(&self, session: &SessionDigest) -> Option<u32> {
        let is_it = |at: &u32| self.entries.get(position(*at)).is_some_and(|entry| entry.session == *session);
        self.index.find(hash(session), is_it).copied()
    }

    fn find(&mut self, session: &SessionDigest, now_s: u32, idle_s: u32) -> Option<BackendTag> {
        let at = self.position_of(session)?;
        let entry = self.entries.get_mut(position(at))?;
        if entry.expires_s <= now_s {
            self.remove(at);
            return None;
        }
        if !entry.retired {
            entry.expires_s = now_s.saturating_add(idle_s);
        }
        let backend = entry.backend();
        self.unlink(at);
        self.link_newest(at);
        Some(backend)
    }

    fn learn(&mut self, session: &SessionDigest, backend: BackendTag, expires_s: u32) {
        let (backend, retired) = (Entry::split(backend), false);
        if let Some(at) = self.position_of(session) {
            if let Some(entry) = self.entries.get_mut(position(at)) {
                (entry.backend, entry.expires_s, entry.retired) = (backend, expires_s, retired);
            }
            self.unlink(at);
            self.link_newest(at);
            return;
        }
        if self.entries.len() >= position(self.capacity) {
            self.remove(self.oldest);
        }
        self.reserve();
        let Ok(at) = u32::try_from(self.entries.len()) else { return };
        self.entries.push(Entry {
            session: *session,
            backend,
            expires_s,
            newer: NOBODY,
            older: NOBODY,
            retired,
        });
        let entries = &self.entries;
        self.index.insert_unique(hash(session), at, |at| {
            entries.get(position(*at)).map_or(0, |entry| hash(&entry.session))
        });
        self.link_newest(at);
    }

    fn retire(&mut self, session: &SessionDigest, expires_s: u32) {
        let Some(at) = self.position_of(session) else { return };
        if let Some(entry) = self.entries.get_mut(position(at)) {
            entry.retired = true;
            entry.expires_s = entry.expires_s.min(expires_s);
        }
    }

    fn forget(&mut self, session: &SessionDigest) {
        if let Some(at) = self.position_of(session) {
            self.remove(at);
        }
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

    const NOW: Now = Now { monotonic_ms: 0, unix_s: 1_700_000_000 };

    fn session(n: u64) -> SessionDigest {
        let mut digest = [0; 16];
        digest[0] = n.to_le_bytes()[0];
        digest[8..].copy_from_slice(&n.to_le_bytes());
        SessionDigest(digest)
    }

    fn at(seconds: u64) -> Now {
        NOW.after(Duration::from_secs(seconds))
    }

    #[test]
    fn a_session_is_known_until_it_was_idle_too_long() {
        let table = Learned::new(100, Duration::from_secs(10));
        table.learn(&session(1), BackendTag(u64::MAX - 7), Origin::Application, NOW);
        assert_eq!(table.find(&session(1), at(9)), Some(BackendTag(u64::MAX - 7)));
        assert_eq!(table.find(&session(1), at(18)), Some(BackendTag(u64::MAX - 7)), "use extends its life");
        assert_eq!(table.peek(&session(1), at(27)), Some(BackendTag(u64::MAX - 7)));
        assert_eq!(table.find(&session(1), at(28)), None);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn a_replaced_id_stays_known_for_requests_in_flight() {
        let table = Learned::new(100, Duration::from_secs(3600));
        table.learn(&session(1), BackendTag(1), Origin::Application, NOW);
        table.retire(&session(1), NOW);
        assert_eq!(table.find(&session(1), at(59)), Some(BackendTag(1)));
        assert_eq!(table.find(&session(1), at(60)), None);
    }

    #[test]
    fn invented_ids_do_not_push_out_sessions_of_the_application() {
        let table = Learned::new(1600, Duration::from_secs(3600));
        for n in 0..500 {
            table.learn(&session(n), BackendTag(1), Origin::Application, NOW);
        }
        for n in 10_000..60_000 {
            table.learn(&session(n), BackendTag(2), Origin::Client, NOW);
        }
        assert!((0..500).all(|n| table.find(&session(n), NOW) == Some(BackendTag(1))));
        assert!(table.len() <= 500 + 200 + SHARDS);
    }

    #[derive(Debug, Clone)]
    enum Action {
        Learn(u64, u64),
        Find(u64),
        Forget(u64),
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            (0..40_u64, 0..5_u64).prop_map(|(n, b)| Action::Learn(n, b)),
            (0..40_u64).prop_map(Action::Find),
            (0..40_u64).prop_map(Action::Forget),
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
                        shard.learn(&session(n), BackendTag(b), 100);
                        model.retain(|(known, _)| *known != n);
                        if model.len() == CAPACITY {
                            model.pop_back();
                        }
                        model.push_front((n, b));
                    }
                    Action::Find(n) => {
                        let expected = model.iter().position(|(known, _)| *known == n).and_then(|i| model.remove(i));
                        prop_assert_eq!(shard.find(&session(n), 1, 99), expected.map(|(_, b)| BackendTag(b)));
                        model.extend(None::<(u64, u64)>);
                        if let Some(entry) = expected {
                            model.push_front(entry);
                        }
                    }
                    Action::Forget(n) => {
                        shard.forget(&session(n));
                        model.retain(|(known, _)| *known != n);
                    }
                }
                prop_assert_eq!(shard.entries.len(), model.len());
                prop_assert_eq!(shard.index.len(), model.len());
                let mut at = shard.newest;
                for (n, _) in &model {
                    prop_assert_eq!(shard.entries[position(at)].session, session(*n));
                    at = shard.entries[position(at)].older;
                }
                prop_assert_eq!(at, NOBODY);
            }
        }
    }
}
