//! One listening socket and its clients' sessions, on one thread.

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pingora::server::ShutdownWatch;
use quinn_udp::UdpSocketState;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::batch::{self, Batch, Datagrams, Origin, is_full};
use super::early::Early;
use super::relay::{self, keep};
use super::session::{Kept, Session};
use super::sessions::{Key, Sessions};
use super::stay::{Stay, served_by};
use super::travel::Travel;
use crate::affinity::ConnectionIds;
use crate::clock::{Now, Stamp};
use crate::l4::gate::Gate;
use crate::listen::{Accepting, Slot};
use crate::names::BackendTag;
use crate::pool::Pool;
use crate::snapshot::ServedUdp;

/// From one look to the next whether the last session has ended.
const LOOK: Duration = Duration::from_millis(50);

/// One listening socket and its clients' sessions.
pub(super) struct Lane {
    pub(super) gate: Arc<Gate>,
    /// Which of the listener's sockets it has.
    pub(super) number: usize,
    socket: UdpSocket,
    state: UdpSocketState,
    /// Whether clients may have written to any of several addresses.
    any: bool,
    pub(super) sessions: RefCell<Sessions>,
    /// Where datagrams without a session wait while sessions still come from another process.
    pub(super) early: RefCell<Option<Early>>,
    batch: Rc<RefCell<Batch>>,
}

impl Lane {
    /// On the thread that is to read it; `batch` is that thread's.
    ///
    /// # Errors
    /// The socket cannot be prepared.
    pub(super) fn new(
        socket: std::net::UdpSocket,
        number: usize,
        gate: Arc<Gate>,
        batch: Rc<RefCell<Batch>>,
    ) -> io::Result<Self> {
        let socket = UdpSocket::from_std(socket)?;
        let state = UdpSocketState::new((&socket).into())?;
        let local = socket.local_addr()?;
        batch::allow_fragments(&socket, local.is_ipv4());
        Ok(Self {
            gate,
            number,
            socket,
            state,
            any: local.ip().is_unspecified(),
            sessions: RefCell::default(),
            early: RefCell::default(),
            batch,
        })
    }

    /// Reads until the server has stopped, or the listener was closed, and all sessions have ended.
    pub(super) async fn run(self: Rc<Self>, mut shutdown: ShutdownWatch) {
        let mut acceptance = self.gate.facts.acceptance.subscribe();
        let mut travel = Travel::new(&self);
        let (mut stopping, mut hurried) = (false, false);
        loop {
            let asked = *acceptance.borrow_and_update();
            let accepting = if stopping && asked == Accepting::Yes { Accepting::Closing } else { asked };
            let ending = accepting != Accepting::Yes;
            let hurries = std::mem::replace(&mut hurried, ending);
            if ending {
                if !hurries {
                    self.hurry(true);
                }
                if (stopping || accepting == Accepting::Closing) && self.sessions.borrow().is_empty() {
                    return;
                }
            } else if hurries {
                self.hurry(false);
            }
            // Before it is looked whether anybody has asked already.
            let asked = self.gate.spare.asked();
            self.gate.spare.give(|| self.place_of_the_oldest());
            tokio::select! {
                () = asked => {}
                word = travel.word() => travel.follow(word, &self).await,
                // Another process reads it while this one pauses, or until that one has.
                readable = self.socket.readable(), if accepting != Accepting::Paused && travel.reads() => {
                    if let Err(error) = readable {
                        return log::error!("{}: cannot receive: {error}", self.gate.facts.name);
                    }
                    let before = self.sessions.borrow().begun();
                    self.receive(!ending);
                    if self.sessions.borrow().begun() != before {
                        // They are served before more of them come: in a flood they would give way unheard.
                        tokio::task::yield_now().await;
                    }
                }
                _ = acceptance.changed() => {}
                _ = shutdown.wait_for(|stopping| *stopping), if !stopping => stopping = true,
                () = tokio::time::sleep(LOOK), if ending => {}
            }
        }
    }

    /// Nobody new comes: a session that is silent now has ended. Or there is time for that again.
    fn hurry(&self, hurries: bool) {
        let snapshot = self.gate.current.load();
        let Some((listener, _)) = served_by(self, &snapshot) else { return };
        for session in self.sessions.borrow().all() {
            if let Some(stay) = session.stay() {
                let long = session.is_proven() && !hurries;
                stay.keep_for(if long { listener.idle } else { listener.unproven });
            }
        }
    }

    fn receive(self: &Rc<Self>, newcomers: bool) {
        let snapshot = self.gate.current.load();
        let Some((listener, served)) = served_by(self, &snapshot) else { return };
        let batch = Rc::clone(&self.batch);
        let mut batch = batch.borrow_mut();
        let mut all = false;
        let received = self.socket.try_io(Interest::READABLE, || {
            batch.receive((&self.socket).into(), &self.state)?;
            all = batch.was_all();
            if all { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match received {
            Ok(()) => {}
            // There is no more: the next look waits for news, without another call that only says so.
            Err(_) if all => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => return log::debug!("{}: cannot receive: {error}", self.gate.facts.name),
        }
        let now = Now::read();
        for (origin, datagrams) in batch.received() {
            let counts = &self.gate.counts.datagrams;
            counts.received.fetch_add(number(datagrams.count()), Ordering::Relaxed);
            let Some(datagrams) = self.within_rate(origin, datagrams, listener, now) else { continue };
            // Nobody could be answered there.
            if origin.from.port() == 0 {
                continue;
            }
            let local = origin.to.filter(|to| self.any && is_one_host(*to));
            let key = Key { client: origin.from, local, named: None };
            let Some(ids) = &served.connection_ids else {
                self.arrived(key, datagrams, listener, newcomers, now);
                continue;
            };
            for (named, datagrams) in datagrams.alike(|datagram| named(ids, datagram, &served.pool, now)) {
                self.arrived(Key { named, ..key }, datagrams, listener, newcomers, now);
            }
        }
    }

    pub(super) fn arrived(
        self: &Rc<Self>,
        key: Key,
        datagrams: Datagrams<'_>,
        listener: &ServedUdp,
        newcomers: bool,
        now: Now,
    ) {
        let counts = &self.gate.counts.datagrams;
        let known = self.sessions.borrow().find(&key).map(Rc::clone);
        let session = match known {
            Some(session) => session,
            None => {
                if let Some(early) = &mut *self.early.borrow_mut() {
                    counts.over_waiting.fetch_add(early.add(key, datagrams), Ordering::Relaxed);
                    return;
                }
                let begun = newcomers.then(|| self.begin(key, listener.sessions)).flatten();
                let Some(session) = begun else {
                    counts.homeless.fetch_add(number(datagrams.count()), Ordering::Relaxed);
                    return;
                };
                session
            }
        };
        if session.take(datagrams, counts)
            && let Some(stay) = session.stay()
        {
            session.set_proven(true);
            stay.prove(self, now);
        }
    }

    /// As many of them as their client may send.
    fn within_rate<'b>(
        &self,
        origin: Origin,
        datagrams: Datagrams<'b>,
        listener: &ServedUdp,
        now: Now,
    ) -> Option<Datagrams<'b>> {
        let Some((limit, prefix)) = &listener.rate else { return Some(datagrams) };
        let all = datagrams.count();
        let passed = (0..all).take_while(|_| limit.client(*prefix, origin.from.ip(), now).is_ok()).count();
        self.gate.counts.datagrams.over_rate.fetch_add(number(all - passed), Ordering::Relaxed);
        datagrams.first(passed)
    }

    /// Begins a session, unless there are as many as there may be; one that has proven nothing gives way.
    fn begin(self: &Rc<Self>, key: Key, limit: usize) -> Option<Rc<Session>> {
        let gate = &self.gate;
        let slot = gate.counts.enter(limit).or_else(|| {
            let place = self.place_of_the_oldest().or_else(|| gate.spare.take());
            place?.handed_on(limit)
        })?;
        let slot = slot.of_client(gate.facts.clients.enter(key.client.ip())?);
        let session = self.sessions.borrow_mut().begin(key, |number| Session::new(key, number, slot));
        let run = relay::run(Rc::clone(self), Rc::clone(&session), None, Stamp::read());
        let task = tokio::task::spawn_local(run);
        session.is_run_by(task.abort_handle());
        Some(session)
    }

    /// The place of the oldest session that has proven nothing, which ends.
    fn place_of_the_oldest(&self) -> Option<Slot> {
        let oldest = self.sessions.borrow_mut().give_way()?;
        oldest.give_up()
    }

    /// A session has ended.
    pub(super) fn end(&self, session: &Session) {
        self.sessions.borrow_mut().end(session.key(), session.number());
    }

    /// Sends the client what the backend has sent; gives what the system has no room for at the moment.
    ///
    /// # Errors
    /// The backend has sent nothing, or refuses what it was sent.
    pub(super) fn bring(&self, session: &Session, stay: &Stay) -> io::Result<Vec<Kept>> {
        let mut batch = self.batch.borrow_mut();
        stay.upstream().receive(&mut batch)?;
        let (now, mut held) = (Now::read(), Vec::new());
        for (_, datagrams) in batch.received() {
            stay.received(datagrams, now);
            // In order: nothing overtakes what is held.
            if !held.is_empty() {
                keep(datagrams, &mut held);
            } else if let Err(unsent) = batch::send(&self.socket, &self.state, self.back(session), datagrams)
            {
                if is_full(&unsent.error) {
                    keep(unsent.rest, &mut held);
                    continue;
                }
                self.unsent(unsent.rest.count());
            }
            self.gate.counts.datagrams.sent.fetch_add(number(datagrams.count()), Ordering::Relaxed);
        }
        Ok(held)
    }

    /// Sends the client a datagram as soon as the system has room for it.
    pub(super) async fn bring_later(&self, session: &Session, held: &Kept) {
        let send = || {
            let sent = batch::send(&self.socket, &self.state, self.back(session), held.as_datagrams());
            sent.map_err(|unsent| unsent.error)
        };
        loop {
            if self.socket.writable().await.is_err() {
                return self.unsent(1);
            }
            match self.socket.try_io(Interest::WRITABLE, send) {
                Ok(()) => {
                    self.gate.counts.datagrams.sent.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return self.unsent(1),
            }
        }
    }

    fn unsent(&self, count: usize) {
        self.gate.counts.datagrams.unsent.fetch_add(number(count), Ordering::Relaxed);
    }

    /// The way back: from the address that the client has written to.
    fn back(&self, session: &Session) -> Origin {
        Origin { from: session.key().client, to: session.key().local }
    }
}

/// The backend that a datagram's connection id names, if it takes what is its own. Nobody else knows the connection, so without it,
/// the address decides.
fn named(ids: &ConnectionIds, datagram: &[u8], pool: &Pool, now: Now) -> Option<BackendTag> {
    let home = ids.home(datagram)?;
    let backend = pool.backend(pool.find_tag(home)?)?;
    backend.takes_existing(now, true).then_some(home)
}

/// Whether one can send from this address: not from one that many hosts listen to.
fn is_one_host(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !broadcast && !address.is_multicast() && !address.is_unspecified()
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
