//! Events: what happens, told to whoever listens. Bounded: a slow listener misses events and hears how many, and nobody
//! waits for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use super::sample::Sample;
use crate::clock::Now;
use crate::names::{BackendId, PoolName};

/// Events that whoever begins to listen is told of.
const KEPT: usize = 200;
/// What may wait for a slow listener.
const WAITING: usize = 256;
/// Listeners at once.
const MOST_LISTENERS: usize = 16;

/// What happens, and who listens.
#[derive(Debug)]
pub struct Events {
    sender: broadcast::Sender<News>,
    kept: Mutex<VecDeque<Arc<Event>>>,
    next: AtomicU64,
}

/// What a listener hears.
#[derive(Clone, Debug)]
pub enum News {
    /// Something happened.
    Happened(Arc<Event>),
    /// A second has passed: the numbers.
    Sample(Arc<Sample>),
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its number, from 1 on.
    pub number: u64,
    /// When, in seconds since 1970.
    pub at_s: u64,
    /// What.
    pub kind: EventKind,
    /// The pool; null: all, or none.
    #[schemars(with = "Option<String>")]
    pub pool: Option<PoolName>,
    /// The backend; null: all, or none.
    #[schemars(with = "Option<String>")]
    pub backend: Option<BackendId>,
    /// In words.
    pub text: String,
    /// The number of the request that tells more; null: none.
    pub request: Option<u64>,
}

/// Kinds of events.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A backend is in another state.
    State,
    /// A session moved.
    Moved,
    /// A session was lost.
    Lost,
    /// A backend began to drain, or has drained.
    Drain,
    /// Another configuration is in force.
    Configuration,
    /// Another process takes over.
    Upgrade,
    /// More sessions are lost than usual, or no more.
    Alert,
}

impl Default for Events {
    fn default() -> Self {
        let (sender, _) = broadcast::channel(WAITING);
        Self { sender, kept: Mutex::default(), next: AtomicU64::new(1) }
    }
}

impl Events {
    /// Tells of something that happened, and keeps it.
    pub fn tell(&self, kind: EventKind, about: About<'_>, text: String, now: Now) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let event = Arc::new(Event {
            number,
            at_s: about.at_s.unwrap_or(now.unix_s),
            kind,
            pool: about.pool.cloned(),
            backend: about.backend.cloned(),
            text,
            request: about.request,
        });
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&event));
        // Under the lock, so that whoever begins to listen hears each event once.
        let _ = self.sender.send(News::Happened(event));
    }

    /// Tells the numbers of this second.
    pub fn sample(&self, sample: Arc<Sample>) {
        let _ = self.sender.send(News::Sample(sample));
    }

    /// Whether anybody listens.
    pub fn has_listeners(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// What happened lately, and all that happens from now on; `None`: too many listen already.
    pub fn listen(&self) -> Option<(Vec<Arc<Event>>, broadcast::Receiver<News>)> {
        let kept = self.kept.lock();
        if self.sender.receiver_count() >= MOST_LISTENERS {
            return None;
        }
        Some((kept.iter().cloned().collect(), self.sender.subscribe()))
    }

    /// What happened lately, the latest last.
    pub fn kept(&self) -> Vec<Arc<Event>> {
        self.kept.lock().iter().cloned().collect()
    }
}

/// What an event is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct About<'a> {
    /// The pool.
    pub pool: Option<&'a PoolName>,
    /// The backend.
    pub backend: Option<&'a BackendId>,
    /// The number of a recent request.
    pub request: Option<u64>,
    /// When it happened, in seconds since 1970; `None`: now.
    pub at_s: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { monotonic_ms: 5_000, unix_s: 7 };

    #[test]
    fn whoever_listens_hears_what_was_and_what_comes_each_once() {
        let events = Events::default();
        assert!(!events.has_listeners());
        (0..300).for_each(|n| events.tell(EventKind::State, About::default(), n.to_string(), NOW));
        let (before, mut hears) = events.listen().unwrap();
        assert_eq!((before.len(), before[0].number, before[199].number), (KEPT, 101, 300));
        events.tell(EventKind::Lost, About { request: Some(4), ..About::default() }, "next".to_owned(), NOW);
        let News::Happened(event) = hears.try_recv().unwrap() else { panic!("an event") };
        assert_eq!((event.number, event.kind, event.request, event.at_s), (301, EventKind::Lost, Some(4), 7));
        assert!(hears.try_recv().is_err(), "nothing else");
    }

    #[test]
    fn a_slow_listener_misses_events_and_nobody_waits() {
        let events = Events::default();
        let (_, mut slow) = events.listen().unwrap();
        (0..1000).for_each(|n| events.tell(EventKind::State, About::default(), n.to_string(), NOW));
        let Err(broadcast::error::TryRecvError::Lagged(missed)) = slow.try_recv() else {
            panic!("missed some")
        };
        assert_eq!(missed, 1000 - 256);
        let others: Vec<_> = (0..100).map_while(|_| events.listen()).collect();
        assert_eq!(others.len(), MOST_LISTENERS - 1, "so many at once");
    }
}
