//! A backend's health as a small state machine, pure.
//!
//! | from        | event                                   | to                              |
//! |-------------|-----------------------------------------|---------------------------------|
//! | up          | first connection failure                | suspect; the caller probes once |
//! | suspect     | probe or request succeeds               | up                              |
//! | suspect     | probe fails, or too many failures       | down (unreachable), ejected     |
//! | down        | ejection over, no active check          | suspect; the next caller probes |
//! | any         | check falls: page fails                 | down (unhealthy)                |
//! | any         | check falls: connection fails           | down (unreachable)              |
//! | down        | check rises                             | up                              |
//!
//! A failed connection and a failing page are kept apart (`word.rs`): a page that fails during an ejection does
//! not end it, and a probe that connects does not mend the page.
//!
//! A check that began before the failure says nothing about it; checks rise by several in a row, so one
//! that was already under way cannot bring a backend back alone. A backend that was ejected by real requests
//! comes back by what the next probe says, whoever makes it.

/// A backend's state as log, metrics and commands show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Takes everything.
    Up,
    /// A connection failed; a probe is deciding.
    Suspect,
    /// Keeps its sessions, takes no new ones.
    Draining,
    /// Takes nothing, or only its own sessions if just its health page fails.
    Down,
    /// Takes nothing, as the operator wants it.
    Maintenance,
}

impl State {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Draining => "draining",
            Self::Down => "down",
            Self::Maintenance => "maintenance",
        }
    }
}

/// What takes a backend down.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cause {
    /// Connections are refused, reset or time out: nobody is there.
    Unreachable,
    /// Only its health page fails: no proof of death.
    Unhealthy,
}

/// What health knows of a backend.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Health {
    /// It serves.
    Up,
    /// A connection failed; a probe is deciding.
    Suspect,
    /// It does not serve.
    Down(Cause),
}

/// What an active check has come to, after rise and fall.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CheckVerdict {
    /// It rose.
    Up,
    /// It fell: the page failed.
    Unhealthy,
    /// It fell: the connection failed.
    Unreachable,
}

/// What a failed connection of a real request means.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Failure {
    /// The first one: the backend is now suspect, and the caller must start the one probe.
    FirstSuspicion,
    /// One of many while a probe is deciding, or against a backend that is down anyway.
    Counted,
    /// One too many: the backend is out.
    Ejected,
}
