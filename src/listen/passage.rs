//! The way of a listener's UDP sessions from one process to the next, each with the socket that leads to its backend: so the backend
//! sees no other port.
//!
//! Each listening socket has its lane, which runs on a thread of its own. What hands over, or takes, is on another one: it
//! sends each lane a word.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::counts::Slot;
use crate::names::{BackendId, ListenerName, PoolName, Reason};

/// A session, as one process tells it to the next.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct SessionRecord {
    pub(crate) listener: ListenerName,
    /// Which of the listener's sockets its client writes to: both processes have them in one order.
    pub(crate) lane: usize,
    pub(crate) client: SocketAddr,
    /// The address of ours that the client writes to, where there are several.
    pub(crate) local: Option<IpAddr>,
    /// The tag of the backend that a connection id names.
    pub(crate) named: Option<u64>,
    pub(crate) pool: PoolName,
    pub(crate) backend: BackendId,
    /// Where the backend is, and so the other end of its socket.
    pub(crate) to: SocketAddr,
    /// Where its socket is: no other one has both ends in common with it.
    pub(crate) from: SocketAddr,
    /// Whether the socket brings many datagrams in one piece.
    pub(crate) many: bool,
    /// Why it went to that backend, and after how many others.
    pub(crate) reason: Reason,
    pub(crate) retries: u32,
    /// Whether its client has gone on after an answer, and whether there was one.
    pub(crate) proven: bool,
    pub(crate) answered: bool,
    /// What has passed so far.
    pub(crate) up: u64,
    pub(crate) down: u64,
    pub(crate) datagrams: u64,
    /// For how long it has run, and for how long nothing has passed.
    pub(crate) age: Duration,
    pub(crate) quiet: Duration,
}

/// A session on its way.
#[derive(Debug)]
pub(crate) struct CarriedSession {
    pub(crate) record: SessionRecord,
    /// Connected to its backend.
    pub(crate) socket: UdpSocket,
    /// Its place in this process, kept until it has been handed over; `None`: it comes from another process.
    pub(crate) slot: Option<Slot>,
}

/// What a lane is told.
#[derive(Debug)]
pub(crate) enum Word {
    /// Go on with this session.
    Adopt(Box<CarriedSession>),
    /// All that another process had has come: read.
    Complete,
    /// Send away every session that has a backend. Dropped when that is done.
    Leave(mpsc::Sender<CarriedSession>),
}

/// The way to the lanes of one listener.
#[derive(Debug, Default)]
pub(crate) struct Passage {
    lanes: Vec<Ear>,
    awaits: bool,
}

/// Where one lane is told.
#[derive(Debug)]
struct Ear {
    tell: UnboundedSender<Word>,
    /// Until the lane has taken it.
    told: Mutex<Option<UnboundedReceiver<Word>>>,
}

impl Passage {
    /// To so many lanes. `awaits`: another process has sessions for them, and nothing is to be read until they have come.
    pub(crate) fn new(lanes: usize, awaits: bool) -> Self {
        let lane = |_| {
            let (tell, told) = unbounded_channel();
            Ear { tell, told: Mutex::new(Some(told)) }
        };
        Self { lanes: (0..lanes).map(lane).collect(), awaits }
    }

    /// Whether lanes wait for [`Word::Complete`] before they read.
    pub(crate) fn awaits(&self) -> bool {
        self.awaits
    }

    /// What a lane is told, from the beginning; for the lane itself, once.
    pub(crate) fn words(&self, lane: usize) -> Option<UnboundedReceiver<Word>> {
        self.lanes.get(lane)?.told.lock().take()
    }

    /// A session for one of the lanes. Where that does not run, it ends here.
    pub(crate) fn adopt(&self, session: CarriedSession) {
        if let Some(lane) = self.lanes.get(session.record.lane) {
            let _ = lane.tell.send(Word::Adopt(Box::new(session)));
        }
    }

    /// Lets the lanes read.
    pub(crate) fn complete(&self) {
        self.lanes.iter().for_each(|lane| _ = lane.tell.send(Word::Complete));
    }

    /// Lets the lanes send away their sessions.
    pub(crate) fn leave(&self, to: &mpsc::Sender<CarriedSession>) {
        // A lane that does not run any more keeps nothing of it.
        self.lanes.iter().for_each(|lane| _ = lane.tell.send(Word::Leave(to.clone())));
    }
}
