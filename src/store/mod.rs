//! Learned sessions outside of their table: in the state folder, so that a crash or restart finds them again,
//! and in an engine that replicas share.
//!
//! Nothing here is on the path of a request that has a token or a session known here, and nothing here is needed
//! for one: without folder or engine everything works as if this room did not exist.
//!
//! May use `affinity` (the table and its journal), `pool` (the seed of hashes), `names` and `clock`. The crates that do the work do not
//! show outside.

mod disk;
mod disk_error;
mod keeper;
mod shared;

use std::sync::Arc;

pub use disk::{DiskStore, Work};
pub use disk_error::DiskError;
pub use keeper::Keeper;
pub use shared::{EngineSettings, SharedCounts, SharedTable, SharedTally};

use crate::affinity::{Learned, SessionDigest};
use crate::names::PoolName;
use crate::pool::HashSeed;

/// One pool whose learned sessions are kept elsewhere, too.
#[derive(Clone, Debug)]
pub struct KeptPool {
    /// Its name, under which it finds its sessions again.
    pub name: PoolName,
    /// Its table.
    pub learned: Arc<Learned>,
    /// A digest that is made as the table's keys are: where it differs, the affinity seed was
    /// another one, and what is kept is of no use.
    pub mark: SessionDigest,
}

impl KeptPool {
    /// What the mark is the digest of.
    const MARK: &'static [u8] = b"steadfast kept sessions 1";

    /// A pool whose hashes are keyed with `seed`.
    pub fn new(name: PoolName, learned: Arc<Learned>, seed: &HashSeed) -> Self {
        Self { name, learned, mark: SessionDigest::of(seed, Self::MARK) }
    }
}
