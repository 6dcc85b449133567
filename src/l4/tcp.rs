//! One TCP connection, from its arrival to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;

use super::connect::{Connected, connect, options};
use super::relay::relay;
use super::ties::Ties;
use crate::affinity::{Flow, FlowNote, Origin};
use crate::clock::Now;
use crate::listen::{Counts, ListenerFacts, ProxyHeader, Slot, read_proxy_header};
use crate::names::Outcome;
use crate::snapshot::{Current, ServedLayer4, ServedPool, ServedTcp, Snapshot};
use crate::telemetry::{self, Entry, Summary};

/// A TCP listener: what its connections need.
pub(crate) struct TcpGate {
    pub(crate) facts: Arc<ListenerFacts>,
    pub(crate) counts: Arc<Counts>,
    current: Arc<Current>,
    /// Counts of connections by reason, as those of requests.
    requests: Arc<telemetry::Counts>,
    ties: Arc<Ties>,
}

impl TcpGate {
    /// A listener that goes by the snapshot in force at each connection.
    pub(crate) fn new(
        facts: Arc<ListenerFacts>,
        current: &Arc<Current>,
        requests: &Arc<telemetry::Counts>,
        ties: &Arc<Ties>,
    ) -> Self {
        let (current, requests, ties) = (Arc::clone(current), Arc::clone(requests), Arc::clone(ties));
        Self { facts, counts: Arc::default(), current, requests, ties }
    }

    /// Connections that may be open at once.
    pub(super) fn connection_limit(&self) -> usize {
        self.listener(&self.current.load()).map_or(0, |listener| listener.connections)
    }

    fn listener<'s>(&self, snapshot: &'s Snapshot) -> Option<&'s ServedTcp> {
        match snapshot.listeners.get(self.facts.index)?.layer4.as_ref()? {
            ServedLayer4::Tcp(tcp) => Some(tcp),
        }
    }

    /// Serves a connection; once both sides stand, in a task of its own, which is small.
    pub(super) async fn serve(&self, mut client: TcpStream, slot: Slot) {
        let arrived = Now::read();
        // The world that it was received in, kept until it stands.
        let snapshot = self.current.load();
        let Some(listener) = self.listener(&snapshot) else { return };
        let Some(source) = self.source(&mut client, listener).await else { return };
        let Some(served) = snapshot.pool(listener.pool) else { return };
        let Some(flows) = &served.flows else { return };
        let flow = flows.by_address(source.ip(), served.pool.seed());
        options(&client, listener);
        match connect(served, &flow, listener, arrived).await {
            Ok(connected) => self.join(client, connected, served, listener, flow, slot, arrived),
            Err(error) => {
                log::debug!("{}: a connection to pool {}: {error}", self.facts.name, served.pool.name());
                self.sum_up(None, Outcome::Kept, served, 0, arrived);
            }
        }
    }

    /// The client's address: as the kernel has it, or as a trusted proxy in front says.
    async fn source(&self, client: &mut TcpStream, listener: &ServedTcp) -> Option<SocketAddr> {
        let peer = client.peer_addr().ok()?;
        let ip = peer.ip().to_canonical();
        if !listener.proxies.iter().any(|network| network.contains(&ip)) {
            return Some(peer);
        }
        match read_proxy_header(client, listener.header_timeout).await {
            Ok(ProxyHeader::Client { source, .. }) => Some(source),
            Ok(ProxyHeader::Itself) => Some(peer),
            Err(error) => {
                self.counts.rejected.fetch_add(1, Ordering::Relaxed);
                log::debug!("{}: {ip}: {error}", self.facts.name);
                None
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the two sides, what was decided, and what ends with them")]
    fn join(
        &self,
        client: TcpStream,
        connected: Connected,
        served: &ServedPool,
        listener: &ServedTcp,
        flow: Flow,
        slot: Slot,
        arrived: Now,
    ) {
        let Connected { backend: stream, decision, permit, retries } = connected;
        let Some(backend) = served.pool.backend(decision.backend) else { return };
        let now = Now::read();
        backend.live().request_succeeded(now);
        // Who has completed TCP's handshake is at that address.
        let note = flow.note(&decision, &served.policy, &served.pool, Origin::Application, now);
        enter(served, decision.backend, note, now);
        self.sum_up(Some((&decision, backend.id())), note.outcome, served, retries, arrived);
        let moved = Arc::new(AtomicU64::new(0));
        let tied = self.ties.enter(served, backend, flow, Arc::clone(&moved), listener.idle, now);
        let id = tied.id();
        let task = tokio::spawn(async move {
            let _ended_with_it = (slot, permit, tied);
            if let Err(error) = relay(&client, &stream, &moved).await {
                log::debug!("a connection was reset: {error}");
            }
        });
        self.ties.runs(id, task.abort_handle());
    }

    fn sum_up(
        &self,
        went_to: Option<(&crate::affinity::Decision, &crate::names::BackendId)>,
        outcome: Outcome,
        served: &ServedPool,
        retries: u32,
        arrived: Now,
    ) {
        let took = Duration::from_millis(Now::read().ms_since(arrived.monotonic_ms));
        let went_to = went_to.map(|(decision, id)| (served.pool.name(), id, decision.reason));
        let listener = &self.facts.name;
        let summary = Summary {
            listener,
            request_id: None,
            route: None,
            went_to,
            outcome: outcome.as_str(),
            status: 0,
            retries,
            took,
        };
        self.requests.add(&summary);
        log::debug!("{summary}");
    }
}

/// Enters what happened to a client's session.
fn enter(served: &ServedPool, backend: crate::names::BackendIndex, note: FlowNote, now: Now) {
    let entry = Entry {
        outcome: note.outcome,
        moved_from: note.moved_from.and_then(|tag| served.pool.find_tag(tag)),
        ..Entry::default()
    };
    served.book.enter(backend, &entry, now);
}
