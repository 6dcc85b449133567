//! What a checked configuration proves of backends that come and go; part of [`checked`](super::checked).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where a pool's backends come from besides the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// A name in DNS.
    Dns(Dns),
    /// A file that is watched.
    File(BackendFile),
}

/// A name in DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// The name; the search list applies unless it ends with a dot.
    pub name: String,
    /// Which records.
    pub record: DnsRecord,
    /// The longest time between two looks. Default 5 s.
    pub refresh: Duration,
    /// The shortest time between two looks, at least a second, at most `refresh`. Default 1 s.
    pub refresh_minimum: Duration,
    /// For one try of one question. Default 2 s.
    pub timeout: Duration,
    /// The resolvers; empty: the system's. Default empty.
    pub resolvers: Vec<SocketAddr>,
    /// Whether an answer without records, where it lasts, removes all backends. Default false (`keep`).
    pub remove_when_empty: bool,
}

/// Which records name the backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsRecord {
    /// A and AAAA, all with this port.
    Address {
        /// The port.
        port: u16,
    },
    /// SRV, each with its own port.
    Srv,
}

/// A file that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendFile {
    /// Where it is.
    pub path: PathBuf,
    /// From one look to the next. Default 2 s.
    pub refresh: Duration,
    /// Whether a file without backends, where it lasts, removes all backends. Default false (`keep`).
    pub remove_when_empty: bool,
}

/// What happens to a backend that is no longer named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It drains: keeps its sessions, takes no new ones, until the deadline.
    Drain,
    /// It is gone at once; its sessions move.
    AtOnce,
}

/// How backends drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long a draining backend keeps its sessions. Default 30 min.
    pub deadline: Duration,
}
