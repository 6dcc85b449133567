//! The gate of one backend: how many requests it may have in flight, and who waits for a place.
//!
//! A full backend makes its own sessions wait; it does not move them. Running sessions go in before new ones. Somebody new may
//! wait at several gates, and whichever has a place first hands it over: each place is given to one who waits, under the
//! lock, so that none is offered to many, and none is forgotten. The lock is held for a few instructions, never across a wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::names::{BackendIndex, Reason};

/// Bounds on the requests in flight at each backend of a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Requests in flight, each of which takes one connection.
    pub connections: u32,
    /// Requests that wait for a place, at each backend.
    pub queue_length: usize,
    /// How long one waits.
    pub queue_wait: Duration,
    /// Whether requests of running sessions go in before those of new ones.
    pub existing_sessions_first: bool,
}

/// Who asks for a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asker {
    /// A session that lives there.
    Existing,
    /// Somebody without one who was led there: by a guess that all replicas make alike, or by a hook.
    Led,
    /// Somebody without one, for whom any backend will do.
    New,
}

impl From<Reason> for Asker {
    /// A guess at an id that nobody knows is no session yet: invented ids must not overtake real ones.
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::New => Self::New,
            Reason::Hash => Self::Led,
            Reason::Route | Reason::LbCookie | Reason::Learned | Reason::Conflict | Reason::Moved => {
                Self::Existing
            }
        }
    }
}

/// What came of asking.
#[derive(Debug)]
pub enum Entry {
    /// Go in.
    Go(Permit),
    /// Wait for this.
    Wait(Waiting),
    /// Even the queue is full.
    Full,
}

/// A place that was waited for.
#[derive(Debug)]
pub struct Place {
    /// At which backend of the pool that was asked.
    pub at: BackendIndex,
    /// Counts it in there.
    pub permit: Permit,
}

/// A wait; given up when dropped. It counts in the queue of one gate, wherever else it stands.
#[derive(Debug)]
pub struct Waiting {
    ticket: Ticket,
    place: oneshot::Receiver<Place>,
}

impl Waiting {
    /// Waits for a place; `None`: a running session has taken the turn.
    pub async fn place(&mut self) -> Option<Place> {
        (&mut self.place).await.ok()
    }

    /// The same without waiting.
    ///
    /// # Errors
    /// There is none yet, or none will come.
    pub fn try_place(&mut self) -> Result<Place, TryRecvError> {
        self.place.try_recv()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // A place that has come already is given on when the receiver is dropped with it.
        drop(self.ticket.take());
    }
}

/// What stands for a wait in the queues: whoever takes what is in it ends the wait, and nobody else can.
#[derive(Clone, Debug)]
struct Ticket(Arc<Mutex<Option<Held>>>);

#[derive(Debug)]
struct Held {
    sender: oneshot::Sender<Place>,
    counts_at: Arc<Gate>,
}

impl Ticket {
    fn take(&self) -> Option<oneshot::Sender<Place>> {
        let held = self.0.lock().take()?;
        held.counts_at.waiting.fetch_sub(1, Ordering::Relaxed);
        Some(held.sender)
    }

    fn is_over(&self) -> bool {
        self.0.lock().is_none()
    }
}

/// A turn in a queue.
#[derive(Debug)]
struct Turn {
    ticket: Ticket,
    at: BackendIndex,
    /// Whether it counts here.
    counts: bool,
}

/// The gate of one backend.
#[derive(Debug, Default)]
pub(super) struct Gate {
    in_flight: AtomicU32,
    /// Those who wait and count here.
    waiting: AtomicUsize,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    first: VecDeque<Turn>,
    second: VecDeque<Turn>,
    /// The limit that those who wait go by; 0 while nobody had one.
    limit: u32,
    /// With so many turns it is looked for those that are over.
    tidied_at: usize,
}

/// One request in flight; counted out when dropped.
#[derive(Debug)]
pub struct Permit {
    gate: Option<Arc<Gate>>,
    /// Whether somebody may wait for this place. Without limits nobody does, and no lock is taken.
    limited: bool,
}

impl Drop for Permit {
    fn drop(&mut self) {
        match self.gate.take() {
            Some(gate) if self.limited => gate.leave(),
            Some(gate) => _ = gate.in_flight.fetch_sub(1, Ordering::Relaxed),
            None => {}
        }
    }
}

impl Gate {
    /// Requests in flight.
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Requests that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Counts a request in, whatever the number. `limited`: somebody may wait for the place that it leaves.
    pub(super) fn enter(self: &Arc<Self>, limited: bool) -> Permit {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Permit { gate: Some(Arc::clone(self)), limited }
    }

    /// Asks for a place within the limits; `at` is what whoever asks calls this backend.
    pub(super) fn ask(self: &Arc<Self>, limits: &Limits, asker: Asker, at: BackendIndex) -> Entry {
        let mut queue = self.queue.lock();
        if let Some(permit) = self.go(&mut queue, limits) {
            return Entry::Go(permit);
        }
        let preferred = asker == Asker::Existing && limits.existing_sessions_first;
        // A running session takes the last turn of a new one, which is decided anew: it may go elsewhere.
        if self.waiting() >= limits.queue_length && !(preferred && queue.send_youngest_away()) {
            return Entry::Full;
        }
        let (sender, place) = oneshot::channel();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let ticket = Ticket(Arc::new(Mutex::new(Some(Held { sender, counts_at: Arc::clone(self) }))));
        let second = limits.existing_sessions_first && asker != Asker::Existing;
        queue.add(Turn { ticket: ticket.clone(), at, counts: true }, second);
        Entry::Wait(Waiting { ticket, place })
    }

    /// Lets somebody new who waits elsewhere already wait here, too; or gives a place at once.
    pub(super) fn ask_besides(
        self: &Arc<Self>,
        limits: &Limits,
        waiting: &Waiting,
        at: BackendIndex,
    ) -> Option<Permit> {
        let mut queue = self.queue.lock();
        let permit = self.go(&mut queue, limits);
        if permit.is_none() {
            let turn = Turn { ticket: waiting.ticket.clone(), at, counts: false };
            queue.add(turn, limits.existing_sessions_first);
        }
        permit
    }

    /// A place that nobody waits for, if there is one.
    fn go(self: &Arc<Self>, queue: &mut Queue, limits: &Limits) -> Option<Permit> {
        // It may have been raised.
        queue.limit = limits.connections;
        self.admit_waiting(queue);
        (self.in_flight() < limits.connections).then(|| self.enter(true))
    }

    fn leave(self: &Arc<Self>) {
        let mut queue = self.queue.lock();
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.admit_waiting(&mut queue);
    }

    fn admit_waiting(self: &Arc<Self>, queue: &mut Queue) {
        while self.in_flight() < queue.limit {
            let Some(turn) = queue.first.pop_front().or_else(|| queue.second.pop_front()) else { return };
            // Whoever has gone away, or in elsewhere, is passed over.
            let Some(sender) = turn.ticket.take() else { continue };
            if let Err(mut unwanted) = sender.send(Place { at: turn.at, permit: self.enter(true) }) {
                // Not by dropping it, which would ask for the lock that is held here.
                unwanted.permit.gate = None;
                self.in_flight.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

impl Queue {
    fn add(&mut self, turn: Turn, second: bool) {
        /// Few enough to keep.
        const FEW: usize = 32;
        if self.first.len() + self.second.len() >= self.tidied_at.max(FEW) {
            for queue in [&mut self.first, &mut self.second] {
                queue.retain(|turn| !turn.ticket.is_over());
            }
            // Twice what is left, so that each turn pays for one look.
            self.tidied_at = 2 * (self.first.len() + self.second.len());
        }
        if second { self.second.push_back(turn) } else { self.first.push_back(turn) }
    }

    /// Ends the wait of the last one without a session that counts here.
    fn send_youngest_away(&mut self) -> bool {
        let counts = |turn: &Turn| turn.counts && !turn.ticket.is_over();
        let youngest = self.second.iter().rposition(counts).and_then(|at| self.second.remove(at));
        youngest.is_some_and(|turn| turn.ticket.take().is_some())
    }
}

#[cfg(test)]
mod tests;
