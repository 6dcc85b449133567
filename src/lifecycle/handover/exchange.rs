//! Both processes run for a while: what one learns, the other one is told within milliseconds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::wire::{Frame, Kind, Wire};
use super::{Farewell, HandoverError, record};
use crate::affinity::{Change, JOURNAL_LENGTH, Journal, Learned};
use crate::clock::{Now, millis};
use crate::names::PoolName;
use crate::snapshot::{ServedPool, Snapshot};

/// A look at the journals even if no bell rang.
const TURN: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(10);
/// For a process that ends, to say so.
const FAREWELL: Duration = Duration::from_secs(1);

/// The tables whose changes are told, each with the journal that notes them.
#[derive(Debug)]
pub(super) struct Exchange {
    tables: Vec<(PoolName, Arc<Learned>, Arc<Journal>)>,
    bell: Arc<Bell>,
    farewell: Mutex<Option<(Farewell, mpsc::Sender<()>)>>,
}

/// Wakes whoever tells the other process what is new.
#[derive(Debug, Default)]
struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock() = true;
        self.heard.notify_one();
    }

    fn wait(&self) {
        let mut rung = self.rung.lock();
        self.heard.wait_while_for(&mut rung, |rung| !*rung, TURN);
        *rung = false;
    }
}

impl Exchange {
    /// Notes the changes of all pools from now on.
    pub(super) fn begin(snapshot: &Snapshot) -> Self {
        let bell = Arc::new(Bell::default());
        let table = |served: &Arc<ServedPool>| {
            let rings = Arc::clone(&bell);
            let journal = Arc::new(Journal::with_bell(JOURNAL_LENGTH, move || rings.ring()));
            served.policy.learned.attach(&journal);
            served.policy.learned.feed_begins();
            (served.pool.name().clone(), Arc::clone(&served.policy.learned), journal)
        };
        Self { tables: snapshot.pools.iter().map(table).collect(), bell, farewell: Mutex::default() }
    }

    /// Sends everything that is learned.
    pub(super) fn send_all(&self, wire: &Wire, now: Now) -> Result<(), HandoverError> {
        self.tables.iter().try_for_each(|(pool, learned, _)| send_table(wire, pool, learned, now))
    }

    /// Sends what has changed since the last time; all of a table whose journal could not hold it.
    fn send_changes(&self, wire: &Wire) -> Result<(), HandoverError> {
        for (pool, learned, journal) in &self.tables {
            let batch = journal.take();
            send(wire, pool, &batch.changes)?;
            if batch.overflowed {
                send_table(wire, pool, learned, Now::read())?;
            }
        }
        Ok(())
    }

    /// Enters what the other process tells.
    pub(super) fn enter(&self, frame: &Frame) -> Result<(), HandoverError> {
        let garbled = || HandoverError::Garbled("learned sessions".to_owned());
        let (pool, changes) = record::decode(&frame.body).ok_or_else(garbled)?;
        // A pool that one of the two does not have.
        let Some((_, learned, journal)) = self.tables.iter().find(|(name, ..)| *name == pool) else {
            return Ok(());
        };
        let now = Now::read();
        for change in &changes {
            match change {
                Change::Learned(session) => {
                    learned.adopt(session, journal, now);
                }
                Change::Forgotten { session } | Change::Evicted { session } => {
                    learned.forget_as_told(session, journal);
                }
            }
        }
        Ok(())
    }

    /// Tells and hears until the other process has ended, which it says if it was told to.
    ///
    /// # Errors
    /// It is gone without a word, or says something else.
    pub(super) fn run(&self, wire: &mut Wire) -> Result<Farewell, HandoverError> {
        let frame = self.next_word(wire, None)?;
        match frame.kind {
            Kind::Farewell => frame.json(),
            other => Err(HandoverError::Garbled(format!("{other:?} at this time"))),
        }
    }

    /// Tells the other process that this one ends because it was told to; waits a moment until that is said.
    pub(super) fn say_farewell(&self, farewell: Farewell) {
        let (said, heard) = mpsc::channel();
        *self.farewell.lock() = Some((farewell, said));
        self.bell.ring();
        let _ = heard.recv_timeout(FAREWELL);
    }

    /// Sends what is new, and the last word where it is time for it.
    fn tell(&self, wire: &Wire) -> Result<(), HandoverError> {
        let farewell = self.farewell.lock().take();
        self.send_changes(wire)?;
        match farewell {
            // Whoever waits for it hears that the sender is gone.
            Some((farewell, _said)) => wire.send_json(Kind::Farewell, &farewell),
            None => Ok(()),
        }
    }

    /// Tells and hears until the other process says something else than sessions.
    pub(super) fn next_word(&self, wire: &mut Wire, limit: Option<Duration>) -> Result<Frame, HandoverError> {
        let began = Now::read();
        wire.patience(TURN, PATIENCE)?;
        let (writer, over) = (wire.writer()?, AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) && self.tell(&writer).is_ok() {
                    self.bell.wait();
                }
            });
            let word = loop {
                match wire.receive() {
                    Ok(Some(frame)) if frame.kind == Kind::Sessions => match self.enter(&frame) {
                        Ok(()) => {}
                        Err(error) => break Err(error),
                    },
                    Ok(Some(frame)) => break Ok(frame),
                    Ok(None)
                        if limit
                            .is_none_or(|limit| Now::read().ms_since(began.monotonic_ms) < millis(limit)) => {
                    }
                    Ok(None) => break Err(HandoverError::Lost(std::io::ErrorKind::TimedOut.into())),
                    Err(error) => break Err(error),
                }
            };
            over.store(true, Ordering::Relaxed);
            self.bell.ring();
            word
        })
    }
}

fn send_table(wire: &Wire, pool: &PoolName, learned: &Learned, now: Now) -> Result<(), HandoverError> {
    learned.export(now).try_for_each(|sessions| {
        let changes: Vec<_> = sessions.into_iter().map(Change::Learned).collect();
        send(wire, pool, &changes)
    })
}

fn send(wire: &Wire, pool: &PoolName, changes: &[Change]) -> Result<(), HandoverError> {
    record::encode(pool, changes).try_for_each(|body| wire.send(Kind::Sessions, &body))
}

impl Drop for Exchange {
    fn drop(&mut self) {
        for (_, learned, journal) in &self.tables {
            learned.detach(journal);
            learned.feed_ends();
        }
    }
}
