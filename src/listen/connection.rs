//! What is known of a client's connection, shared by all of its requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use http::HeaderValue;

use super::acceptance::Acceptance;
use super::buffers::Buffers;
use super::pages::Pages;
use super::passage::Passage;
use crate::clock::Now;
use crate::limits::ClientConnections;
use crate::names::{BackendIndex, ListenerName};

/// What all connections of a listener have in common.
#[derive(Debug)]
pub struct ListenerFacts {
    /// Its name.
    pub name: ListenerName,
    /// Its position in the configuration.
    pub index: usize,
    /// Whether it accepts.
    pub acceptance: Acceptance,
    /// The open connections of each client.
    pub clients: Arc<ClientConnections>,
    /// What is kept for slow clients; read once for each connection.
    pub buffers: Arc<ArcSwapOption<Buffers>>,
    /// What is said when a request is refused; read when one is.
    pub pages: Arc<ArcSwapOption<Pages>>,
    /// The way of its sessions to another process, or from there; of UDP.
    pub(crate) passage: Passage,
}

/// What TLS says of a client's connection.
#[derive(Debug)]
pub struct Secured {
    /// The server that the client meant to reach.
    pub server_name: Option<Box<str>>,
    /// Whom the client's certificate names, where it has shown one.
    pub client_subject: Option<HeaderValue>,
    /// Whether clients show certificates here: then a request for another server is none of this connection's.
    pub authenticates: bool,
    /// Whether HTTP/2 was agreed upon.
    pub http2: bool,
    /// The version, such as `TLSv1.3`, for the log.
    pub version: &'static str,
    /// The cipher suite, for the log.
    pub cipher: &'static str,
}

/// What is known of a client's connection.
#[derive(Debug)]
pub struct Connection {
    /// The listener that accepted it.
    pub listener: Arc<ListenerFacts>,
    /// The other end, as the kernel or, where it is believed, the PROXY protocol has it.
    pub peer: SocketAddr,
    /// What TLS says, where it is spoken.
    pub secured: Option<Box<Secured>>,
    /// Its address alone, as backends are told.
    peer_text: HeaderValue,
    /// Requests that reached the application.
    requests: AtomicU64,
    /// The last first choice: 16 bits pool, 16 bits backend + 1, 32 bits of time in seconds; 0: none yet.
    choice: AtomicU64,
}

impl Connection {
    /// A connection that was just accepted.
    pub fn new(listener: Arc<ListenerFacts>, peer: SocketAddr, secured: Option<Secured>) -> Self {
        let text = peer.ip().to_canonical().to_string();
        // An address has only digits, letters, dots, colons.
        let peer_text = HeaderValue::from_maybe_shared(bytes::Bytes::from(text))
            .unwrap_or(HeaderValue::from_static("unknown"));
        let (requests, choice) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { listener, peer, secured: secured.map(Box::new), peer_text, requests, choice }
    }

    /// The other end's address, as `X-Forwarded-For` has it.
    pub fn peer_text(&self) -> &HeaderValue {
        &self.peer_text
    }

    /// Counts a request that reached the application.
    pub fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that reached the application.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The backend chosen for this connection's first request without evidence to a pool, and how many
    /// seconds ago.
    #[expect(clippy::cast_possible_truncation, reason = "fields of a packed word")]
    pub fn choice(&self, pool: u16, now: Now) -> Option<(BackendIndex, u64)> {
        let packed = self.choice.load(Ordering::Relaxed);
        let backend = (packed >> 32) as u16;
        if backend == 0 || (packed >> 48) as u16 != pool {
            return None;
        }
        let age_s = (now.monotonic_ms / 1000).saturating_sub(packed & 0xFFFF_FFFF);
        Some((BackendIndex(backend - 1), age_s))
    }

    /// Remembers a first choice.
    pub fn remember_choice(&self, pool: u16, backend: BackendIndex, now: Now) {
        let packed = u64::from(pool) << 48
            | u64::from(backend.0.saturating_add(1)) << 32
            | (now.monotonic_ms / 1000) & 0xFFFF_FFFF;
        self.choice.store(packed, Ordering::Relaxed);
    }
}
