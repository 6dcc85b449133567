//! What listeners and pools of layer 4 have in a snapshot.

use std::time::Duration;

use ipnet::IpNet;

use crate::affinity::FlowPolicy;
use crate::config::checked;
use crate::route::PoolIndex;

/// A TCP listener, as its connections see it.
#[derive(Clone, Debug)]
pub struct ServedTcp {
    /// The pool that every connection goes to.
    pub pool: PoolIndex,
    /// Who begins with a header of the PROXY protocol, and how long it may take.
    pub proxies: Vec<IpNet>,
    /// For that header.
    pub header_timeout: Duration,
    /// Connections that may be open at once.
    pub connections: usize,
    /// A connection on which nothing moves for this long is closed.
    pub idle: Duration,
    /// After how long of silence the kernel asks whether the other end is there.
    pub keepalive: Option<Duration>,
    /// How long what was sent may stay unconfirmed.
    pub user_timeout: Option<Duration>,
}

/// What a listener speaks at layer 4.
#[derive(Clone, Debug)]
pub enum ServedLayer4 {
    /// TCP.
    Tcp(ServedTcp),
}

pub(super) fn listener(listener: &checked::Listener) -> Option<ServedLayer4> {
    match listener.layer4.clone()? {
        checked::Layer4::Tcp(checked::Tcp { pool, idle, keepalive, user_timeout }) => {
            Some(ServedLayer4::Tcp(ServedTcp {
                pool: PoolIndex(u16::try_from(pool).ok()?),
                proxies: listener.proxy_protocol.clone(),
                header_timeout: listener.timeouts.handshake,
                connections: listener.limits.connections,
                idle,
                keepalive,
                user_timeout,
            }))
        }
    }
}

pub(super) fn flows(source: checked::SourceAddress) -> FlowPolicy {
    FlowPolicy { ipv4_prefix: source.ipv4_prefix, ipv6_prefix: source.ipv6_prefix }
}
