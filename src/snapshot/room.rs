//! A pool's waiting room, compiled; its line outlives a reload.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::served::ServedPool;
use crate::affinity::{Pass, PoolBinding};
use crate::clock::Now;
use crate::config::checked;
use crate::limits::Line;
use crate::names::PoolName;

/// How often sessions are counted, when a visitor comes: it takes a while where they are many.
const COUNT_EVERY_MS: u64 = 10_000;
/// The same while visitors wait, or would have to.
const CROWDED_COUNT_EVERY_MS: u64 = 1000;

/// Where new visitors wait while the pool has as many sessions as it may.
#[derive(Debug)]
pub struct WaitingRoom {
    /// Those who wait.
    pub line: Arc<Line>,
    /// Sessions that may live at once.
    pub sessions: u64,
    /// After what time the page renews itself.
    pub refresh: Duration,
    /// Whoever does not come back for this long loses its turn.
    pub patience: Duration,
    /// Name of the cookie that keeps a visitor's turn.
    pub cookie: Box<str>,
    /// What ties its value to this pool.
    pub binding: PoolBinding,
    /// The page's HTML, where there is one.
    pub page: Option<Box<str>>,
    /// When sessions were last counted.
    counted_ms: AtomicU64,
}

impl WaitingRoom {
    pub(super) fn new(
        room: checked::WaitingRoom,
        pool: &PoolName,
        before: Option<&ServedPool>,
        now: Now,
    ) -> Self {
        let before = before.and_then(|before| before.room.as_ref());
        let line = before.filter(|before| before.line.is(room.length, room.patience));
        let suffix = PoolBinding::of(pool).suffix();
        Self {
            line: line.map_or_else(
                || Arc::new(Line::new(room.length, room.patience)),
                |before| Arc::clone(&before.line),
            ),
            sessions: room.sessions,
            refresh: room.refresh,
            patience: room.patience,
            cookie: format!("steadfast-wait-{suffix}").into_boxed_str(),
            binding: Pass::binding(pool),
            page: room.page.map(String::into_boxed_str),
            counted_ms: AtomicU64::new(now.monotonic_ms),
        }
    }

    /// Whether sessions are to be counted now, by whoever asks.
    pub fn is_to_count(&self, now: Now) -> bool {
        let last = self.counted_ms.load(Ordering::Relaxed);
        let crowded = self.line.is_crowded(self.sessions);
        now.ms_since(last) >= if crowded { CROWDED_COUNT_EVERY_MS } else { COUNT_EVERY_MS }
            && self
                .counted_ms
                .compare_exchange(last, now.monotonic_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}
