//! What a pool is made from.

use std::time::Duration;

use super::gate::Limits;
use crate::names::{BackendAddress, BackendId, PoolName};

/// What a pool is made from.
#[derive(Debug)]
pub struct PoolSpec {
    /// Its name.
    pub name: PoolName,
    /// Its backends; at most 65 535.
    pub backends: Vec<BackendSpec>,
    /// How a new session finds its backend.
    pub algorithm: Algorithm,
    /// For the ring: how far above its share a backend may be loaded with new sessions; at least 1.
    pub load_factor: f64,
    /// Whether existing sessions are still tried on a backend whose health page fails.
    pub try_home: bool,
    /// How long a backend that came up takes to reach its full share of new sessions.
    pub slow_start: Duration,
    /// When real requests take a backend out.
    pub ejection: Ejection,
    /// Bounds on the requests in flight at each backend, if any.
    pub limits: Option<Limits>,
    /// The secret of every hash.
    pub seed: HashSeed,
}

/// What a backend is made from.
#[derive(Clone, Debug)]
pub struct BackendSpec {
    /// Stable, whatever the address.
    pub id: BackendId,
    /// Where it is reached.
    pub address: BackendAddress,
    /// Its share of new sessions; 0: none.
    pub weight: u16,
    /// What the operator wants of it.
    pub admin: AdminState,
}

/// What the operator wants of a backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AdminState {
    /// Takes everything.
    Up,
    /// Keeps its sessions, takes no new ones.
    Draining,
    /// Takes nothing.
    Maintenance,
}

/// The balancing algorithms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// Weighted Ketama ring with bounded load.
    ConsistentHash,
    /// Smooth weighted round robin.
    RoundRobin,
    /// Weighted random.
    Random,
    /// Fewest requests in flight for its weight.
    LeastConnections,
}

/// When real requests take a backend out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ejection {
    /// Connection failures in a row; 0: never.
    pub consecutive_failures: u32,
    /// How long it is out before one request or probe tries it again.
    pub eject: Duration,
}

/// The secret that keys every hash of client data: whoever does not know it cannot choose a backend.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HashSeed(pub [u8; 16]);

impl std::fmt::Debug for HashSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashSeed(…)")
    }
}
