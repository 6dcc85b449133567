//! Runs all checks of a snapshot, and the small upkeep that goes by the clock.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::active::{CheckSpec, watch};
use super::passive::probe_suspect;
use crate::clock::Now;
use crate::names::BackendIndex;
use crate::pool::Pool;

/// A pool that is watched.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The pool.
    pub pool: Arc<Pool>,
    /// Its active check, if it has one.
    pub check: Option<Arc<CheckSpec>>,
    /// How long the probe of a suspect backend may take.
    pub hold: Duration,
}

/// Watches pools until it is dropped.
#[derive(Debug)]
pub struct Monitor {
    pools: Vec<Watched>,
}

impl Monitor {
    /// Watches these pools.
    pub fn new(pools: Vec<Watched>) -> Self {
        Self { pools }
    }

    /// Checks, and keeps the books; ends only when the future is dropped.
    pub async fn run(&self) {
        let mut tasks = JoinSet::new();
        for watched in &self.pools {
            tasks.spawn(upkeep(watched.clone()));
            let Some(check) = &watched.check else { continue };
            for index in watched.pool.indexes() {
                tasks.spawn(watch(Arc::clone(&watched.pool), index, Arc::clone(check)));
            }
        }
        tasks.join_all().await;
    }
}

/// Once a second: loads fade, and an ejected backend whose time is over is tried by a probe rather than by a
/// user's request.
async fn upkeep(watched: Watched) {
    let mut turns = tokio::time::interval(Duration::from_secs(1));
    loop {
        turns.tick().await;
        watched.pool.decay_loads();
        for index in watched.pool.indexes() {
            if is_half_open(&watched.pool, index) {
                probe_suspect(Arc::clone(&watched.pool), index, watched.hold.max(Duration::from_millis(100)))
                    .await;
            }
        }
    }
}

fn is_half_open(pool: &Pool, index: BackendIndex) -> bool {
    let Some(backend) = pool.backend(index) else { return false };
    backend.live().ejection_is_over(Now::read())
}
