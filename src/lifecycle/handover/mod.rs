//! The hand-over: what a process gives to its successor, so that an upgrade loses neither a request nor a session.
//!
//! The successor connects to a socket of the old process and gets, in this order: the listening sockets, what differs from
//! the file at run time with the health of each backend, the session book, and all learned sessions. It starts, accepts on the same
//! sockets, and says that it is ready; only then does the old process stop accepting. It then sends the sessions of UDP, each with
//! the socket to its backend ([`udp`]); until a lane's first one has come, the successor reads nothing there. Until the old one has
//! finished, both tell each other what they learn ([`exchange`]). Whatever goes wrong before the word "ready"
//! leaves the old process as it was; and if the successor dies afterwards, while the old one is still finishing,
//! the old one accepts again, unless the successor said that it was told to end.
//!
//! Our own listeners bind their own sockets, so Pingora's transfer, with its limits of 32 sockets and 2 048 bytes of names
//! and its exit when nobody came, is not used at all.

mod exchange;
mod give;
mod record;
mod take;
mod udp;
mod wire;

use serde::{Deserialize, Serialize};

use super::control::CarriedWorld;
use crate::names::{BackendId, ListenerName, PoolName};
use crate::pool::CarriedLive;
use crate::telemetry::CarriedPage;

pub(crate) use give::{Estate, Giver, Heirloom, Outcome};
pub(crate) use take::{Inheritance, Predecessor, SOCKET_VARIABLE, connect, tell_predecessor};

/// Another number: another protocol, and the two processes do not understand each other.
const VERSION: u32 = 1;

/// What the successor says first.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Hello {
    version: u32,
    pid: u32,
}

/// One listening socket; the descriptors travel in the same order beside the frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SocketName {
    listener: ListenerName,
    /// As the configuration has it.
    address: String,
}

/// Everything but sockets and sessions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Carried {
    world: CarriedWorld,
    live: Vec<(PoolName, BackendId, CarriedLive)>,
    /// Whether sessions of UDP follow the word "ready"; those before did not say so.
    #[serde(default)]
    udp_follows: bool,
}

/// The session book's counts of one backend.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Page {
    pool: PoolName,
    page: CarriedPage,
}

/// What the successor says when it accepts.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Ready {
    /// The inherited sockets that it accepts on.
    took: Vec<ListenerName>,
    /// Whether it understands sessions of UDP; those before did not say so.
    #[serde(default)]
    takes_udp: bool,
}

/// What a successor says at its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Farewell {
    /// Whether another process has taken over; else nobody accepts any more.
    pub(crate) succeeded: bool,
}

/// Why a hand-over did not come about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum HandoverError {
    /// The connection to the other process broke, or it took too long.
    #[error("the other process was lost: {0}")]
    Lost(#[from] std::io::Error),
    /// What it says is not understood.
    #[error("the other process says what is not understood: {0}")]
    Garbled(String),
    /// The successor could not start.
    #[error("{0}")]
    Refused(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_says_nothing_of_udp_neither_gives_nor_takes_it() {
        let ready: Ready = serde_json::from_str(r#"{"took":["web","dns"]}"#).unwrap();
        assert!(!ready.takes_udp && ready.took.len() == 2);
        let now = serde_json::to_value(Carried { udp_follows: true, ..Carried::default() }).unwrap();
        let mut before = now.clone();
        before.as_object_mut().unwrap().remove("udp_follows");
        assert!(serde_json::from_value::<Carried>(now).unwrap().udp_follows);
        assert!(!serde_json::from_value::<Carried>(before).unwrap().udp_follows);
    }
}
