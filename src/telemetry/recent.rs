//! Recent decisions with their explanations, so that "why did this request go there?" can be asked afterwards.
//!
//! Bounded in memory and in work: so many of each kind are kept, and so many are written in one second; what a client
//! can bring about at will is among that. Moves, losses and refusals have room of their own, which ordinary requests
//! cannot take.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::clock::Now;
use crate::names::{BackendId, Outcome, PoolName, Reason};

/// Ordinary requests that are kept, and that are written in one second.
const ORDINARY: (usize, u32) = (256, 64);
/// Moves, losses, guesses and refusals.
const NOTABLE: (usize, u32) = (512, 256);

/// Recent decisions.
#[derive(Debug)]
pub struct Recent {
    ordinary: Shelf,
    notable: Shelf,
    next: AtomicU64,
}

/// One decision, and what came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its number, from 1 on.
    pub number: u64,
    /// The request's own id, if it has one.
    pub request_id: Option<Box<str>>,
    /// When it ended, in seconds since 1970.
    pub at_s: u64,
    /// Its method.
    pub method: Box<str>,
    /// The first segment of its path.
    pub path: Box<str>,
    /// Its pool.
    pub pool: PoolName,
    /// The backend that served it; `None`: nobody.
    pub backend: Option<BackendId>,
    /// The backend that its session left, as far as its token told.
    pub left: Option<BackendId>,
    /// Why it went there, or why nobody served it.
    pub reason: &'static str,
    /// What became of its session.
    pub outcome: Outcome,
    /// The status that the client saw; 0: none.
    pub status: u16,
    /// Tries after the first.
    pub retries: u32,
    /// The explanation.
    pub trace: Trace,
}

/// The explanation of a decision, in words, without any secret.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trace {
    /// Why, in a sentence.
    pub because: String,
    /// Each piece of evidence.
    pub notes: Vec<Note>,
    /// The backends and their states when it was decided; of a big pool, only those that matter.
    pub states: Vec<(BackendId, &'static str)>,
    /// Who would have been next.
    pub runner_up: Option<BackendId>,
}

/// One piece of evidence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// What it is.
    pub what: String,
    /// What it says.
    pub says: String,
    /// What it is worth: a word.
    pub weight: &'static str,
    /// Why it is worth that.
    pub why: String,
}

#[derive(Debug)]
struct Shelf {
    records: Mutex<VecDeque<Arc<Record>>>,
    room: usize,
    each_second: u32,
    second: AtomicU64,
    used: AtomicU32,
}

impl Default for Recent {
    fn default() -> Self {
        Self { ordinary: Shelf::new(ORDINARY), notable: Shelf::new(NOTABLE), next: AtomicU64::new(1) }
    }
}

impl Recent {
    /// Whether a request that is decided so is to be explained: asks for its place in this second.
    pub fn wants(&self, reason: Reason, now: Now) -> bool {
        let shelf = match reason {
            Reason::Moved | Reason::Conflict | Reason::Hash => &self.notable,
            Reason::Route | Reason::LbCookie | Reason::Learned | Reason::New => &self.ordinary,
        };
        shelf.has_time(now)
    }

    /// Whether a request that ended so, and was not explained when it was decided, is to be explained after all.
    pub fn wants_after_all(&self, outcome: Outcome, now: Now) -> bool {
        is_loss(outcome) && self.notable.has_time(now)
    }

    /// Whether one that nobody can serve is to be explained.
    pub fn wants_refusal(&self, now: Now) -> bool {
        self.notable.has_time(now)
    }

    /// Keeps a record; gives its number.
    pub fn keep(&self, mut record: Record) -> Arc<Record> {
        record.number = self.next.fetch_add(1, Ordering::Relaxed);
        let shelf = if record.is_notable() { &self.notable } else { &self.ordinary };
        let record = Arc::new(record);
        shelf.keep(Arc::clone(&record));
        record
    }

    /// The record of that number or request id, if it is still there.
    pub fn find(&self, id: &str) -> Option<Arc<Record>> {
        let number = id.parse::<u64>().ok();
        let is_it = |record: &Record| {
            Some(record.number) == number || record.request_id.as_deref().is_some_and(|own| own == id)
        };
        [&self.notable, &self.ordinary].into_iter().find_map(|shelf| shelf.find(is_it))
    }

    /// Moves, losses, guesses and refusals behind a number, the latest last.
    pub fn notable_since(&self, number: u64) -> Vec<Arc<Record>> {
        let records = self.notable.records.lock();
        let mut news: Vec<_> =
            records.iter().rev().take_while(|record| record.number > number).cloned().collect();
        news.reverse();
        news
    }

    /// All records, the latest first.
    pub fn all(&self) -> Vec<Arc<Record>> {
        let mut all: Vec<_> = [&self.notable, &self.ordinary]
            .into_iter()
            .flat_map(|shelf| shelf.records.lock().iter().cloned().collect::<Vec<_>>())
            .collect();
        all.sort_by_key(|record| std::cmp::Reverse(record.number));
        all
    }
}

impl Record {
    /// Whether somebody is likely to ask about it.
    pub fn is_notable(&self) -> bool {
        let odd = [Reason::Moved, Reason::Conflict, Reason::Hash].map(Reason::as_str).contains(&self.reason);
        odd || self.backend.is_none() || is_loss(self.outcome) || self.outcome == Outcome::Moved
    }
}

/// Whether the application did not know the session.
pub fn is_loss(outcome: Outcome) -> bool {
    match outcome {
        Outcome::LostAfterMove | Outcome::LostNoProof | Outcome::LostAtHome => true,
        Outcome::Kept
        | Outcome::Started
        | Outcome::Bound
        | Outcome::Rotated
        | Outcome::Moved
        | Outcome::Released => false,
    }
}

impl Shelf {
    fn new((room, each_second): (usize, u32)) -> Self {
        let records = Mutex::new(VecDeque::with_capacity(room));
        Self { records, room, each_second, second: AtomicU64::new(0), used: AtomicU32::new(0) }
    }

    /// Takes one of this second's places. Two threads at a second's turn may take one too many.
    fn has_time(&self, now: Now) -> bool {
        let second = now.monotonic_ms / 1000;
        if self.second.load(Ordering::Relaxed) != second {
            self.second.store(second, Ordering::Relaxed);
            self.used.store(0, Ordering::Relaxed);
        }
        self.used.load(Ordering::Relaxed) < self.each_second
            && self.used.fetch_add(1, Ordering::Relaxed) < self.each_second
    }

    fn keep(&self, record: Arc<Record>) {
        let mut records = self.records.lock();
        let oldest = if records.len() >= self.room { records.pop_front() } else { None };
        records.push_back(record);
        drop(records);
        // Freed without the lock.
        drop(oldest);
    }

    fn find(&self, is_it: impl Fn(&Record) -> bool) -> Option<Arc<Record>> {
        self.records.lock().iter().rev().find(|record| is_it(record)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Now = Now { monotonic_ms: 5_000, unix_s: 0 };

    fn record(reason: Reason, outcome: Outcome) -> Record {
        Record {
            number: 0,
            request_id: None,
            at_s: 0,
            method: "GET".into(),
            path: "/".into(),
            pool: PoolName::new("app"),
            backend: Some(BackendId::new("app1")),
            left: None,
            reason: reason.as_str(),
            outcome,
            status: 200,
            retries: 0,
            trace: Trace::default(),
        }
    }

    #[test]
    fn ordinary_requests_do_not_push_out_what_somebody_will_ask_about() {
        let recent = Recent::default();
        let lost = recent.keep(record(Reason::LbCookie, Outcome::LostAtHome)).number;
        let first = recent.keep(record(Reason::New, Outcome::Started)).number;
        (0..1000).for_each(|_| drop(recent.keep(record(Reason::LbCookie, Outcome::Kept))));
        assert_eq!(recent.find(&lost.to_string()).unwrap().outcome, Outcome::LostAtHome);
        assert_eq!(recent.find(&first.to_string()), None, "it had to make room");
        let all = recent.all();
        assert_eq!((all.len(), all[0].number, all.last().unwrap().number), (ORDINARY.0 + 1, 1002, lost));
        (0..1000).for_each(|_| drop(recent.keep(record(Reason::Hash, Outcome::LostNoProof))));
        assert_eq!(recent.all().len(), ORDINARY.0 + NOTABLE.0);
    }

    #[test]
    fn a_second_has_only_so_many_places() {
        let recent = Recent::default();
        let wanted = |reason, now| (0..10_000).filter(|_| recent.wants(reason, now)).count();
        assert_eq!(wanted(Reason::LbCookie, NOW), 64);
        assert_eq!(wanted(Reason::Hash, NOW), 256, "they do not take each other's");
        assert_eq!(wanted(Reason::Hash, NOW.after(Duration::from_millis(500))), 0);
        assert!(!recent.wants_after_all(Outcome::LostAtHome, NOW));
        assert_eq!(wanted(Reason::New, NOW.after(Duration::from_secs(1))), 64);
        assert!(recent.wants_after_all(Outcome::LostAtHome, NOW.after(Duration::from_secs(2))));
        assert!(!recent.wants_after_all(Outcome::Kept, NOW.after(Duration::from_secs(3))));
    }

    #[test]
    fn a_record_is_found_by_its_requests_own_id() {
        let recent = Recent::default();
        let own = Record { request_id: Some("abc-1".into()), ..record(Reason::New, Outcome::Started) };
        let number = recent.keep(own).number;
        assert_eq!(recent.find("abc-1").unwrap().number, number);
        assert_eq!(recent.find("abc"), None);
    }
}
