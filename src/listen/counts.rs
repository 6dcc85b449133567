//! Counts of what the front door does unseen by the application, and the limit of open connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::limits::ClientPlace;

/// Counts of one listener.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections that are open.
    open: AtomicUsize,
    /// Connections that were accepted.
    pub accepted: AtomicU64,
    /// Connections that were closed at once because too many were open.
    pub over_limit: AtomicU64,
    /// Requests answered by the door with 4xx or 5xx.
    pub rejected: AtomicU64,
    /// Request heads, and bodies in HTTP/2, that took too long.
    pub timed_out: AtomicU64,
    /// PROXY protocol headers and TLS handshakes that came to nothing.
    pub handshake_failed: AtomicU64,
    /// Handshakes in progress.
    handshakes: AtomicUsize,
    /// Requests that passed the door and were refused by the parser behind it, unseen by the application.
    pub refused_unseen: AtomicU64,
    /// Of UDP.
    pub datagrams: DatagramCounts,
}

/// Datagrams of one listener.
#[derive(Debug, Default)]
pub struct DatagramCounts {
    /// From clients.
    pub received: AtomicU64,
    /// To clients.
    pub sent: AtomicU64,
    /// Dropped because their client sends too many.
    pub over_rate: AtomicU64,
    /// Dropped because they are of no session, and none may begin.
    pub homeless: AtomicU64,
    /// Dropped because too many of their session wait for its backend.
    pub over_waiting: AtomicU64,
    /// Dropped because the system does not send them: too long, or its buffer is full.
    pub unsent: AtomicU64,
}

impl Counts {
    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Takes a place for one connection, unless `limit` are open.
    pub fn enter(self: &Arc<Self>, limit: usize) -> Option<Slot> {
        let slot = self.go_on(limit);
        add(if slot.is_some() { &self.accepted } else { &self.over_limit });
        slot
    }

    /// Takes a place for a session that another process has begun, and counted, unless `limit` are open.
    pub(crate) fn go_on(self: &Arc<Self>, limit: usize) -> Option<Slot> {
        let more = |open| (open < limit).then_some(open + 1);
        self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Slot { counts: Arc::clone(self), _client: None })
    }

    /// Begins a handshake, unless `limit` are in progress.
    pub(super) fn begin_handshake(&self, limit: usize) -> Option<Handshake<'_>> {
        let handshake = Handshake(self);
        if self.handshakes.fetch_add(1, Ordering::Relaxed) >= limit {
            add(&self.handshake_failed);
            return None;
        }
        Some(handshake)
    }
}

/// A handshake in progress; ends when dropped.
#[derive(Debug)]
pub(super) struct Handshake<'c>(&'c Counts);

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.0.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The place of one open connection; given back when dropped.
#[derive(Debug)]
pub struct Slot {
    counts: Arc<Counts>,
    /// The place that its client has for it.
    _client: Option<ClientPlace>,
}

impl Slot {
    /// Also gives this place back.
    #[must_use]
    pub(crate) fn of_client(self, place: ClientPlace) -> Self {
        let mut slot = self;
        slot._client = Some(place);
        slot
    }

    /// The same place for the next one, which nobody else can take in between; `None` where there are more than `limit`.
    pub(crate) fn handed_on(mut self, limit: usize) -> Option<Self> {
        self._client = None;
        if self.counts.open() > limit {
            return None;
        }
        add(&self.counts.accepted);
        Some(self)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}
