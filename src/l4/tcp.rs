//! One TCP connection, from its arrival to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connect::{Connected, connect};
use super::first::{FirstBytes, client_hello};
use super::gate::Gate;
use super::options;
use super::relay::relay;
use super::running::{Moved, Running};
use super::side::Side;
use crate::affinity::{Flow, Origin};
use crate::clock::{Now, Stamp};
use crate::listen::{ProxyHeader, Slot, proxy_header, read_proxy_header};
use crate::route::PoolIndex;
use crate::snapshot::{ServedLayer4, ServedPool, ServedTcp, Snapshot};
use crate::telemetry::CodeClass;

/// Both ends of a client's connection, as it sees them.
#[derive(Clone, Copy)]
struct Ends {
    client: SocketAddr,
    /// Where a proxy in front says so.
    server: Option<SocketAddr>,
}

/// A connection that has just come.
#[derive(Clone, Copy)]
struct Arrival {
    now: Now,
    stamp: Stamp,
}

impl Gate {
    /// Connections that may be open at once.
    pub(super) fn connection_limit(&self) -> usize {
        self.tcp(&self.current.load()).map_or(0, |listener| listener.connections)
    }

    fn tcp<'s>(&self, snapshot: &'s Snapshot) -> Option<&'s ServedTcp> {
        match snapshot.listeners.get(self.facts.index)?.layer4.as_ref()? {
            ServedLayer4::Tcp(tcp) => Some(tcp),
            ServedLayer4::Udp(_) => None,
        }
    }

    /// Serves a connection; once both sides stand, in a task of its own, which is small.
    pub(super) async fn serve(self: &Arc<Self>, mut client: TcpStream, peer: SocketAddr, slot: Slot) {
        let arrival = Arrival { now: Now::read(), stamp: Stamp::read() };
        // The world that it was received in, kept until it stands.
        let snapshot = self.current.load();
        let Some(listener) = self.tcp(&snapshot) else { return };
        let Some(ends) = self.ends(&mut client, peer, listener).await else { return };
        // Not by way of the listening socket: whoever came before it had them would lack them.
        options::set(listener.options, &client);
        let mut first = FirstBytes::new(listener.first_bytes);
        let Some(pool) = route(listener, &mut first, &mut client).await else {
            return self.reject(&ends, "no route takes it");
        };
        let Some(served) = snapshot.pool(pool) else { return };
        let Some(flow) = flow(served, &ends, &mut first, &mut client).await else { return };
        match connect(served, &flow, ends.client.ip(), listener, arrival.now).await {
            Ok(mut connected) => {
                let server = || ends.server.or_else(|| client.local_addr().ok());
                if greet(&mut connected, served, (ends.client, server), &first.into_bytes()).await.is_some() {
                    self.join(client, connected, served, listener, flow, slot, arrival);
                }
            }
            Err(error) => {
                log::debug!("{}: a connection to pool {}: {error}", self.facts.name, served.pool.name());
                self.not_served(&snapshot, arrival.stamp);
            }
        }
    }

    /// Where the client is: as the kernel has it, or as a trusted proxy in front says.
    async fn ends(&self, client: &mut TcpStream, peer: SocketAddr, listener: &ServedTcp) -> Option<Ends> {
        let own = Ends { client: peer, server: None };
        let ip = own.client.ip().to_canonical();
        if !listener.proxies.iter().any(|network| network.contains(&ip)) {
            return Some(own);
        }
        match read_proxy_header(client, listener.header_timeout).await {
            Ok(ProxyHeader::Client { source, destination }) => {
                Some(Ends { client: source, server: Some(destination) })
            }
            Ok(ProxyHeader::Itself) => Some(own),
            Err(error) => {
                self.reject(&own, &error.to_string());
                None
            }
        }
    }

    fn reject(&self, ends: &Ends, why: &str) {
        self.counts.rejected.fetch_add(1, Ordering::Relaxed);
        log::debug!("{}: a connection from {}: {why}", self.facts.name, ends.client);
    }

    #[expect(clippy::too_many_arguments, reason = "the two sides, what was decided, and what ends with them")]
    fn join(
        self: &Arc<Self>,
        client: TcpStream,
        connected: Connected,
        served: &ServedPool,
        listener: &ServedTcp,
        flow: Flow,
        slot: Slot,
        arrival: Arrival,
    ) {
        let Connected { backend: stream, decision, permit, retries, times } = connected;
        let Some(backend) = served.pool.backend(decision.backend) else { return };
        let now = Now::read();
        backend.live().request_succeeded(now);
        served.meter.decided(decision.reason);
        // Who has completed TCP's handshake is at that address.
        let note = flow.note(&decision, &served.policy, &served.pool, Origin::Application, now);
        self.served(served, backend, &decision, note, retries, arrival.stamp);
        let moved = Arc::<Moved>::default();
        let tied = self.ties.enter(served, backend, flow, Arc::clone(&moved), listener.idle, now);
        let (id, client) = (tied.id(), Side::Tcp(client));
        let running = Running {
            handed_over: false,
            current: Arc::clone(&self.current),
            pool: served.pool.name().clone(),
            backend: backend.id().clone(),
            reason: decision.reason,
            retries,
            times,
            arrived: arrival.stamp,
            moved,
            class: CodeClass::None,
        };
        let task = tokio::spawn(async move {
            let _ended_with_it = (slot, permit, tied);
            // As a whole, or only its fields would come along.
            let mut running = running;
            match relay(&client, &stream, &running.moved).await {
                Ok(()) => running.class = CodeClass::Success,
                Err(error) => log::debug!("a connection was reset: {error}"),
            }
        });
        self.ties.runs(id, task.abort_handle());
    }
}

/// The pool of a connection.
async fn route(listener: &ServedTcp, first: &mut FirstBytes, client: &mut TcpStream) -> Option<PoolIndex> {
    if listener.routes.is_empty() {
        return listener.pool;
    }
    let hello = first.look(client, client_hello).await;
    let taken = hello.and_then(|hello| listener.routes.find(hello.server_name.as_deref(), &hello.alpn));
    taken.or(listener.pool)
}

/// What tells the client apart: the name that it gives itself, where the pool looks at that; else its address.
async fn flow(
    served: &ServedPool,
    ends: &Ends,
    first: &mut FirstBytes,
    client: &mut TcpStream,
) -> Option<Flow> {
    let (flows, seed) = (served.flows.as_ref()?, served.pool.seed());
    if let Some(of) = flows.name
        && let Some(name) = first.name(client, of).await
    {
        return Some(flows.by_name(of, &name, seed));
    }
    Some(flows.by_address(ends.client.ip(), seed))
}

/// Tells the backend who the client is, where it is to know, and what the client has said already.
async fn greet(
    connected: &mut Connected,
    served: &ServedPool,
    (client, server): (SocketAddr, impl Fn() -> Option<SocketAddr>),
    first: &[u8],
) -> Option<()> {
    let mut greeting = match served.proxy_protocol {
        Some(version) => proxy_header(version, client, server()?),
        None => Vec::new(),
    };
    greeting.extend_from_slice(first);
    if greeting.is_empty() {
        return Some(());
    }
    timeout(served.connect_timeout, connected.backend.write_all(&greeting)).await.ok()?.ok()
}
