//! The queue of records between requests and the exporter: bounded, and nobody waits for room in it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use super::record::SpanRecord;

/// So many records make a message; once they are there, the exporter is woken.
const MESSAGE: usize = 512;

/// Records that wait to be exported, and what became of those before.
#[derive(Debug, Default)]
pub struct Spans {
    waiting: Mutex<Waiting>,
    wanted: Notify,
    done: Condvar,
    exported: AtomicU64,
    dropped_full: AtomicU64,
    dropped_failed: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    records: Vec<SpanRecord>,
    /// A message is on its way.
    busy: bool,
}

/// What became of spans.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SpanCounts {
    /// The collector has taken them.
    pub exported: u64,
    /// The queue was full.
    pub dropped_full: u64,
    /// The collector could not be reached, or did not want them.
    pub dropped_failed: u64,
}

impl Spans {
    /// Leaves a record, unless `most` are waiting.
    pub fn enter(&self, record: SpanRecord, most: usize) {
        let mut waiting = self.waiting.lock();
        if waiting.records.len() >= most {
            drop(waiting);
            self.dropped_full.fetch_add(record.spans(), Ordering::Relaxed);
            return;
        }
        waiting.records.push(record);
        let wakes = waiting.records.len().is_multiple_of(MESSAGE);
        drop(waiting);
        if wakes {
            self.wanted.notify_one();
        }
    }

    /// Waits until there are enough for a message, or somebody is in a hurry.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Takes the oldest records, as many as make a message.
    pub fn take(&self) -> Vec<SpanRecord> {
        let mut waiting = self.waiting.lock();
        let length = MESSAGE.min(waiting.records.len());
        let rest = waiting.records.split_off(length);
        let message = std::mem::replace(&mut waiting.records, rest);
        waiting.busy = !message.is_empty();
        message
    }

    /// Counts what became of a message with these records. `rejected`: spans of it that the collector did not want.
    pub fn sent(&self, records: &[SpanRecord], taken: bool, rejected: u64) {
        let spans: u64 = records.iter().map(SpanRecord::spans).sum();
        let exported = if taken { spans.saturating_sub(rejected) } else { 0 };
        self.exported.fetch_add(exported, Ordering::Relaxed);
        self.dropped_failed.fetch_add(spans - exported, Ordering::Relaxed);
        self.waiting.lock().busy = false;
        self.done.notify_all();
    }

    /// Waits until what was left so far has been sent or given up, for a bounded time. Blocks.
    pub fn flush(&self, patience: Duration) {
        self.wanted.notify_one();
        let is_unsent = |waiting: &mut Waiting| waiting.busy || !waiting.records.is_empty();
        self.done.wait_while_for(&mut self.waiting.lock(), is_unsent, patience);
    }

    /// What became of spans so far.
    pub fn counts(&self) -> SpanCounts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        SpanCounts {
            exported: of(&self.exported),
            dropped_full: of(&self.dropped_full),
            dropped_failed: of(&self.dropped_failed),
        }
    }
}

impl SpanRecord {
    /// Its own, and one for each try.
    fn spans(&self) -> u64 {
        u64::try_from(self.tries.len()).unwrap_or(u64::MAX).saturating_add(1)
    }
}
