//! Runs all checks of a snapshot, and the small upkeep that goes by the clock.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};

use super::active::{CheckSpec, watch};
use super::passive::{Knock, probe_suspect};
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
    /// What that probe does.
    pub knock: Knock,
}

/// Watches pools until it is dropped. Its tasks run on the runtime that told it what to watch.
#[derive(Debug, Default)]
pub struct Monitor {
    tasks: JoinSet<()>,
    checks: Vec<Checking>,
    upkeeps: Vec<AbortHandle>,
}

/// A check that runs.
#[derive(Debug)]
struct Checking {
    pool: Arc<Pool>,
    index: BackendIndex,
    spec: Arc<CheckSpec>,
    task: AbortHandle,
}

impl Monitor {
    /// Watches these pools from now on, and no others. A check that stays as it was goes on, with what it has
    /// counted: else a configuration that changes often would keep every check from falling.
    pub fn watch(&mut self, pools: &[Watched]) {
        let mut before = std::mem::take(&mut self.checks);
        self.upkeeps.drain(..).for_each(|task| task.abort());
        for watched in pools {
            self.upkeeps.push(self.tasks.spawn(upkeep(watched.clone())));
            let Some(spec) = &watched.check else { continue };
            for index in watched.pool.indexes() {
                let same = before.iter().position(|checking| checking.is(&watched.pool, index, spec));
                let checking = same.map(|at| before.swap_remove(at)).unwrap_or_else(|| Checking {
                    task: self.tasks.spawn(watch(Arc::clone(&watched.pool), index, Arc::clone(spec))),
                    pool: Arc::clone(&watched.pool),
                    index,
                    spec: Arc::clone(spec),
                });
                self.checks.push(checking);
            }
        }
        before.into_iter().for_each(|checking| checking.task.abort());
        while self.tasks.try_join_next().is_some() {}
    }
}

impl Checking {
    /// Whether it does for this backend what the specification asks for.
    fn is(&self, pool: &Arc<Pool>, index: BackendIndex, spec: &CheckSpec) -> bool {
        let (Some(old), Some(new)) = (self.pool.backend(self.index), pool.backend(index)) else {
            return false;
        };
        Arc::ptr_eq(old.live(), new.live())
            && old.address() == new.address()
            && self.spec.is_same_for(self.index, spec, index)
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
                let hold = watched.hold.max(Duration::from_millis(100));
                probe_suspect(Arc::clone(&watched.pool), index, hold, watched.knock.clone()).await;
            }
        }
    }
}

fn is_half_open(pool: &Pool, index: BackendIndex) -> bool {
    let Some(backend) = pool.backend(index) else { return false };
    backend.live().ejection_is_over(Now::read())
}
