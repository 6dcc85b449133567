//! One TCP connection, from its arrival to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::timeout;

use super::connect::{Connected, connect};
use super::first::{FirstBytes, client_hello};
use super::gate::Gate;
use super::options;
use super::relay::relay;
use super::running::{Moved, Running};
use super::side::{Side, Sides};
use super::ties::{AskedAfter, OwnTask, Tied};
use crate::affinity::{Flow, Origin};
use crate::clock::Exact;
use crate::listen::{ProxyHeader, Slot, proxy_header, proxy_header_of_nobody, read_proxy_header};
use crate::pool::Permit;
use crate::route::PoolIndex;
use crate::snapshot::{ServedLayer4, ServedPool, ServedTcp, Snapshot};
use crate::telemetry::CodeClass;

/// Both ends of a client's connection, as it sees them.
#[derive(Clone, Copy)]
struct Ends {
    client: SocketAddr,
    /// Where a proxy in front says so.
    server: Option<SocketAddr>,
    /// Whether those are addresses: at a socket in the file system nobody has one, and the client counts as this machine.
    real: bool,
}

/// A connection whose both sides stand. Given up when dropped: its places only after its sockets.
struct Standing {
    _tied: Tied,
    sides: Arc<Sides>,
    running: Running,
    _permit: Option<Permit>,
    _slot: Slot,
}

/// What a connection has from the moment when it was accepted.
struct Accepted {
    at: Exact,
    slot: Slot,
    task: OwnTask,
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

    /// Serves a connection, in the task that `task` is set to.
    pub(super) async fn serve(self: Arc<Self>, client: Side, peer: SocketAddr, slot: Slot, task: OwnTask) {
        let accepted = Accepted { at: Exact::read(), slot, task };
        // In a box, which is gone while it runs: a connection may be idle for days.
        let Some(mut connection) = Box::pin(self.stand(client, peer, accepted)).await else { return };
        match relay(&connection.sides, &connection.running.moved).await {
            Ok(()) => connection.running.class = CodeClass::Success,
            Err(error) => log::debug!("a connection was reset: {error}"),
        }
    }

    /// Finds the backend, and connects to it.
    async fn stand(&self, mut client: Side, peer: SocketAddr, accepted: Accepted) -> Option<Standing> {
        // The world that it was received in, kept until it stands.
        let snapshot = self.current.load();
        let listener = self.tcp(&snapshot)?;
        let ends = self.ends(&mut client, peer, listener).await?;
        // Not by way of the listening socket: whoever came before it had them would lack them.
        if let Side::Tcp(client) = &client {
            options::set(listener.options, client);
        }
        let mut first = FirstBytes::new(listener.first_bytes);
        let Some(pool) = route(listener, &mut first, &mut client).await else {
            self.reject(&ends, "no route takes it");
            return None;
        };
        let served = snapshot.pool(pool)?;
        let flow = flow(served, &ends, &mut first, &mut client).await?;
        let source = ends.real.then(|| ends.client.ip());
        match connect(served, &flow, source, listener, accepted.at.now).await {
            Ok(mut connected) => {
                let both = || Some((ends.client, ends.server.or_else(|| client.local_addr())?));
                greet(&mut connected, served, both, &first.into_bytes()).await?;
                self.standing(client, connected, served, listener, flow, accepted)
            }
            Err(error) => {
                log::debug!("{}: a connection to pool {}: {error}", self.facts.name, served.pool.name());
                self.not_served(&snapshot, accepted.at.stamp);
                None
            }
        }
    }

    /// Where the client is: as the kernel has it, or as a trusted proxy in front says.
    async fn ends(&self, client: &mut Side, peer: SocketAddr, listener: &ServedTcp) -> Option<Ends> {
        let own = Ends { client: peer, server: None, real: matches!(client, Side::Tcp(_)) };
        let ip = own.client.ip().to_canonical();
        if !listener.proxies.iter().any(|network| network.contains(&ip)) {
            return Some(own);
        }
        match Box::pin(read_proxy_header(client, listener.header_timeout)).await {
            Ok(ProxyHeader::Client { source, destination }) => {
                Some(Ends { client: source, server: Some(destination), real: true })
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

    fn standing(
        &self,
        client: Side,
        connected: Connected,
        served: &ServedPool,
        listener: &ServedTcp,
        flow: Flow,
        Accepted { at, slot, task }: Accepted,
    ) -> Option<Standing> {
        let Connected { backend: stream, decision, permit, retries, times, stands } = connected;
        let backend = served.pool.backend(decision.backend)?;
        let (now, arrived) = (stands.now, at.stamp);
        backend.live().request_succeeded(now);
        // Who has completed TCP's handshake is at that address.
        let note = flow.note(&decision, &served.policy, &served.pool, Origin::Application, now);
        self.served(served, backend, &decision, note, retries, (arrived, stands));
        let sides = Arc::new(Sides { client, backend: stream });
        let moved = Arc::<Moved>::default();
        let asked_after =
            listener.options.keepalive.map(|silence| AskedAfter { sides: Arc::clone(&sides), silence });
        let (idle, counts) = (listener.idle, Arc::clone(&moved));
        let _tied = self.ties.enter_connection(served, backend, flow, counts, idle, now, task, asked_after);
        let running = Running {
            current: Arc::clone(&self.current),
            pool: served.pool.name().clone(),
            backend: backend.id().clone(),
            reason: decision.reason,
            retries,
            times,
            arrived,
            moved,
            class: CodeClass::None,
            handed_over: false,
        };
        Some(Standing { _tied, sides, running, _permit: permit, _slot: slot })
    }
}

/// The pool of a connection.
async fn route(listener: &ServedTcp, first: &mut FirstBytes, client: &mut Side) -> Option<PoolIndex> {
    if listener.routes.is_empty() {
        return listener.pool;
    }
    let hello = Box::pin(first.look(client, client_hello)).await;
    let taken = hello.and_then(|hello| listener.routes.find(hello.server_name.as_deref(), &hello.alpn));
    taken.or(listener.pool)
}

/// What tells the client apart: the name that it gives itself, where the pool looks at that; else its address.
async fn flow(served: &ServedPool, ends: &Ends, first: &mut FirstBytes, client: &mut Side) -> Option<Flow> {
    let (flows, seed) = (served.flows.as_ref()?, served.pool.seed());
    if let Some(of) = flows.name
        && let Some(name) = Box::pin(first.name(client, of)).await
    {
        return Some(flows.by_name(of, &name, seed));
    }
    Some(flows.by_address(ends.client.ip(), seed))
}

/// Tells the backend who the client is, where it is to know, and what the client has said already. `both` are the
/// addresses of the client and of what it has connected to, where they have any.
async fn greet(
    connected: &mut Connected,
    served: &ServedPool,
    both: impl Fn() -> Option<(SocketAddr, SocketAddr)>,
    first: &[u8],
) -> Option<()> {
    let mut greeting = match served.proxy_protocol.map(|version| (version, both())) {
        Some((version, Some((client, server)))) => proxy_header(version, client, server),
        Some((version, None)) => proxy_header_of_nobody(version),
        None => Vec::new(),
    };
    greeting.extend_from_slice(first);
    if greeting.is_empty() {
        return Some(());
    }
    timeout(served.connect_timeout, connected.backend.write_all(&greeting)).await.ok()?.ok()
}
