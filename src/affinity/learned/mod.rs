//! The learned table: which backend holds which session, for clients that hold no token.
//!
//! Sharded, bounded, least recently used goes first; an insert is never refused. Keys are keyed digests, so
//! a session id is never kept. One session costs at most 64 bytes (`benches/learned.rs` measures it).
//!
//! Ids that only a client has named are kept apart, in an eighth of the room: a flood of invented ids must
//! not push out a session that the application started.
//!
//! Whoever keeps the table elsewhere attaches a [`Journal`], and starts from [`Learned::export`].

mod gaps;
mod journal;
mod shard;
mod table;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub use gaps::{GAPS_S, Gap};
pub use journal::{Batch, Change, JOURNAL_LENGTH, Journal};

use gaps::Gaps;
use journal::Readers;
use table::Table;

use super::session::SessionDigest;
use crate::clock::Now;
use crate::names::BackendTag;

/// How long a session id stays known after the application has replaced it: for requests in flight.
pub const RETIRED_FOR: Duration = Duration::from_secs(60);

/// Which backend holds which session.
#[derive(Debug)]
pub struct Learned {
    started: Table,
    named: Table,
    readers: Readers,
    capacity: usize,
    idle: Duration,
    /// Processes that tell what they learn.
    feeds: AtomicUsize,
    gaps: Arc<Gaps>,
}

/// Who vouches for a learned session id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The application set it.
    Application,
    /// A client presented it and a backend accepted it without a word.
    Client,
}

/// All that is known of one session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Remembered {
    /// The digest of its id.
    pub session: SessionDigest,
    /// The backend that holds it.
    pub backend: BackendTag,
    /// Who vouches for it.
    pub origin: Origin,
    /// When it is forgotten unless it is used, in seconds since 1970.
    pub expires_s: u32,
    /// The application has replaced the id: use no longer extends its life.
    pub retired: bool,
}

impl Learned {
    /// Makes an empty table for `capacity` sessions, each forgotten when unused for `idle`.
    pub fn new(capacity: usize, idle: Duration) -> Self {
        Self::with_gaps(capacity, idle, Arc::default())
    }

    fn with_gaps(capacity: usize, idle: Duration, gaps: Arc<Gaps>) -> Self {
        Self {
            started: Table::new(capacity, idle, Origin::Application, Arc::clone(&gaps)),
            // An id that only a client names says nothing of its application.
            named: Table::new((capacity / 8).max(1), idle, Origin::Client, Arc::default()),
            readers: Readers::default(),
            capacity,
            idle,
            feeds: AtomicUsize::new(0),
            gaps,
        }
    }

    /// Whether another process that serves the same clients tells what it learns: what is unknown now may be known in
    /// a moment.
    pub fn is_fed(&self) -> bool {
        self.feeds.load(Ordering::Relaxed) > 0
    }

    /// One more process tells what it learns: in the middle of two upgrades, that is two.
    pub fn feed_begins(&self) {
        self.feeds.fetch_add(1, Ordering::Relaxed);
    }

    /// One of them has ended.
    pub fn feed_ends(&self) {
        self.feeds.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether it was made for this capacity and idle time.
    pub fn is_for(&self, capacity: usize, idle: Duration) -> bool {
        (self.capacity, self.idle) == (capacity, idle)
    }

    /// How long a session may be unused.
    pub fn idle(&self) -> Duration {
        self.idle
    }

    /// How many sessions it has room for that the application has started; beside them, an eighth of that for those that
    /// only clients have named.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// A table of another size with the same sessions, as many of the most recent as it has room for.
    pub fn resized(&self, capacity: usize, idle: Duration, now: Now) -> Self {
        let table = Self::with_gaps(capacity, idle, Arc::clone(&self.gaps));
        for sessions in self.export(now) {
            for session in &sessions {
                // Whoever finds no room was the least recently used.
                let _ = table.restore(session, now);
            }
        }
        table
    }

    /// After which gaps sessions have come back, and what became of them.
    pub fn gaps(&self) -> Vec<Gap> {
        self.gaps.report()
    }

    /// The backend that holds the session; counts as use.
    pub fn find(&self, session: &SessionDigest, now: Now) -> Option<BackendTag> {
        self.started
            .find(session, now, &self.readers)
            .or_else(|| self.named.find(session, now, &self.readers))
    }

    /// The backend that holds the session, without counting as use.
    pub fn peek(&self, session: &SessionDigest, now: Now) -> Option<BackendTag> {
        self.started.peek(session, now).or_else(|| self.named.peek(session, now))
    }

    /// All that is known of the session, without counting as use.
    pub fn recall(&self, session: &SessionDigest, now: Now) -> Option<Remembered> {
        self.started.recall(session, now).or_else(|| self.named.recall(session, now))
    }

    /// When the session was last used, in seconds since 1970; for a retired id, long before that.
    pub fn last_used_s(&self, session: &Remembered) -> u32 {
        session.expires_s.saturating_sub(self.started.idle_s())
    }

    /// Whether the table knows that the backend holds the session; counts as use if so.
    pub fn used(&self, session: &SessionDigest, backend: BackendTag, now: Now) -> bool {
        self.started.used(session, backend, now, &self.readers)
            || self.named.used(session, backend, now, &self.readers)
    }

    /// How many sessions each backend holds: those that live now, without ids that were replaced. Looks at all of
    /// them, a sixteenth at a time under its lock.
    pub fn count_by_backend(&self, now: Now) -> HashMap<BackendTag, u64> {
        let mut counts = HashMap::new();
        self.started.count(now, &mut counts);
        self.named.count(now, &mut counts);
        counts
    }

    /// Remembers that the backend holds the session.
    pub fn learn(&self, session: &SessionDigest, backend: BackendTag, origin: Origin, now: Now) {
        match origin {
            Origin::Application => {
                self.named.forget(session);
                self.started.learn(session, backend, now, &self.readers);
            }
            Origin::Client if self.started.relearn(session, backend, now, &self.readers) => {}
            Origin::Client => self.named.learn(session, backend, now, &self.readers),
        }
    }

    /// The application replaced the id: it stays known for [`RETIRED_FOR`].
    pub fn retire(&self, session: &SessionDigest, now: Now) {
        self.started.retire(session, now, &self.readers);
        self.named.retire(session, now, &self.readers);
    }

    /// The session is over.
    pub fn forget(&self, session: &SessionDigest) {
        self.named.forget(session);
        // Noted even if nobody knew it here: another replica may have shared it.
        self.started.forget_noted(session, &self.readers);
    }

    /// The session is over, as `source` tells. Noted in all other journals.
    pub fn forget_as_told(&self, session: &SessionDigest, source: &Arc<Journal>) {
        self.named.forget(session);
        self.started.forget(session);
        self.readers.note_to_others(source, || Change::Forgotten { session: *session });
    }

    /// Sessions in the table, among them some whose idle time is over but whose room nobody needed yet.
    pub fn len(&self) -> usize {
        self.started.len() + self.named.len()
    }

    /// Whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// From now on, changes are noted in the journal, too.
    pub fn attach(&self, journal: &Arc<Journal>) {
        self.readers.attach(journal);
    }

    /// Changes are no longer noted in the journal.
    pub fn detach(&self, journal: &Arc<Journal>) {
        self.readers.detach(journal);
    }

    /// All sessions that live, in pieces: each piece is copied under the lock of one shard. Sessions of one
    /// piece come most recently used first. What changes meanwhile stands in an attached journal.
    pub fn export(&self, now: Now) -> impl Iterator<Item = Vec<Remembered>> + '_ {
        self.started.export(now).chain(self.named.export(now))
    }

    /// Takes over what another replica knows of a session, in place of what is known here, as the most recently
    /// used; tells whether it was alive. Noted in all journals but the `source`, which has it from there.
    pub fn adopt(&self, session: &Remembered, source: &Arc<Journal>, now: Now) -> bool {
        match session.origin {
            Origin::Application => {
                self.named.forget(&session.session);
                self.started.adopt(session, source, now, &self.readers)
            }
            Origin::Client => {
                self.started.peek(&session.session, now).is_none()
                    && self.named.adopt(session, source, now, &self.readers)
            }
        }
    }

    /// Takes a session back that was kept elsewhere; tells whether it was unknown, alive and found room.
    ///
    /// It counts as less recently used than all others, so restore the most recent first. Not noted in journals.
    pub fn restore(&self, session: &Remembered, now: Now) -> bool {
        match session.origin {
            Origin::Application => {
                let restored = self.started.restore(session, now);
                if restored {
                    self.named.forget(&session.session);
                }
                restored
            }
            Origin::Client => {
                self.started.peek(&session.session, now).is_none() && self.named.restore(session, now)
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::table::SHARDS;
    use super::*;

    const NOW: Now = Now { monotonic_ms: 0, unix_s: 1_700_000_000 };

    pub(in crate::affinity) fn session(n: u64) -> SessionDigest {
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

    #[test]
    fn sessions_are_counted_by_backend_while_they_live() {
        let table = Learned::new(1000, Duration::from_secs(100));
        (0..30).for_each(|n| table.learn(&session(n), BackendTag(n % 3), Origin::Application, NOW));
        table.learn(&session(30), BackendTag(0), Origin::Client, at(50));
        table.retire(&session(1), at(50));
        table.learn(&session(31), BackendTag(1), Origin::Application, at(50));
        table.forget(&session(2));
        let counts = |now| {
            let counts = table.count_by_backend(now);
            [0, 1, 2].map(|backend| counts.get(&BackendTag(backend)).copied().unwrap_or(0))
        };
        assert_eq!(counts(at(50)), [11, 10, 9]);
        assert!(table.used(&session(3), BackendTag(0), at(60)), "use extends its life");
        assert!(!table.used(&session(6), BackendTag(1), at(60)), "not there");
        assert_eq!(counts(at(120)), [2, 1, 0]);
    }

    fn attached(table: &Learned) -> Arc<Journal> {
        let journal = Arc::new(Journal::default());
        table.attach(&journal);
        journal
    }

    fn remembered(n: u64, backend: u64, origin: Origin, expires: u64) -> Remembered {
        let expires_s = u32::try_from(NOW.unix_s + expires).unwrap();
        Remembered { session: session(n), backend: BackendTag(backend), origin, expires_s, retired: false }
    }

    #[test]
    fn a_journal_tells_what_was_learned_moved_and_forgotten() {
        let table = Learned::new(100, Duration::from_secs(80));
        table.learn(&session(1), BackendTag(1), Origin::Application, NOW);
        let journal = attached(&table);
        assert!(journal.take().is_empty(), "what was before is exported, not noted");
        table.learn(&session(2), BackendTag(1), Origin::Client, NOW);
        table.learn(&session(2), BackendTag(2), Origin::Application, NOW);
        table.learn(&session(2), BackendTag(2), Origin::Application, NOW);
        table.retire(&session(2), NOW);
        table.retire(&session(2), NOW);
        table.forget(&session(1));
        let learned = remembered(2, 2, Origin::Application, 80);
        let expires_s = learned.expires_s - 20;
        let expected = vec![
            Change::Learned(remembered(2, 1, Origin::Client, 80)),
            Change::Learned(learned),
            Change::Learned(Remembered { expires_s, retired: true, ..learned }),
            Change::Forgotten { session: session(1) },
        ];
        assert_eq!(journal.take(), Batch { changes: expected, overflowed: false });
        table.detach(&journal);
        table.forget(&session(2));
        assert!(journal.take().is_empty());
    }

    #[test]
    fn a_busy_session_is_noted_once_for_each_eighth_of_the_idle_time() {
        let table = Learned::new(100, Duration::from_secs(80));
        let journal = attached(&table);
        table.learn(&session(1), BackendTag(1), Origin::Application, NOW);
        let mut kept = journal.take().changes;
        for second in 0..800 {
            assert!(table.find(&session(1), at(second)).is_some());
            kept.extend(journal.take().changes);
            let Some(Change::Learned(last)) = kept.last() else { panic!("a learned session") };
            let early = NOW.unix_s + second + 80 - u64::from(last.expires_s);
            assert!(early <= 10, "{early} s early");
        }
        assert!((79..=82).contains(&kept.len()), "{} changes in ten idle times", kept.len());
    }

    #[test]
    fn a_full_journal_says_that_all_must_be_written_anew() {
        let table = Learned::new(100, Duration::from_secs(80));
        let journal = Arc::new(Journal::new(2));
        table.attach(&journal);
        (0..3).for_each(|n| table.learn(&session(n), BackendTag(1), Origin::Application, NOW));
        let batch = journal.take();
        assert_eq!((batch.changes.len(), batch.overflowed), (2, true));
        assert!(journal.take().is_empty(), "taken is taken");
    }

    #[test]
    fn who_made_room_is_noted() {
        let table = Learned::new(SHARDS, Duration::from_secs(80));
        let journal = attached(&table);
        // One place in each shard, and both sessions are in the same.
        table.learn(&session(0), BackendTag(1), Origin::Application, NOW);
        table.learn(&session(256), BackendTag(1), Origin::Application, NOW);
        let changes = journal.take().changes;
        assert!(changes.contains(&Change::Evicted { session: session(0) }), "{changes:?}");
        assert_eq!(changes.last(), Some(&Change::Learned(remembered(256, 1, Origin::Application, 80))));
    }

    #[test]
    fn what_is_exported_can_be_restored() {
        let table = Learned::new(1000, Duration::from_secs(80));
        for n in 0..100 {
            let origin = if n % 3 == 0 { Origin::Client } else { Origin::Application };
            table.learn(&session(n), BackendTag(n), origin, at(n / 2));
        }
        table.retire(&session(99), at(49));
        let restored = Learned::new(1000, Duration::from_secs(80));
        let exported: Vec<_> = table.export(at(100)).flatten().collect();
        assert_eq!(exported.len(), 58, "the others have expired");
        assert!(exported.iter().all(|session| restored.restore(session, at(100))));
        assert!(exported.iter().all(|session| !restored.restore(session, at(100))), "known already");
        for n in 0..100 {
            assert_eq!(restored.peek(&session(n), at(100)), table.peek(&session(n), at(100)), "{n}");
        }
        let mut again: Vec<_> = restored.export(at(100)).flatten().collect();
        let mut exported = exported;
        exported.sort_by_key(|known| known.session.0);
        again.sort_by_key(|known| known.session.0);
        assert_eq!(again, exported);
    }

    #[test]
    fn what_is_known_is_newer_than_what_is_restored() {
        let table = Learned::new(100, Duration::from_secs(80));
        table.learn(&session(1), BackendTag(1), Origin::Application, NOW);
        assert!(!table.restore(&remembered(1, 2, Origin::Application, 50), NOW));
        assert!(!table.restore(&remembered(1, 2, Origin::Client, 50), NOW));
        assert!(!table.restore(&remembered(2, 2, Origin::Client, 0), NOW), "expired");
        assert!(table.restore(&remembered(3, 2, Origin::Application, 1_000_000), NOW));
        assert_eq!(table.find(&session(1), NOW), Some(BackendTag(1)));
        assert_eq!(table.peek(&session(3), at(80)), None, "nobody lives longer than the idle time");
    }

    #[test]
    fn what_another_replica_knows_takes_the_place_of_a_guess_and_is_not_told_back() {
        let table = Learned::new(100, Duration::from_secs(80));
        let (source, disk) = (attached(&table), attached(&table));
        table.learn(&session(1), BackendTag(1), Origin::Client, NOW);
        source.take();
        disk.take();
        let known = remembered(1, 2, Origin::Application, 70);
        assert!(table.adopt(&known, &source, NOW));
        assert_eq!(table.recall(&session(1), NOW), Some(known));
        assert_eq!(table.last_used_s(&known), known.expires_s - 80);
        assert_eq!(table.len(), 1, "the guess is gone");
        assert!(table.adopt(&known, &source, NOW), "again");
        assert!(source.take().is_empty());
        assert_eq!(disk.take().changes, [Change::Learned(known)]);
        assert!(!table.adopt(&remembered(2, 2, Origin::Application, 0), &source, NOW), "expired");
        assert!(!table.adopt(&remembered(1, 3, Origin::Client, 70), &source, NOW), "no guess over knowledge");
        assert_eq!(table.find(&session(1), NOW), Some(BackendTag(2)));
    }

    #[test]
    fn the_bell_rings_once_for_each_batch() {
        let table = Learned::new(100, Duration::from_secs(80));
        let rings = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let bell = Arc::clone(&rings);
        let journal = Journal::with_bell(10, move || {
            bell.fetch_add(1, Ordering::Relaxed);
        });
        let journal = Arc::new(journal);
        table.attach(&journal);
        for batch in 1..4 {
            (0..20)
                .for_each(|n| table.learn(&session(batch * 20 + n), BackendTag(1), Origin::Application, NOW));
            assert_eq!(u64::from(rings.load(Ordering::Relaxed)), batch);
            journal.take();
        }
    }
}
