//! Whether a listener accepts: an upgrade pauses the old process's listeners, and may have to resume them.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// Whether a listener takes new connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Accepting {
    /// It does.
    Yes,
    /// Another process accepts on the same socket. This one keeps its socket, to resume if the other one dies.
    Paused,
    /// Nobody is to accept there any more: those who wait are still served, then the socket is closed.
    Closing,
}

/// Tells a listener whether to accept.
#[derive(Debug)]
pub struct Acceptance {
    accepting: watch::Sender<Accepting>,
    /// The same, for requests: whether their connection may stay open.
    keeps: AtomicBool,
}

impl Default for Acceptance {
    fn default() -> Self {
        Self { accepting: watch::Sender::new(Accepting::Yes), keeps: AtomicBool::new(true) }
    }
}

impl Acceptance {
    /// From now on. Open connections go on, and each ends with its next response unless the listener accepts.
    pub fn set(&self, accepting: Accepting) {
        self.keeps.store(accepting == Accepting::Yes, Ordering::Relaxed);
        self.accepting.send_replace(accepting);
    }

    /// Whether connections may serve another request after the one at hand.
    pub fn keeps_connections(&self) -> bool {
        self.keeps.load(Ordering::Relaxed)
    }

    /// Whether another process accepts in this one's place.
    pub fn is_paused(&self) -> bool {
        *self.accepting.borrow() == Accepting::Paused
    }

    /// Hears of changes.
    pub fn subscribe(&self) -> watch::Receiver<Accepting> {
        self.accepting.subscribe()
    }
}
