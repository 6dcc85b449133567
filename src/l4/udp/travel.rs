//! Sessions that come from another process, and go to one: at an upgrade each goes on with the same socket, and so for its
//! backend from the same port.

use std::rc::Rc;
use std::sync::mpsc;

use tokio::sync::mpsc::UnboundedReceiver;

use super::early::Early;
use super::lane::Lane;
use super::relay;
use super::session::Session;
use super::sessions::Key;
use super::stay::{Begun, Stay, served_by};
use super::upstream::Upstream;
use crate::clock::{Now, Stamp};
use crate::l4::running::Moved;
use crate::l4::ties::dismisses;
use crate::listen::{CarriedSession, Slot, Word};
use crate::names::BackendTag;
use crate::snapshot::ServedUdp;

/// What a lane hears from whoever hands over, or takes.
pub(super) struct Travel {
    /// `None`: there is nobody to hear.
    words: Option<UnboundedReceiver<Word>>,
    /// Whether another process has sessions that are still to come.
    awaits: bool,
    /// Whether the other process does not read any more: none of this lane's sessions leaves it before that.
    reads: bool,
    /// Where those go at once that still come.
    on: Option<mpsc::Sender<CarriedSession>>,
}

impl Travel {
    /// Hears what a lane is told.
    pub(super) fn new(lane: &Lane) -> Self {
        let passage = &lane.gate.facts.passage;
        let words = passage.words(lane.number);
        let awaits = passage.awaits() && words.is_some();
        Self { words, awaits, reads: !awaits, on: None }
    }

    /// Whether this process may read.
    pub(super) fn reads(&self) -> bool {
        self.reads
    }

    /// The next word.
    pub(super) async fn word(&mut self) -> Word {
        let word = match &mut self.words {
            Some(words) => words.recv().await,
            None => None,
        };
        match word {
            Some(word) => word,
            None => std::future::pending().await,
        }
    }

    /// Does what the lane was told.
    pub(super) async fn follow(&mut self, word: Word, lane: &Rc<Lane>) {
        match word {
            Word::Adopt(session) => {
                if !std::mem::replace(&mut self.reads, true) {
                    // Its buffer in the system holds little.
                    lane.early.replace(Some(Early::default()));
                }
                match &self.on {
                    Some(on) => lane.send_away(*session, on),
                    None => lane.adopt(*session),
                }
            }
            Word::Complete => {
                (self.awaits, self.reads, self.on) = (false, true, None);
                lane.begin_early();
            }
            Word::Leave(way) => {
                // Those that have just begun find their backends first.
                tokio::task::yield_now().await;
                lane.sessions.borrow().all().for_each(|session| session.call_to_leave(&way));
                self.on = Some(way).filter(|_| self.awaits);
            }
        }
    }
}

/// Why a session does not go on here. Its client's next datagram begins another one.
#[derive(Debug, thiserror::Error)]
enum NotAdopted {
    #[error("its listener leads elsewhere")]
    Elsewhere,
    #[error("its backend is gone, has moved, or keeps no session")]
    Dismissed,
    #[error("there is another one of its client")]
    Known,
    #[error("no place is left")]
    Full,
    #[error("its socket cannot be used: {0}")]
    Socket(#[from] std::io::Error),
}

impl Lane {
    /// Goes on with a session that another process has begun, or this one, which could not hand it over.
    fn adopt(self: &Rc<Self>, session: CarriedSession) {
        let client = session.record.client;
        if let Err(why) = self.try_adopt(session) {
            log::debug!("{}: a session of {client} is not gone on with: {why}", self.gate.facts.name);
        }
    }

    fn try_adopt(
        self: &Rc<Self>,
        CarriedSession { record, socket, slot }: CarriedSession,
    ) -> Result<(), NotAdopted> {
        let snapshot = self.gate.current.load();
        let (listener, served) = served_by(self, &snapshot).ok_or(NotAdopted::Elsewhere)?;
        let flows = served.flows.as_ref().filter(|_| *served.pool.name() == record.pool);
        let flows = flows.ok_or(NotAdopted::Elsewhere)?;
        let (pool, now) = (&served.pool, Now::read());
        let backend = pool.find(record.backend.as_str()).and_then(|index| pool.backend(index));
        let backend = backend
            .filter(|backend| backend.address().ip() == Some(record.to) && !dismisses(backend, now))
            .ok_or(NotAdopted::Dismissed)?;
        let key = Key { client: record.client, local: record.local, named: record.named.map(BackendTag) };
        if self.sessions.borrow().has(&key) {
            return Err(NotAdopted::Known);
        }
        let slot = slot.or_else(|| self.place_of(&key, listener.sessions)).ok_or(NotAdopted::Full)?;
        let by_address = flows.by_address(key.client.ip(), pool.seed());
        let arrived = Stamp::read().before(record.age);
        let begun = Begun {
            upstream: Upstream::adopt(socket, record.to, record.many)?,
            address: record.to,
            flow: key.named.map_or(by_address, |backend| by_address.with_connection_id_of(backend)),
            permit: Some(backend.live().go_on(pool.limits())),
            reason: record.reason,
            retries: record.retries,
            queue: None,
            arrived,
            moved: Moved {
                up: record.up.into(),
                down: record.down.into(),
                datagrams: record.datagrams.into(),
            },
            answered: record.answered,
        };
        let session = self.sessions.borrow_mut().begin(key, |number| {
            let session = Session::new(key, number, slot);
            session.set_proven(record.proven);
            session
        });
        let stay = Stay::new(self, &session, (listener, served, backend), begun, now);
        stay.tied().was_quiet_for(record.quiet, now);
        if !self.gate.facts.acceptance.keeps_connections() {
            stay.keep_for(listener.unproven);
        }
        // What comes before its task runs goes there already.
        session.go_through(&stay, &self.gate.counts.datagrams);
        let run = relay::run(Rc::clone(self), Rc::clone(&session), Some(Rc::clone(&stay)), arrived);
        let task = tokio::task::spawn_local(run).abort_handle();
        stay.tied().runs(task.clone());
        session.is_run_by(task);
        self.follow_early(key, stay.backend(), listener, now);
        Ok(())
    }

    /// What was here before its session goes there.
    fn follow_early(self: &Rc<Self>, key: Key, home: BackendTag, listener: &ServedUdp, now: Now) {
        // Whoever names the backend that the address leads to is of the same session.
        let same = key.named.is_none().then_some(Key { named: Some(home), ..key });
        for key in std::iter::once(key).chain(same) {
            let waiting = self.early.borrow_mut().as_mut().map(|early| early.take(&key));
            for kept in waiting.into_iter().flatten() {
                self.arrived(key, kept.as_datagrams(), listener, false, now);
            }
        }
    }

    /// No session comes any more: those that datagrams wait for begin here.
    fn begin_early(self: &Rc<Self>) {
        let Some(early) = self.early.take() else { return };
        let snapshot = self.gate.current.load();
        let Some((listener, _)) = served_by(self, &snapshot) else { return };
        let newcomers = self.gate.facts.acceptance.keeps_connections();
        let now = Now::read();
        for (key, kept) in early.into_all() {
            self.arrived(key, kept.as_datagrams(), listener, newcomers, now);
        }
    }

    /// A place for a session that has one in another process.
    fn place_of(&self, key: &Key, limit: usize) -> Option<Slot> {
        let slot = self.gate.counts.go_on(limit)?;
        Some(slot.of_client(self.gate.facts.clients.enter(key.client.ip())?))
    }

    /// Sends a session to another process; it is none of this one's any more.
    pub(super) fn hand_over(
        self: &Rc<Self>,
        session: &Session,
        stay: Rc<Stay>,
        way: &mpsc::Sender<CarriedSession>,
    ) {
        session.let_go();
        self.end(session);
        // Nobody else has it: others hold it within a call only.
        let Some(stay) = Rc::into_inner(stay) else { return };
        match stay.hand_over(session.key(), session.is_proven(), self) {
            Ok(carried) => self.send_away(CarriedSession { slot: session.take_slot(), ..carried }, way),
            Err(error) => log::debug!("{}: a session cannot be handed over: {error}", self.gate.facts.name),
        }
    }

    /// It goes on here if nobody takes it any more.
    fn send_away(self: &Rc<Self>, session: CarriedSession, way: &mpsc::Sender<CarriedSession>) {
        if let Err(mpsc::SendError(session)) = way.send(session) {
            self.adopt(session);
        }
    }
}
