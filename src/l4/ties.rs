//! The connections and sessions of UDP that run, and which of them have to end: those on which nothing moves any more, and those of a backend
//! that may keep none. One look at all of them now and then costs less than a timer for each.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use slab::Slab;
use tokio::task::AbortHandle;

use super::options::keep_alive;
use super::running::Moved;
use super::side::Sides;
use crate::affinity::Flow;
use crate::clock::{Now, millis};
use crate::names::{BackendAddress, BackendId, BackendTag, PoolName};
use crate::pool::{AdminState, Backend};
use crate::snapshot::{Current, ServedPool, Snapshot};

/// From one look to the next.
const TURN: Duration = Duration::from_millis(500);
const SHARDS: usize = 16;

/// The connections that run.
pub(crate) struct Ties {
    shards: [Mutex<Slab<Tie>>; SHARDS],
    /// Takes the shards in turns.
    next: AtomicUsize,
}

/// One connection.
struct Tie {
    pool: PoolName,
    backend: BackendId,
    tag: BackendTag,
    address: BackendAddress,
    /// Whether it ends when the backend is somewhere else, as a session can that is begun anew without a word.
    follows: bool,
    flow: Flow,
    moved: Arc<Moved>,
    /// What had moved at the last look.
    seen: u64,
    /// Since when nothing has moved.
    quiet_since_ms: u64,
    idle_ms: u64,
    /// When its client was last told to be here.
    touched_ms: u64,
    task: Task,
    asked_after: Option<AskedAfter>,
}

/// What to stop where a connection has to end.
#[derive(Default)]
enum Task {
    /// Nothing, or nothing any more.
    #[default]
    None,
    This(AbortHandle),
    Own(OwnTask),
}

/// A task's handle of its own, for whoever is to stop it: set by whoever started it, which may be a moment after it began.
pub(super) type OwnTask = Arc<OnceLock<AbortHandle>>;

/// The kernel is to ask whether the ends of this connection are still there, after so long of silence.
pub(super) struct AskedAfter {
    pub(super) sides: Arc<Sides>,
    pub(super) silence: Duration,
}

/// Why a connection has to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Idle,
    /// The backend is gone, in maintenance, or has drained long enough.
    Dismissed,
}

/// A connection's place among those that run; given up when dropped.
pub(super) struct Tied {
    ties: Arc<Ties>,
    shard: usize,
    key: usize,
}

impl Drop for Tied {
    fn drop(&mut self) {
        // Its end is outside of the lock.
        let _tie = self.shard().lock().try_remove(self.key);
    }
}

impl Default for Ties {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), next: AtomicUsize::new(0) }
    }
}

impl Ties {
    /// Enters a session of `flow` at a backend, which counts in `moved` what it moves.
    pub(super) fn enter(
        self: &Arc<Self>,
        served: &ServedPool,
        backend: &Backend,
        flow: Flow,
        moved: Arc<Moved>,
        idle: Duration,
        now: Now,
    ) -> Tied {
        self.insert(Tie::new(served, backend, flow, moved, idle, now))
    }

    /// Enters a connection of TCP, which `task` runs.
    #[expect(clippy::too_many_arguments, reason = "whose it is, where it goes, and what ends it")]
    pub(super) fn enter_connection(
        self: &Arc<Self>,
        served: &ServedPool,
        backend: &Backend,
        flow: Flow,
        moved: Arc<Moved>,
        idle: Duration,
        now: Now,
        task: OwnTask,
        asked_after: Option<AskedAfter>,
    ) -> Tied {
        let tie = Tie::new(served, backend, flow, moved, idle, now);
        self.insert(Tie { task: Task::Own(task), asked_after, ..tie })
    }

    fn insert(self: &Arc<Self>, tie: Tie) -> Tied {
        let shard = self.next.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let key = self.shard(shard).lock().insert(tie);
        Tied { ties: Arc::clone(self), shard, key }
    }

    /// Looks after the connections for ever.
    pub(super) async fn look_after(&self, current: &Current) {
        let mut turns = tokio::time::interval(TURN);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            self.look(&current.load(), Now::read());
        }
    }

    fn look(&self, snapshot: &Snapshot, now: Now) {
        for shard in &self.shards {
            let (mut ended, mut stay) = (Vec::new(), Vec::new());
            let mut ties = shard.lock();
            for (_, tie) in ties.iter_mut() {
                match tie.look(snapshot, now) {
                    Some(end) => {
                        if let Some(task) = tie.task.take() {
                            log::debug!("a connection to {}/{} is ended: {end:?}", tie.pool, tie.backend);
                            ended.push(task);
                        }
                    }
                    None => stay.extend(tie.asked_after.take()),
                }
            }
            if ties.len() < ties.capacity() / 4 {
                ties.shrink_to_fit();
            }
            drop(ties);
            // Outside of the lock, which the ends of connections take, too.
            ended.into_iter().for_each(|task| task.abort());
            for AskedAfter { sides, silence } in stay {
                keep_alive(silence, &sides.client);
                keep_alive(silence, &sides.backend);
            }
        }
    }

    fn shard(&self, shard: usize) -> &Mutex<Slab<Tie>> {
        // It is below the array's length.
        self.shards.get(shard).unwrap_or(&self.shards[0])
    }
}

impl Tied {
    fn shard(&self) -> &Mutex<Slab<Tie>> {
        self.ties.shard(self.shard)
    }

    /// From now on it may be silent for so long.
    pub(super) fn keep_for(&self, idle: Duration) {
        if let Some(tie) = self.shard().lock().get_mut(self.key) {
            tie.idle_ms = millis(idle);
        }
    }

    /// Nothing has moved for so long already, though something has before.
    pub(super) fn was_quiet_for(&self, quiet: Duration, now: Now) {
        if let Some(tie) = self.shard().lock().get_mut(self.key) {
            (tie.seen, tie.quiet_since_ms) = (tie.moved.total(), now.ms_since(millis(quiet)));
        }
    }

    /// For how long nothing has moved.
    pub(super) fn quiet(&self, now: Now) -> Duration {
        self.shard().lock().get(self.key).map(|tie| tie.quiet(now)).unwrap_or_default()
    }

    /// It ends when its backend has another address.
    pub(super) fn follow_address(&self) {
        if let Some(tie) = self.shard().lock().get_mut(self.key) {
            tie.follows = true;
        }
    }

    /// Says what to stop where it has to end.
    pub(super) fn runs(&self, task: AbortHandle) {
        if let Some(tie) = self.shard().lock().get_mut(self.key) {
            tie.task = Task::This(task);
        }
    }
}

impl Task {
    /// What to stop, once; `None` also while it is still to be set.
    fn take(&mut self) -> Option<AbortHandle> {
        let task = match self {
            Self::None => None,
            Self::This(task) => Some(task.clone()),
            Self::Own(task) => task.get().cloned(),
        };
        if task.is_some() {
            *self = Self::None;
        }
        task
    }
}

impl Tie {
    fn new(
        served: &ServedPool,
        backend: &Backend,
        flow: Flow,
        moved: Arc<Moved>,
        idle: Duration,
        now: Now,
    ) -> Self {
        Self {
            pool: served.pool.name().clone(),
            backend: backend.id().clone(),
            tag: backend.tag(),
            address: backend.address().clone(),
            follows: false,
            flow,
            moved,
            seen: 0,
            quiet_since_ms: now.monotonic_ms,
            idle_ms: millis(idle),
            touched_ms: now.monotonic_ms,
            task: Task::None,
            asked_after: None,
        }
    }

    fn look(&mut self, snapshot: &Snapshot, now: Now) -> Option<End> {
        let Some(served) = snapshot.pool_named(&self.pool) else { return Some(End::Dismissed) };
        let pool = &served.pool;
        let Some(backend) = pool.find(self.backend.as_str()).and_then(|index| pool.backend(index)) else {
            return Some(End::Dismissed);
        };
        if dismisses(backend, now) || self.follows && *backend.address() != self.address {
            return Some(End::Dismissed);
        }
        self.touch(served, now);
        let moved = self.moved.total();
        if moved != self.seen {
            (self.seen, self.quiet_since_ms) = (moved, now.monotonic_ms);
        }
        (now.ms_since(self.quiet_since_ms) >= self.idle_ms).then_some(End::Idle)
    }

    /// For how long nothing has moved.
    fn quiet(&self, now: Now) -> Duration {
        if self.moved.total() != self.seen {
            return Duration::ZERO;
        }
        Duration::from_millis(now.ms_since(self.quiet_since_ms))
    }

    /// A client with a connection is no stranger, however long it lasts.
    fn touch(&mut self, served: &ServedPool, now: Now) {
        let learned = &served.policy.learned;
        if now.ms_since(self.touched_ms) >= millis(learned.idle()) / 4 {
            self.touched_ms = now.monotonic_ms;
            learned.used(self.flow.digest(), self.tag, now);
        }
    }
}

/// Whether a backend keeps no connection any more.
pub(super) fn dismisses(backend: &Backend, now: Now) -> bool {
    match backend.admin() {
        AdminState::Up => false,
        AdminState::Draining => backend.live().drain().is_over(now),
        AdminState::Maintenance => true,
    }
}
