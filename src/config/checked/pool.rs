//! Backends that serve the same application.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Affinity, ConnectionIdForm, Discovery, Drain, Health, HttpVersion, PoolTls, Removal, Transport,
    WaitingRoom,
};
use crate::names::{BackendAddress, BackendId, PoolName, ProxyVersion};

/// Backends that serve the same application.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Its name.
    pub name: PoolName,
    /// Its backends, at least one unless there is `discovery`, ids unique.
    pub backends: Vec<Backend>,
    /// Where backends come from besides, if anywhere.
    pub discovery: Option<Discovery>,
    /// How a new session finds its backend.
    pub balance: Balance,
    /// How a session stays on its backend.
    pub affinity: Affinity,
    /// How backends are watched.
    pub health: Health,
    /// TLS towards backends, unless they are spoken to in cleartext.
    pub tls: Option<PoolTls>,
    /// By what they are reached.
    pub transport: Transport,
    /// What is spoken to them.
    pub http: HttpVersion,
    /// How they are told of the client before anything else, if so.
    pub proxy_protocol: Option<ProxyVersion>,
    /// The address that connections of layer 4 come from.
    pub source: ConnectsFrom,
    /// What connection ids of QUIC say of backends, config ids unique; empty: nothing.
    pub connection_ids: Vec<ConnectionIdForm>,
    /// Bounds on how long a backend may take.
    pub timeouts: PoolTimeouts,
    /// When a request is tried again.
    pub retries: Retries,
    /// Bounds on what each backend is given at once, if any.
    pub limits: Option<PoolLimits>,
    /// Where new visitors wait, if anywhere.
    pub waiting_room: Option<WaitingRoom>,
    /// What happens to a backend that is no longer named. Default `Drain`.
    pub removal: Removal,
    /// How backends drain.
    pub drain: Drain,
}

/// Bounds on what each backend is given at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// Requests in flight at one backend; more of them wait.
    pub connections_per_backend: u32,
    /// Requests that wait, at each backend. Default 1000.
    pub queue_length: usize,
    /// How long one waits. Default 5 s.
    pub queue_wait: Duration,
    /// Whether requests of running sessions go in before those of new ones. Default true.
    pub existing_sessions_first: bool,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backend {
    /// Stable, whatever its address.
    pub id: BackendId,
    /// Where it is reached.
    pub address: BackendAddress,
    /// Its share of new sessions, relative to the others; 0: none.
    pub weight: u16,
    /// What the operator wants of it.
    pub state: BackendState,
    /// How long it may drain, where that was said for it alone; `None`: as the pool has it.
    pub drain_deadline: Option<Duration>,
}

/// What the operator wants of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackendState {
    /// Takes everything.
    Up,
    /// Keeps its sessions, takes no new ones.
    Draining,
    /// Takes nothing.
    Maintenance,
}

impl BackendState {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Draining => "draining",
            Self::Maintenance => "maintenance",
        }
    }
}

/// How a new session finds its backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Balance {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// For `consistent_hash`: how far above its share a backend may be loaded, at least 1. Default 1.25.
    pub load_factor: f64,
}

/// The balancing algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Weighted Ketama ring with bounded load: replicas agree.
    ConsistentHash,
    /// Smooth weighted round robin.
    RoundRobin,
    /// Weighted random.
    Random,
    /// Fewest requests in flight for its weight.
    LeastConnections,
}

/// Bounds on how long a backend may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolTimeouts {
    /// To connect. Default 2 s.
    pub connect: Duration,
    /// Between two reads from it. Default 60 s.
    pub read: Duration,
    /// For one write to it. Default 60 s.
    pub write: Duration,
    /// Silence on both sides of a tunnel or a stream. Default 1 h.
    pub tunnel: Duration,
    /// That an idle connection to it is kept. Default 15 s: below Tomcat's own 20 s.
    pub idle: Duration,
}

/// When a request is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Tries after the first. Default 2, at most 8.
    pub attempts: u32,
    /// After a connection could not be made: nothing was sent, so any method. Default true.
    pub on_connect: bool,
    /// After a reset before the first response byte: idempotent methods only. Default true.
    pub on_reset: bool,
}

/// The address that a connection to a backend comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectsFrom {
    /// The balancer's own.
    Balancer,
    /// The client's.
    Client,
}
