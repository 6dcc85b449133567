//! The learned table of one pool, shared with other replicas through Redis, Valkey or whatever speaks their
//! protocol: the engine.
//!
//! [`SharedTable::run`] owns the connection: it writes what the journal notes, at once and in batches, behind the
//! requests. [`SharedTable::ask`] is what a request calls that nobody here can lead home for sure. Without the engine,
//! or while it is slow, nobody waits and everything works as it does alone.
//!
//! Only what the application itself has said is shared. An id that only clients have named was placed by its hash,
//! which is the same on every replica; shared, invented ids would fill the engine.
//!
//! A key is a prefix made from the pool's mark and the session's digest, a value the backend's tag and an end of
//! life: no session id leaves the process, and another seed or pool never meets ours.

mod ask;
mod breaker;
mod counts;
mod engine;
mod misses;
mod record;
mod run;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use zeroize::Zeroizing;

pub use counts::{SharedCounts, SharedTally};

use breaker::Breaker;
use engine::{Engine, EngineError};
use misses::Misses;
use record::Keys;

use super::KeptPool;
use crate::affinity::{JOURNAL_LENGTH, Journal};
use crate::clock::Now;

/// Requests that ask the engine at once; a further one is decided without it.
const PLACES: usize = 256;

/// Requests among them that ask again, for a session that may have started a moment ago. Of their own, so that a flood
/// of invented ids, which all ask again, does not keep others from asking once.
const PATIENT_PLACES: usize = 64;

/// Where the engine is, and how long to wait for it.
#[derive(Clone, PartialEq, Eq)]
pub struct EngineSettings {
    /// Its name or IP address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it is spoken to over TLS, verified with the platform's certificates.
    pub tls: bool,
    /// The number of its database.
    pub database: i64,
    /// Who we are there, if it asks.
    pub user: Option<String>,
    /// Our password there, if it asks.
    pub password: Option<Zeroizing<String>>,
    /// How long a request waits for an answer, at most.
    pub timeout: Duration,
}

impl std::fmt::Debug for EngineSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, tls, database, user: _, password: _, timeout } = self;
        write!(f, "EngineSettings({host}:{port}/{database}, tls: {tls}, timeout: {timeout:?})")
    }
}

/// One pool's learned table and the engine that shares it.
#[derive(Debug)]
pub struct SharedTable {
    pool: KeptPool,
    settings: EngineSettings,
    keys: Keys,
    journal: Arc<Journal>,
    /// The journal has something to write.
    rung: Arc<Notify>,
    /// The connection, while it is good: whoever finds none does not wait.
    door: ArcSwapOption<Engine>,
    /// The door was closed.
    closed: Notify,
    /// Why requests closed it.
    given_up: Mutex<String>,
    breaker: Mutex<Breaker>,
    misses: Mutex<Misses>,
    places: Semaphore,
    patient_places: Semaphore,
    counts: SharedCounts,
}

impl SharedTable {
    /// Shares a pool's table once it runs.
    pub fn new(pool: KeptPool, settings: EngineSettings) -> Self {
        let rung = Arc::new(Notify::new());
        let bell = Arc::clone(&rung);
        Self {
            keys: Keys::of(&pool.mark),
            journal: Arc::new(Journal::with_bell(JOURNAL_LENGTH, move || bell.notify_one())),
            rung,
            pool,
            settings,
            door: ArcSwapOption::empty(),
            closed: Notify::new(),
            given_up: Mutex::default(),
            breaker: Mutex::default(),
            misses: Mutex::default(),
            places: Semaphore::new(PLACES),
            patient_places: Semaphore::new(PATIENT_PLACES),
            counts: SharedCounts::default(),
        }
    }

    /// Whether it shares this very table over this engine: after a reload, it may go on.
    pub fn serves(&self, pool: &KeptPool, settings: &EngineSettings) -> bool {
        Arc::ptr_eq(&self.pool.learned, &pool.learned)
            && self.pool.name == pool.name
            && self.pool.mark == pool.mark
            && self.settings == *settings
    }

    /// What happened so far.
    pub fn counts(&self) -> &SharedCounts {
        &self.counts
    }

    fn engine(&self) -> Option<Arc<Engine>> {
        self.door.load_full()
    }

    fn is_open(&self, engine: &Arc<Engine>) -> bool {
        self.engine().is_some_and(|open| Arc::ptr_eq(&open, engine))
    }

    fn open(&self, engine: &Arc<Engine>) {
        self.breaker.lock().closed(Now::read());
        self.counts.set_connected(true);
        self.door.store(Some(Arc::clone(engine)));
    }

    fn close(&self) {
        self.door.store(None);
        self.counts.set_connected(false);
        self.closed.notify_one();
    }

    /// The engine did not answer as it should: too often in a row, and nobody asks it any more.
    fn failed(&self, engine: &Arc<Engine>, error: &EngineError) {
        let breaks = error.ends_connection() || self.breaker.lock().failed();
        if breaks && self.is_open(engine) {
            *self.given_up.lock() = error.to_string();
            self.close();
        }
    }

    fn answered(&self) {
        self.breaker.lock().answered();
    }
}
