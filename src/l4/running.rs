//! What is counted of a connection that runs, entered when it has ended, however it did.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Stamp;
use crate::names::{BackendId, PoolName, Reason};
use crate::snapshot::Current;
use crate::telemetry::{CodeClass, Measure, Times};

/// Bytes that have passed.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// To the backend.
    pub(super) up: AtomicU64,
    /// To the client.
    pub(super) down: AtomicU64,
    /// Datagrams, in either direction: one may be empty.
    pub(super) datagrams: AtomicU64,
}

impl Moved {
    /// All together: whether it changes says whether anything moves.
    pub(super) fn total(&self) -> u64 {
        let bytes = self.up.load(Ordering::Relaxed).wrapping_add(self.down.load(Ordering::Relaxed));
        bytes.wrapping_add(self.datagrams.load(Ordering::Relaxed))
    }
}

/// A connection that runs. It keeps names instead of the snapshot that it began with: it may last for days.
pub(super) struct Running {
    pub(super) current: Arc<Current>,
    pub(super) pool: PoolName,
    pub(super) backend: BackendId,
    pub(super) reason: Reason,
    pub(super) retries: u32,
    pub(super) times: Times,
    pub(super) arrived: Stamp,
    pub(super) moved: Arc<Moved>,
    /// `Success` where both sides have ended it; `None` where it broke or was ended.
    pub(super) class: CodeClass,
    /// Whether another process goes on with it, and counts it when it ends.
    pub(super) handed_over: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.handed_over {
            return;
        }
        let snapshot = self.current.load();
        let Some(served) = snapshot.pool_named(&self.pool) else { return };
        let Some(index) = served.pool.find(self.backend.as_str()) else { return };
        let measure = Measure {
            reason: self.reason,
            class: self.class,
            retries: self.retries,
            received: self.moved.up.load(Ordering::Relaxed),
            sent: self.moved.down.load(Ordering::Relaxed),
            times: Times { whole: Stamp::read().since(self.arrived), ..self.times },
        };
        served.meter.count(index, &measure);
    }
}
