//! The gate of one backend: how many requests it may have in flight, and who waits for a place.
//!
//! A full backend makes its own sessions wait; it does not move them. Running sessions go in before new ones.
//! The lock is held for a few instructions, never across a wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::names::Reason;

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
    /// Somebody without one.
    New,
}

impl From<Reason> for Asker {
    /// A guess at an id that nobody knows is no session yet: invented ids must not overtake real ones.
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::New | Reason::Hash => Self::New,
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
    Wait(oneshot::Receiver<Permit>),
    /// Even the queue is full.
    Full,
}

/// The gate of one backend.
#[derive(Debug, Default)]
pub(super) struct Gate {
    in_flight: AtomicU32,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    first: VecDeque<oneshot::Sender<Permit>>,
    second: VecDeque<oneshot::Sender<Permit>>,
    /// The limit that those who wait go by; 0 while nobody had one.
    limit: u32,
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
        let queue = self.queue.lock();
        queue.first.len() + queue.second.len()
    }

    /// Counts a request in, whatever the number. `limited`: somebody may wait for the place that it leaves.
    pub(super) fn enter(self: &Arc<Self>, limited: bool) -> Permit {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Permit { gate: Some(Arc::clone(self)), limited }
    }

    /// Asks for a place within the limits.
    pub(super) fn ask(self: &Arc<Self>, limits: &Limits, asker: Asker) -> Entry {
        let mut queue = self.queue.lock();
        queue.limit = limits.connections;
        // Whoever waited may have gone away, or the limit been raised.
        self.admit_waiting(&mut queue);
        let waiting = queue.first.len() + queue.second.len();
        if waiting == 0 && self.in_flight() < limits.connections {
            return Entry::Go(self.enter(true));
        }
        let preferred = asker == Asker::Existing && limits.existing_sessions_first;
        // A running session takes the last turn of a new one, which is decided anew: it may go elsewhere.
        if waiting >= limits.queue_length && !(preferred && queue.second.pop_back().is_some()) {
            return Entry::Full;
        }
        let (sender, receiver) = oneshot::channel();
        match asker {
            Asker::New if limits.existing_sessions_first => queue.second.push_back(sender),
            Asker::New | Asker::Existing => queue.first.push_back(sender),
        }
        Entry::Wait(receiver)
    }

    fn leave(self: &Arc<Self>) {
        let mut queue = self.queue.lock();
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.admit_waiting(&mut queue);
    }

    fn admit_waiting(self: &Arc<Self>, queue: &mut Queue) {
        queue.forget_gone();
        while self.in_flight() < queue.limit {
            let Some(next) = queue.first.pop_front().or_else(|| queue.second.pop_front()) else { return };
            if let Err(mut unwanted) = next.send(self.enter(true)) {
                // Not by dropping it, which would ask for the lock that is held here.
                unwanted.gate = None;
                self.in_flight.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

impl Queue {
    /// Drops those at the head who wait no more, so that the length counts the living.
    fn forget_gone(&mut self) {
        for queue in [&mut self.first, &mut self.second] {
            queue.retain(|waiting| !waiting.is_closed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        connections: 2,
        queue_length: 3,
        queue_wait: Duration::from_secs(1),
        existing_sessions_first: true,
    };

    fn wait(entry: Entry) -> oneshot::Receiver<Permit> {
        match entry {
            Entry::Wait(receiver) => receiver,
            other => panic!("{other:?}"),
        }
    }

    fn go(entry: Entry) -> Permit {
        match entry {
            Entry::Go(permit) => permit,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn running_sessions_go_in_before_new_ones() {
        let gate = Arc::new(Gate::default());
        let inside = [go(gate.ask(&LIMITS, Asker::New)), go(gate.ask(&LIMITS, Asker::New))];
        let mut new = wait(gate.ask(&LIMITS, Asker::New));
        let mut existing = wait(gate.ask(&LIMITS, Asker::Existing));
        assert_eq!((gate.in_flight(), gate.waiting()), (2, 2));
        let [first, second] = inside;
        drop(first);
        let permit = existing.try_recv().unwrap();
        assert!(new.try_recv().is_err());
        drop(second);
        let other = new.try_recv().unwrap();
        assert_eq!(gate.in_flight(), 2);
        drop((permit, other));
        assert_eq!((gate.in_flight(), gate.waiting()), (0, 0));
    }

    #[test]
    fn the_queue_is_bounded_and_forgets_who_left() {
        let gate = Arc::new(Gate::default());
        let _inside = [go(gate.ask(&LIMITS, Asker::New)), go(gate.ask(&LIMITS, Asker::New))];
        let waiting: Vec<_> = (0..3).map(|_| wait(gate.ask(&LIMITS, Asker::Existing))).collect();
        assert!(matches!(gate.ask(&LIMITS, Asker::Existing), Entry::Full));
        drop(waiting);
        let mut next = wait(gate.ask(&LIMITS, Asker::Existing));
        assert_eq!(gate.waiting(), 1);
        assert!(next.try_recv().is_err());
    }

    #[test]
    fn running_sessions_are_not_refused_because_new_ones_wait() {
        let gate = Arc::new(Gate::default());
        let _inside = [go(gate.ask(&LIMITS, Asker::New)), go(gate.ask(&LIMITS, Asker::New))];
        let mut new: Vec<_> = (0..3).map(|_| wait(gate.ask(&LIMITS, Asker::New))).collect();
        assert!(matches!(gate.ask(&LIMITS, Asker::New), Entry::Full));
        let _existing = wait(gate.ask(&LIMITS, Asker::Existing));
        assert_eq!(gate.waiting(), 3);
        let told = new.iter_mut().map(|new| new.try_recv().unwrap_err());
        let told: Vec<_> = told.map(|error| error == oneshot::error::TryRecvError::Closed).collect();
        assert_eq!(told, [false, false, true], "the youngest has to ask again");
        let as_they_come = Limits { existing_sessions_first: false, ..LIMITS };
        assert!(matches!(gate.ask(&as_they_come, Asker::Existing), Entry::Full));
    }

    #[test]
    fn a_place_that_was_given_to_somebody_who_left_is_given_on() {
        let gate = Arc::new(Gate::default());
        let inside = [go(gate.ask(&LIMITS, Asker::New)), go(gate.ask(&LIMITS, Asker::New))];
        let gone = wait(gate.ask(&LIMITS, Asker::Existing));
        let mut patient = wait(gate.ask(&LIMITS, Asker::Existing));
        let [first, _second] = inside;
        drop(first);
        // It has its place already, and leaves without having looked.
        drop(gone);
        assert!(patient.try_recv().is_ok());
        assert_eq!(gate.in_flight(), 1, "the permit was dropped at once, and the other one is inside");
    }

    #[test]
    fn a_raised_limit_lets_the_waiting_in() {
        let gate = Arc::new(Gate::default());
        let _inside = [go(gate.ask(&LIMITS, Asker::New)), go(gate.ask(&LIMITS, Asker::New))];
        let mut waiting = wait(gate.ask(&LIMITS, Asker::Existing));
        let more = Limits { connections: 4, ..LIMITS };
        let _permit = go(gate.ask(&more, Asker::New));
        assert!(waiting.try_recv().is_ok());
    }
    #[test]
    fn what_was_let_in_elsewhere_is_counted_beyond_the_limit_and_leaves_its_place_to_who_waits() {
        let gate = Arc::new(Gate::default());
        let mut inside: Vec<_> = (0..3).map(|_| gate.enter(true)).collect();
        let mut waits = wait(gate.ask(&LIMITS, Asker::Existing));
        assert_eq!(gate.in_flight(), 3);
        inside.pop();
        assert!(waits.try_recv().is_err(), "still full");
        inside.pop();
        assert!(waits.try_recv().is_ok());
    }
}
