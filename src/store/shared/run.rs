//! Writing: the task that owns the connection, and carries the table's changes to the engine.
//!
//! It writes as soon as something has changed, and what changes meanwhile goes with the next batch: a client may ask
//! another replica right after the response that started its session. After the engine was away, all that is known
//! here is written anew, piece by piece between the batches, where nobody else knows better.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::counts::one;
use super::engine::{Engine, EngineError, WRITE, Write, within};
use super::record::{encode, is_newer, time_to_live};
use super::{EngineSettings, SharedTable};
use crate::affinity::{Batch, Change, Origin, Remembered, SessionDigest};
use crate::clock::Now;

/// Commands that are sent in one go: short enough that a request's question behind them does not wait long.
const BATCH: usize = 256;

/// While nothing else happens, one ping tells whether the engine is still there.
const HEARTBEAT: Duration = Duration::from_secs(1);

impl SharedTable {
    /// Connects, and again whenever the connection breaks; writes what changes. Until it is dropped.
    pub async fn run(&self) {
        self.pool.learned.attach(&self.journal);
        let _leaves = Leaves(self);
        let mut told = Told::Nothing;
        loop {
            let error = match Engine::connect(&self.settings).await {
                Ok(engine) => {
                    self.tell_of_connection(&mut told);
                    self.serve(&Arc::new(engine)).await
                }
                Err(error) => error,
            };
            self.close();
            self.tell_of_trouble(&mut told, &error);
            let pause = self.breaker.lock().pause(Now::read());
            sleep(pause).await;
        }
    }

    /// Writes until something goes wrong, and tells what.
    async fn serve(&self, engine: &Arc<Engine>) -> EngineError {
        self.open(engine);
        match self.write_on(engine).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn write_on(&self, engine: &Arc<Engine>) -> Result<std::convert::Infallible, EngineError> {
        // What was learned while nobody wrote is part of what is written anew: by now others may know better.
        let mut batch = only_forgotten(self.journal.take());
        let mut pieces = self.pool.learned.export(Now::read());
        let mut piece = Vec::new();
        loop {
            self.write(engine, &batch.changes).await?;
            if piece.is_empty() {
                // Some shards are empty; the wait is for after the last one.
                piece = pieces.find(|piece| !piece.is_empty()).unwrap_or_default();
            }
            if piece.is_empty() {
                self.wait(engine).await;
            } else {
                let rest = piece.split_off(BATCH.min(piece.len()));
                self.write_anew(engine, &piece).await?;
                piece = rest;
            }
            if !self.is_open(engine) {
                return Err(EngineError::GivenUp(self.given_up.lock().clone()));
            }
            batch = self.journal.take();
            if batch.overflowed {
                (pieces, piece) = (self.pool.learned.export(Now::read()), Vec::new());
            }
        }
    }

    /// Waits for something to write; pings meanwhile.
    async fn wait(&self, engine: &Arc<Engine>) {
        tokio::select! {
            () = self.rung.notified() => {}
            () = self.closed.notified() => {}
            () = sleep(HEARTBEAT) => match engine.ping(self.settings.timeout).await {
                Ok(()) => self.answered(),
                Err(error) => self.failed(engine, &error),
            },
        }
    }

    /// Writes what has just happened.
    async fn write(&self, engine: &Engine, changes: &[Change]) -> Result<(), EngineError> {
        let now = Now::read();
        for changes in changes.chunks(BATCH) {
            let write = |change: &Change| match change {
                Change::Learned(session) if session.origin == Origin::Application => self.set(session, now),
                // A guess; see the room's page.
                Change::Learned(_) => None,
                Change::Forgotten { session } => Some(Write::Delete(self.keys.key(session))),
                // It may still be alive, and used through another replica. Its time runs out by itself.
                Change::Evicted { .. } => None,
            };
            self.send(engine, changes.iter().filter_map(write).collect()).await?;
        }
        Ok(())
    }

    /// Writes sessions of which the engine knows nothing newer. Another replica's write that comes within this one
    /// round trip may be lost; the session's next use writes it again.
    async fn write_anew(&self, engine: &Engine, piece: &[Remembered]) -> Result<(), EngineError> {
        let ours: Vec<&Remembered> =
            piece.iter().filter(|session| session.origin == Origin::Application).collect();
        let ids: Vec<SessionDigest> = ours.iter().map(|session| session.session).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let keys: Vec<String> = ids.iter().map(|id| self.keys.key(id)).collect();
        let stored = within(WRITE, self.read(engine, &ids, &keys)).await;
        let stored = stored.inspect_err(|_| one(&self.counts.write_failures))?;
        let stored: HashMap<SessionDigest, Remembered> =
            stored.into_iter().map(|known| (known.session, known)).collect();
        let now = Now::read();
        let newer = ours.into_iter().filter(|session| is_newer(session, stored.get(&session.session)));
        self.send(engine, newer.filter_map(|session| self.set(session, now)).collect()).await
    }

    fn set(&self, session: &Remembered, now: Now) -> Option<Write> {
        Some(Write::Set(self.keys.key(&session.session), encode(session), time_to_live(session, now)?))
    }

    async fn send(&self, engine: &Engine, writes: Vec<Write>) -> Result<(), EngineError> {
        if writes.is_empty() {
            return Ok(());
        }
        engine.write(&writes).await.inspect_err(|_| one(&self.counts.write_failures))?;
        self.counts.wrote(writes.len());
        Ok(())
    }

    fn tell_of_connection(&self, told: &mut Told) {
        let (name, EngineSettings { host, port, .. }) = (&self.pool.name, &self.settings);
        match told {
            Told::Nothing => log::info!("pool {name}: learned sessions are shared through {host}:{port}"),
            Told::Trouble => {
                log::info!("pool {name}: learned sessions are shared again through {host}:{port}")
            }
            Told::Connected => {}
        }
        *told = Told::Connected;
    }

    fn tell_of_trouble(&self, told: &mut Told, error: &EngineError) {
        if *told != Told::Trouble {
            let (name, EngineSettings { host, port, .. }) = (&self.pool.name, &self.settings);
            log::warn!(
                "pool {name}: learned sessions are not shared: {host}:{port}: {error}; requests go on without it. \
                 Check the engine and `learn.shared`"
            );
        }
        *told = Told::Trouble;
    }
}

/// What the operator was told last: each change of state is told once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    Nothing,
    Connected,
    Trouble,
}

/// Leaves the table when the task ends, wherever it is.
struct Leaves<'a>(&'a SharedTable);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.pool.learned.detach(&self.0.journal);
        self.0.close();
    }
}

/// Sessions that are over by the end of the batch.
fn only_forgotten(batch: Batch) -> Batch {
    let forgotten = batch.changes.into_iter().filter(|change| matches!(change, Change::Forgotten { .. }));
    Batch { changes: forgotten.collect(), overflowed: false }
}
