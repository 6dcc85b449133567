//! What listeners and pools of layer 4 have in a snapshot.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use zeroize::Zeroizing;

use crate::affinity::{ClientName, ConnectionIdForm, ConnectionIds, FlowPolicy};
use crate::config::checked;
use crate::limits::{By, Prefix, Rate, RequestLimit};
use crate::names::BackendId;
use crate::pool::Pool;
use crate::route::{HostPattern, PoolIndex, ServerNameRoute, ServerNameRoutes};

/// A TCP listener, as its connections see it.
#[derive(Clone, Debug)]
pub struct ServedTcp {
    /// Where TLS connections go, by what their first message says in the clear.
    pub routes: ServerNameRoutes,
    /// The pool of connections that no route takes; `None`: they are closed.
    pub pool: Option<PoolIndex>,
    /// For what a client says first, where something in it is looked at.
    pub first_bytes: Duration,
    /// Who begins with a header of the PROXY protocol, and how long it may take.
    pub proxies: Vec<IpNet>,
    /// For that header.
    pub header_timeout: Duration,
    /// Connections that may be open at once.
    pub connections: usize,
    /// A connection on which nothing moves for this long is closed.
    pub idle: Duration,
    /// What the sockets of both sides are given.
    pub options: TcpOptions,
}

/// Options of TCP's sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpOptions {
    /// After how long of silence the kernel asks whether the other end is there; `None`: never.
    pub keepalive: Option<Duration>,
    /// How long what was sent may stay unconfirmed; `None`: as the system has it.
    pub user_timeout: Option<Duration>,
}

/// A UDP listener, as its sessions see it.
#[derive(Clone, Debug)]
pub struct ServedUdp {
    /// Its pool.
    pub pool: PoolIndex,
    /// Sessions that there may be at once.
    pub sessions: usize,
    /// A session in which nothing passed for this long has ended.
    pub idle: Duration,
    /// The same for a client that has not gone on after an answer.
    pub unproven: Duration,
    /// How many datagrams a client may send, and what a client is.
    pub rate: Option<(Arc<RequestLimit>, Prefix)>,
}

/// What a listener speaks at layer 4.
#[derive(Clone, Debug)]
pub enum ServedLayer4 {
    /// TCP.
    Tcp(ServedTcp),
    /// UDP.
    Udp(ServedUdp),
}

pub(super) fn listener(listener: &checked::Listener, earlier: Option<&ServedLayer4>) -> Option<ServedLayer4> {
    match listener.layer4.clone()? {
        checked::Layer4::Udp(checked::Udp { pool, idle, unproven, rate }) => {
            Some(ServedLayer4::Udp(ServedUdp {
                pool: index(pool)?,
                sessions: listener.limits.connections,
                idle,
                unproven,
                rate: rate.map(|rate| self::rate(rate, listener.limits.client, earlier)),
            }))
        }
        checked::Layer4::Tcp(checked::Tcp { routes, pool, first_bytes, idle, keepalive, user_timeout }) => {
            Some(ServedLayer4::Tcp(ServedTcp {
                routes: ServerNameRoutes::new(routes.into_iter().filter_map(route).collect()),
                pool: pool.and_then(index),
                first_bytes,
                proxies: listener.proxy_protocol.clone(),
                header_timeout: listener.timeouts.handshake,
                connections: listener.limits.connections,
                idle,
                options: TcpOptions { keepalive, user_timeout },
            }))
        }
    }
}

/// The limit of the snapshot before, where it is the same: a reload forgives nobody.
fn rate(
    rate: checked::DatagramRate,
    client: checked::ClientPrefix,
    earlier: Option<&ServedLayer4>,
) -> (Arc<RequestLimit>, Prefix) {
    let prefix = Prefix { ipv4: client.ipv4, ipv6: client.ipv6 };
    let (by, keys) = (By::Client(prefix), rate.keys);
    let rate = Rate { requests: rate.datagrams, per: rate.per, burst: rate.burst };
    let earlier = match earlier {
        Some(ServedLayer4::Udp(earlier)) => earlier.rate.as_ref(),
        Some(ServedLayer4::Tcp(_)) | None => None,
    };
    let limit = match earlier.filter(|(limit, _)| limit.is(&by, rate, keys)) {
        Some((limit, _)) => Arc::clone(limit),
        None => Arc::new(RequestLimit::new(by, rate, keys, rand::random())),
    };
    (limit, prefix)
}

fn index(pool: usize) -> Option<PoolIndex> {
    u16::try_from(pool).ok().map(PoolIndex)
}

fn route(route: checked::TlsRoute) -> Option<ServerNameRoute> {
    let host = |host| match host {
        checked::HostPattern::Exact(host) => HostPattern::Exact(host.into_bytes().into()),
        checked::HostPattern::Below(domain) => HostPattern::Below(domain.into_bytes().into()),
    };
    Some(ServerNameRoute {
        hosts: route.server_names.into_iter().map(host).collect(),
        alpn: route.alpn.into_iter().map(|protocol| protocol.into_bytes().into()).collect(),
        pool: index(route.pool)?,
    })
}

/// What connection ids say of the backends that there are; `None`: nothing.
pub(super) fn connection_ids(forms: Vec<checked::ConnectionIdForm>, pool: &Pool) -> Option<ConnectionIds> {
    let tag = |id: &BackendId| Some(pool.backend(pool.find(id.as_str())?)?.tag());
    let form = |form: checked::ConnectionIdForm| ConnectionIdForm {
        config_id: form.config_id,
        server_id_length: form.server_id_length,
        nonce_length: form.nonce_length,
        key: form.key.and_then(|key| Some(Zeroizing::new(key.0.as_slice().try_into().ok()?))),
        encodes_length: form.encodes_length,
        servers: form.server_ids.into_iter().filter_map(|(id, backend)| Some((id, tag(&backend)?))).collect(),
    };
    (!forms.is_empty()).then(|| ConnectionIds::new(forms.into_iter().map(form)))
}

pub(super) fn flows(clients: checked::Clients) -> FlowPolicy {
    FlowPolicy {
        ipv4_prefix: clients.ipv4_prefix,
        ipv6_prefix: clients.ipv6_prefix,
        name: clients.name.map(|name| match name {
            checked::ClientName::TlsServerName => ClientName::TlsServerName,
            checked::ClientName::RdpCookie => ClientName::RdpCookie,
            checked::ClientName::MqttClientId => ClientName::MqttClientId,
        }),
    }
}
