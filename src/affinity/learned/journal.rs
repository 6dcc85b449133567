//! What changed in the learned table, for those who keep it elsewhere: the state folder, the shared table.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::Remembered;
use crate::affinity::session::SessionDigest;

/// Changes that wait at most; about 3 MB.
pub const JOURNAL_LENGTH: usize = 65_536;

/// One change of the learned table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// A session was learned, moved, retired, or lives on.
    Learned(Remembered),
    /// The session is over.
    Forgotten {
        /// Which one.
        session: SessionDigest,
    },
    /// The session had to make room for another one; it may still be alive.
    Evicted {
        /// Which one.
        session: SessionDigest,
    },
}

/// What happened since the journal was last taken, in the order of each session's events.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    /// The changes.
    pub changes: Vec<Change>,
    /// Changes were dropped: everything must be written anew.
    pub overflowed: bool,
}

impl Batch {
    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && !self.overflowed
    }
}

/// A bounded list of changes, filled by the [`Learned`](super::Learned) tables that it is attached to.
///
/// A session that is used all the time is noted once for each eighth of the idle time, so that what is kept
/// elsewhere expires at most an eighth too early.
pub struct Journal {
    batch: Mutex<Batch>,
    length: usize,
    bell: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Default for Journal {
    fn default() -> Self {
        Self::new(JOURNAL_LENGTH)
    }
}

impl Journal {
    /// Makes an empty journal for `length` changes.
    pub fn new(length: usize) -> Self {
        Self { batch: Mutex::default(), length, bell: None }
    }

    /// Makes an empty journal that calls `bell` at the first change after each [`take`](Self::take). A session's
    /// shard is locked meanwhile: it has to be quick, and to leave the table alone.
    pub fn with_bell(length: usize, bell: impl Fn() + Send + Sync + 'static) -> Self {
        Self { bell: Some(Box::new(bell)), ..Self::new(length) }
    }

    /// Takes what happened since the last time.
    pub fn take(&self) -> Batch {
        std::mem::take(&mut *self.batch.lock())
    }

    fn push(&self, change: Change) {
        let mut batch = self.batch.lock();
        let first = batch.is_empty();
        if batch.changes.len() < self.length {
            batch.changes.push(change);
        } else {
            batch.overflowed = true;
        }
        drop(batch);
        if first && let Some(bell) = &self.bell {
            bell();
        }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("length", &self.length).finish_non_exhaustive()
    }
}

/// Who wants to know of changes.
#[derive(Debug, Default)]
pub(super) struct Readers(ArcSwap<Vec<Arc<Journal>>>);

impl Readers {
    pub(super) fn attach(&self, journal: &Arc<Journal>) {
        self.0.rcu(|readers| {
            let others = readers.iter().filter(|reader| !Arc::ptr_eq(reader, journal));
            others.chain([journal]).map(Arc::clone).collect::<Vec<_>>()
        });
    }

    pub(super) fn detach(&self, journal: &Arc<Journal>) {
        self.0.rcu(|readers| {
            let others = readers.iter().filter(|reader| !Arc::ptr_eq(reader, journal));
            others.map(Arc::clone).collect::<Vec<_>>()
        });
    }

    /// Notes a change; the caller holds the session's shard, so that changes of one session stay in order.
    pub(super) fn note(&self, change: impl FnOnce() -> Change) {
        let readers = self.0.load();
        if !readers.is_empty() {
            let change = change();
            readers.iter().for_each(|reader| reader.push(change));
        }
    }

    /// Notes a change in all journals but the one of whoever it came from.
    pub(super) fn note_to_others(&self, source: &Arc<Journal>, change: impl FnOnce() -> Change) {
        let readers = self.0.load();
        let mut others = readers.iter().filter(|reader| !Arc::ptr_eq(reader, source)).peekable();
        if others.peek().is_some() {
            let change = change();
            others.for_each(|reader| reader.push(change));
        }
    }
}
