//! The session book: what became of the sessions of each backend of a pool, and how many live. Constant memory.
//!
//! Fed with one [`Entry`] for each response, and read as a [`Report`]. The counts outlive a reload by backend id; a
//! backend that leaves the configuration takes its counts along.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::live_sessions::{CarriedSketches, LiveSessions};
use crate::clock::Now;
use crate::names::{BackendId, BackendIndex, Outcome};

/// The sessions of one pool.
#[derive(Debug)]
pub struct SessionBook {
    /// In the pool's order.
    pages: Vec<Page>,
}

#[derive(Debug)]
struct Page {
    backend: BackendId,
    counts: Arc<Counts>,
}

/// What is counted for one backend.
#[derive(Debug)]
struct Counts {
    by_outcome: [AtomicU64; Outcome::ALL.len()],
    moved_out: AtomicU64,
    live: LiveSessions,
}

/// What is counted for one backend, on its way to another process.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CarriedPage {
    backend: BackendId,
    /// In the order of [`Outcome::ALL`]; new ones go to its end.
    by_outcome: Vec<u64>,
    moved_out: u64,
    live: CarriedSketches,
}

/// What one response says of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Entry {
    /// What happened to it.
    pub outcome: Outcome,
    /// The backend that it moved away from.
    pub moved_from: Option<BackendIndex>,
    /// The seed of a session that only its token knows.
    pub only_in_token: Option<u64>,
    /// Sessions that turn out to be lost with this one, which were called rotated before.
    pub also_lost: u32,
}

/// The session book of a pool at one moment, in the pool's order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// One for each backend.
    pub backends: Vec<BackendReport>,
}

/// What became of the sessions of one backend since the process began, and how many live.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BackendReport {
    /// The backend.
    pub backend: BackendId,
    /// How many live.
    pub live: LiveCount,
    /// Sessions that its application started, for new clients and in place of lost ones.
    pub created: u64,
    /// Clients that were bound to it by a token alone.
    pub bound: u64,
    /// Sessions whose id its application replaced. Among them the first few of each restart, until these were known
    /// to be lost: a count never goes back.
    pub rotated: u64,
    /// Sessions that came from a backend that was gone.
    pub moved_in: u64,
    /// Sessions that went to another backend because this one was gone, as far as their tokens told.
    pub moved_out: u64,
    /// Sessions that its application ended.
    pub released: u64,
    /// Sessions that its application did not know, by reason.
    pub lost: Lost,
}

/// How many sessions of a backend live.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct LiveCount {
    /// In the learned table: exact.
    pub learned: u64,
    /// Known by their tokens alone, and heard of within the idle time: an estimate, 3 % off as a rule.
    pub by_token: u64,
}

impl LiveCount {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.learned.saturating_add(self.by_token)
    }
}

/// Lost sessions, by reason; each was replaced by a new one on the backend that counts it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Lost {
    /// The backend that held it was gone.
    pub after_move: u64,
    /// Nothing proved where it lived.
    pub no_proof: u64,
    /// A backend restarted without a failed check and forgot it: this one, unless the session has left it since.
    pub at_home: u64,
}

impl Lost {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.after_move.saturating_add(self.no_proof).saturating_add(self.at_home)
    }
}

impl SessionBook {
    /// A book for these backends; counts are carried over from `before`. A session that only its token knows counts
    /// as live until `idle` after its last request.
    pub fn new(backends: impl Iterator<Item = BackendId>, idle: Duration, before: Option<&Self>) -> Self {
        let page = |backend: BackendId| {
            let known = before.and_then(|before| before.pages.iter().find(|page| page.backend == backend));
            let counts = known.map_or_else(|| Arc::new(Counts::new(idle)), |page| Arc::clone(&page.counts));
            Page { backend, counts }
        };
        Self { pages: backends.map(page).collect() }
    }

    /// Enters what a response of the backend says. Atomics only, and nothing at all for a session that just goes on
    /// and is in the learned table.
    pub fn enter(&self, backend: BackendIndex, entry: &Entry, now: Now) {
        let Some(counts) = self.counts(backend) else { return };
        if let Some(seed) = entry.only_in_token {
            counts.live.heard(seed, now);
        }
        if entry.outcome == Outcome::Kept {
            return;
        }
        counts.add(entry.outcome, 1);
        if entry.also_lost > 0 {
            counts.add(Outcome::LostAtHome, u64::from(entry.also_lost));
        }
        if let Some(left) =
            entry.moved_from.filter(|left| *left != backend).and_then(|left| self.counts(left))
        {
            left.moved_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sessions that live on the backend and are known by their tokens alone, about.
    pub fn by_token(&self, backend: BackendIndex, now: Now) -> u64 {
        self.counts(backend).map_or(0, |counts| counts.live.estimate(now))
    }

    /// The whole book. `learned` says how many sessions of a backend the learned table has.
    pub fn report(&self, now: Now, learned: impl Fn(BackendIndex) -> u64) -> Report {
        let pages = self.pages.iter().zip((0..=u16::MAX).map(BackendIndex));
        let backends = pages.map(|(page, index)| page.report(now, learned(index))).collect();
        Report { backends }
    }

    /// What another process needs to go on, backend by backend.
    pub fn carried(&self, now: Now) -> impl Iterator<Item = CarriedPage> + '_ {
        self.pages.iter().map(move |page| CarriedPage {
            backend: page.backend.clone(),
            by_outcome: page.counts.by_outcome.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            moved_out: page.counts.moved_out.load(Ordering::Relaxed),
            live: page.counts.live.carried(now),
        })
    }

    /// Goes on where another process was. For a book that nobody uses yet.
    pub fn resume(&self, carried: &CarriedPage, now: Now) {
        let Some(page) = self.pages.iter().find(|page| page.backend == carried.backend) else { return };
        for (count, value) in page.counts.by_outcome.iter().zip(&carried.by_outcome) {
            count.store(*value, Ordering::Relaxed);
        }
        page.counts.moved_out.store(carried.moved_out, Ordering::Relaxed);
        page.counts.live.resume(&carried.live, now);
    }

    fn counts(&self, backend: BackendIndex) -> Option<&Counts> {
        self.pages.get(backend.position()).map(|page| page.counts.as_ref())
    }
}

impl Page {
    fn report(&self, now: Now, learned: u64) -> BackendReport {
        let of = |outcome| self.counts.of(outcome);
        let lost = Lost {
            after_move: of(Outcome::LostAfterMove),
            no_proof: of(Outcome::LostNoProof),
            at_home: of(Outcome::LostAtHome),
        };
        BackendReport {
            backend: self.backend.clone(),
            live: LiveCount { learned, by_token: self.counts.live.estimate(now) },
            created: of(Outcome::Started).saturating_add(lost.total()),
            bound: of(Outcome::Bound),
            rotated: of(Outcome::Rotated),
            moved_in: of(Outcome::Moved),
            moved_out: self.counts.moved_out.load(Ordering::Relaxed),
            released: of(Outcome::Released),
            lost,
        }
    }
}

impl Counts {
    fn new(idle: Duration) -> Self {
        Self { by_outcome: Default::default(), moved_out: AtomicU64::new(0), live: LiveSessions::new(idle) }
    }

    fn place(&self, outcome: Outcome) -> Option<&AtomicU64> {
        self.by_outcome.get(Outcome::ALL.iter().position(|known| *known == outcome)?)
    }

    fn add(&self, outcome: Outcome, more: u64) {
        if let Some(count) = self.place(outcome) {
            count.fetch_add(more, Ordering::Relaxed);
        }
    }

    fn of(&self, outcome: Outcome) -> u64 {
        self.place(outcome).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { monotonic_ms: 5_000, unix_s: 0 };
    const IDLE: Duration = Duration::from_secs(1800);

    fn book(backends: &[&str], before: Option<&SessionBook>) -> SessionBook {
        SessionBook::new(backends.iter().map(|id| BackendId::new(id)), IDLE, before)
    }

    fn entry(outcome: Outcome) -> Entry {
        Entry { outcome, ..Entry::default() }
    }

    #[test]
    fn each_outcome_is_counted_where_it_happened() {
        let book = book(&["app1", "app2"], None);
        for (at, outcome) in Outcome::ALL.into_iter().enumerate() {
            (0..=at).for_each(|_| book.enter(BackendIndex(1), &entry(outcome), NOW));
        }
        let moved = Entry { moved_from: Some(BackendIndex(0)), ..entry(Outcome::Moved) };
        book.enter(BackendIndex(1), &moved, NOW);
        let restart = Entry { also_lost: 4, ..entry(Outcome::LostAtHome) };
        book.enter(BackendIndex(1), &restart, NOW);
        let report = book.report(NOW, |index| u64::from(index.0) * 10);
        let lost = Lost { after_move: 6, no_proof: 7, at_home: 8 + 5 };
        let expected = BackendReport {
            backend: BackendId::new("app2"),
            live: LiveCount { learned: 10, by_token: 0 },
            created: 2 + lost.total(),
            bound: 3,
            rotated: 4,
            moved_in: 5 + 1,
            moved_out: 0,
            released: 9,
            lost,
        };
        assert_eq!(report.backends[1], expected);
        assert_eq!((report.backends[0].moved_out, report.backends[0].created), (1, 0));
    }

    #[test]
    fn counts_and_live_sessions_outlive_a_reload_by_backend_id() {
        let before = book(&["app1", "app2"], None);
        let heard = Entry { only_in_token: Some(0x1234_5678_9ABC_DEF0), ..entry(Outcome::Started) };
        before.enter(BackendIndex(1), &heard, NOW);
        let after = book(&["app3", "app2"], Some(&before));
        let report = after.report(NOW, |_| 0);
        assert_eq!((report.backends[1].created, report.backends[1].live.by_token), (1, 1));
        assert_eq!((report.backends[0].created, report.backends[0].live.total()), (0, 0));
        assert_eq!(after.by_token(BackendIndex(1), NOW), 1);
    }

    #[test]
    fn counts_outlive_an_upgrade_by_backend_id() {
        let before = book(&["app1", "app2"], None);
        let heard = Entry { only_in_token: Some(0x1234_5678_9ABC_DEF0), ..entry(Outcome::LostAtHome) };
        before.enter(BackendIndex(1), &heard, NOW);
        before.enter(
            BackendIndex(0),
            &Entry { moved_from: Some(BackendIndex(1)), ..entry(Outcome::Moved) },
            NOW,
        );
        let after = book(&["app3", "app2"], None);
        for page in before.carried(NOW) {
            let told = serde_json::to_string(&page).unwrap();
            after.resume(&serde_json::from_str(&told).unwrap(), NOW);
        }
        assert_eq!(after.report(NOW, |_| 0).backends[1], before.report(NOW, |_| 0).backends[1]);
        assert_eq!(after.report(NOW, |_| 0).backends[0].moved_in, 0);
    }

    #[test]
    fn a_report_can_be_serialised() {
        let report = book(&["app1"], None).report(NOW, |_| 2);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["backends"][0]["backend"], "app1");
        assert_eq!(json["backends"][0]["live"]["learned"], 2);
        assert_eq!(json["backends"][0]["lost"]["at_home"], 0);
    }
}
