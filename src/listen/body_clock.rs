//! How long the body of an HTTP/2 request has been still: Pingora has no limit for that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use crate::clock::{Now, millis};

/// The body has ended, or need not go on.
const ENDED: u64 = u64::MAX;

/// When a body last went on.
#[derive(Debug)]
pub struct BodyClock(AtomicU64);

impl BodyClock {
    /// A body that begins now.
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(Now::read().monotonic_ms))
    }

    /// More of it has come.
    pub fn goes_on(&self) {
        self.0.store(Now::read().monotonic_ms, Ordering::Relaxed);
    }

    /// Its end has come, or nobody waits for it.
    pub fn ends(&self) {
        self.0.store(ENDED, Ordering::Relaxed);
    }

    /// Ends once nothing has come for that long.
    pub(super) async fn stands_still(&self, limit: Duration) {
        loop {
            let last = self.0.load(Ordering::Relaxed);
            if last == ENDED {
                std::future::pending::<()>().await;
            }
            let still = Duration::from_millis(Now::read().ms_since(last));
            if millis(still) >= millis(limit) {
                return;
            }
            sleep(limit.saturating_sub(still)).await;
        }
    }
}
