//! When a request reached each of its phases.

use std::time::Duration;

use crate::clock::{Exact, Stamp};
use crate::telemetry::Times;

/// When a request reached each of its phases, as far as it has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phases {
    arrived: Exact,
    placed: Option<Stamp>,
    /// The latest try began.
    trying: Option<Stamp>,
    connected: Option<Stamp>,
    /// The latest try made a connection of its own.
    connects: bool,
    answered: Option<Stamp>,
}

impl Phases {
    /// Of a request that has just arrived.
    pub(super) fn new(arrived: Exact) -> Self {
        Self { arrived, placed: None, trying: None, connected: None, connects: false, answered: None }
    }

    /// It has a backend, and a place there; again with each further try.
    pub(super) fn placed(&mut self) {
        let now = Stamp::read();
        self.placed.get_or_insert(now);
        self.trying = Some(now);
    }

    /// It has a connection.
    pub(super) fn connected(&mut self, reused: bool) {
        self.connected = Some(Stamp::read());
        self.connects = !reused;
    }

    /// The head of its final response is there.
    pub(super) fn answered(&mut self, now: Stamp) {
        self.answered = Some(now);
    }

    /// When it arrived, in milliseconds since 1970.
    pub(super) fn arrived_unix_ms(&self) -> u64 {
        self.arrived.unix_ms()
    }

    /// When it arrived, in nanoseconds since 1970.
    pub(super) fn arrived_unix_ns(&self) -> u64 {
        self.arrived.unix_ns
    }

    /// How long after its arrival a moment is.
    pub(super) fn after_arrival(&self, then: Stamp) -> Duration {
        then.since(self.arrived.stamp)
    }

    /// How long each phase took, at its end.
    pub(super) fn times(&self, now: Stamp) -> Times {
        Times {
            queue: self.placed.map(|placed| placed.since(self.arrived.stamp)),
            connect: self
                .trying
                .zip(self.connected)
                .filter(|_| self.connects)
                .map(|(from, to)| to.since(from)),
            first_byte: self.connected.zip(self.answered).map(|(from, to)| to.since(from)),
            whole: now.since(self.arrived.stamp),
        }
    }
}
