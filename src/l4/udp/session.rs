//! One session: what its client sends goes to its backend, or waits until it has one.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use quinn_udp::EcnCodepoint;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::batch::{Datagrams, is_refusal};
use super::sessions::Key;
use super::stay::Stay;
use crate::listen::{CarriedSession, DatagramCounts, Slot};
use crate::names::BackendTag;

/// What may wait for a backend: the first flight of a handshake, or some queries.
const WAITING: usize = 32;
const WAITING_BYTES: usize = 64 << 10;

/// One session.
pub(super) struct Session {
    key: Key,
    number: u64,
    way: RefCell<Way>,
    /// Whether the backend has refused what was sent.
    refused: Cell<bool>,
    /// The way to the process that it is to go to.
    leaves: Cell<Option<mpsc::Sender<CarriedSession>>>,
    /// Rung in both cases.
    bell: Notify,
    /// Its place among the listener's sessions.
    slot: Cell<Option<Slot>>,
    /// Whether its client has gone on after an answer.
    proven: Cell<bool>,
    /// The backend that it is at, or was at last.
    home: Cell<Option<BackendTag>>,
    task: OnceCell<AbortHandle>,
}

/// What a session that has a backend is called for.
pub(super) enum Call {
    /// The backend has refused what was sent.
    Refused,
    /// It is to go to another process, this way.
    Leave(mpsc::Sender<CarriedSession>),
}

/// Where a client's datagrams go.
enum Way {
    /// Nowhere yet.
    Waiting(Waiting),
    /// To a backend.
    Through(Rc<Stay>),
}

/// Datagrams that wait for a backend.
#[derive(Default)]
pub(super) struct Waiting {
    datagrams: VecDeque<Kept>,
    bytes: usize,
}

/// A datagram that is kept for a while.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) bytes: Vec<u8>,
    pub(super) ecn: Option<EcnCodepoint>,
}

impl Kept {
    pub(super) fn as_datagrams(&self) -> Datagrams<'_> {
        Datagrams::one(&self.bytes, self.ecn)
    }
}

impl Waiting {
    /// Keeps datagrams; gives how many found no room.
    pub(super) fn add(&mut self, datagrams: Datagrams<'_>) -> u64 {
        let mut lost = 0;
        for bytes in datagrams.each() {
            let full = self.datagrams.len() >= WAITING || self.bytes + bytes.len() > WAITING_BYTES;
            if full && !self.datagrams.is_empty() {
                lost += 1;
                continue;
            }
            self.bytes += bytes.len();
            self.datagrams.push_back(Kept { bytes: bytes.to_vec(), ecn: datagrams.ecn });
        }
        lost
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// All of them, oldest first.
    pub(super) fn into_datagrams(self) -> impl Iterator<Item = Kept> {
        self.datagrams.into_iter()
    }

    /// Puts one before all others.
    fn put_first(&mut self, first: Kept) {
        self.bytes += first.bytes.len();
        self.datagrams.push_front(first);
    }
}

impl Session {
    pub(super) fn new(key: Key, number: u64, slot: Slot) -> Self {
        Self {
            key,
            number,
            way: RefCell::new(Way::Waiting(Waiting::default())),
            refused: Cell::new(false),
            leaves: Cell::default(),
            bell: Notify::new(),
            slot: Cell::new(Some(slot)),
            proven: Cell::new(false),
            home: Cell::default(),
            task: OnceCell::new(),
        }
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn is_proven(&self) -> bool {
        self.proven.get()
    }

    pub(super) fn set_proven(&self, proven: bool) {
        self.proven.set(proven);
    }

    pub(super) fn home(&self) -> Option<BackendTag> {
        self.home.get()
    }

    pub(super) fn set_home(&self, home: BackendTag) {
        self.home.set(Some(home));
    }

    /// What ends it.
    pub(super) fn is_run_by(&self, task: AbortHandle) {
        let _ = self.task.set(task);
    }

    pub(super) fn task(&self) -> Option<&AbortHandle> {
        self.task.get()
    }

    /// Ends it, and gives its place.
    pub(super) fn give_up(&self) -> Option<Slot> {
        if let Some(task) = self.task.get() {
            task.abort();
        }
        self.take_slot()
    }

    pub(super) fn take_slot(&self) -> Option<Slot> {
        self.slot.take()
    }

    /// Waits until the backend has refused what was sent, or it is to leave.
    pub(super) async fn called(&self) -> Call {
        loop {
            if self.refused.take() {
                return Call::Refused;
            }
            if let Some(way) = self.leaves.take() {
                return Call::Leave(way);
            }
            self.bell.notified().await;
        }
    }

    /// Calls it to leave, if it has a backend; one that still looks for one stays.
    pub(super) fn call_to_leave(&self, way: &mpsc::Sender<CarriedSession>) {
        if matches!(*self.way.borrow(), Way::Through(_)) {
            self.leaves.set(Some(way.clone()));
            self.bell.notify_one();
        }
    }

    /// It goes nowhere any more.
    pub(super) fn let_go(&self) {
        self.way.replace(Way::Waiting(Waiting::default()));
    }

    /// The stay at a backend, if it has one.
    pub(super) fn stay(&self) -> Option<Rc<Stay>> {
        match &*self.way.borrow() {
            Way::Waiting(_) => None,
            Way::Through(stay) => Some(Rc::clone(stay)),
        }
    }

    /// Takes what its client has sent; gives whether the client has thereby proven its address.
    pub(super) fn take(&self, datagrams: Datagrams<'_>, counts: &DatagramCounts) -> bool {
        let mut way = self.way.borrow_mut();
        let stay = match &mut *way {
            Way::Through(stay) => Rc::clone(stay),
            Way::Waiting(waiting) => {
                counts.over_waiting.fetch_add(waiting.add(datagrams), Ordering::Relaxed);
                return false;
            }
        };
        match stay.send(datagrams) {
            Ok(()) => {}
            Err(unsent) if is_refusal(&unsent.error) => {
                // The word is about what was sent before; this was not sent at all.
                *way = Way::Waiting(recalled(&stay, Some(unsent.rest)));
                self.refused.set(true);
                self.bell.notify_one();
            }
            Err(unsent) => {
                let count = u64::try_from(unsent.rest.count()).unwrap_or(u64::MAX);
                counts.unsent.fetch_add(count, Ordering::Relaxed);
            }
        }
        !self.proven.get() && stay.has_answered()
    }

    /// Its backend has refused it: what comes waits until it has one again.
    pub(super) fn wait(&self) {
        self.refused.set(false);
        // Whoever wants it elsewhere waits no longer.
        self.leaves.take();
        let mut way = self.way.borrow_mut();
        if let Way::Through(stay) = &*way {
            *way = Way::Waiting(recalled(&Rc::clone(stay), None));
        }
    }

    /// It has a backend: what waits goes there, and all that comes.
    pub(super) fn go_through(&self, stay: &Rc<Stay>, counts: &DatagramCounts) {
        self.set_home(stay.backend());
        let before = self.way.replace(Way::Through(Rc::clone(stay)));
        let Way::Waiting(Waiting { mut datagrams, .. }) = before else { return };
        if datagrams.len() == 1
            && let Some(only) = datagrams.pop_front()
        {
            self.take(only.as_datagrams(), counts);
            // Unless it was refused at once.
            if self.stay().is_some() {
                stay.keep_first(only);
            }
            return;
        }
        for kept in datagrams {
            self.take(kept.as_datagrams(), counts);
        }
    }
}

/// What has to go out again, or for the first time.
fn recalled(stay: &Stay, unsent: Option<Datagrams<'_>>) -> Waiting {
    let mut waiting = Waiting::default();
    if let Some(unsent) = unsent {
        waiting.add(unsent);
    }
    // The only one that was sent is the one that was refused.
    if let Some(first) = stay.take_first() {
        waiting.put_first(first);
    }
    waiting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_one_long_datagram_always_fits() {
        let mut waiting = Waiting::default();
        let long = vec![0; WAITING_BYTES + 1];
        assert_eq!(waiting.add(Datagrams::one(&long, None)), 0);
        assert_eq!(waiting.add(Datagrams::one(b"x", None)), 1);
        let mut waiting = Waiting::default();
        let many = Datagrams { bytes: &[0; 100], stride: 1, ecn: None };
        assert_eq!(waiting.add(many), 100 - 32);
        assert_eq!((waiting.datagrams.len(), waiting.bytes), (WAITING, WAITING));
    }
}
