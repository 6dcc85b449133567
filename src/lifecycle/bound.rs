//! A listener that is bound: what a reload can change of it, and what it cannot.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config::Checked;
use crate::config::checked::{ClientPrefix, Listener};
use crate::limits::{ClientConnections, PerClient, Prefix};
use crate::listen::{Bounds, HeadLimits};
use crate::names::ListenerName;

/// A listener that is bound.
#[derive(Debug)]
pub(crate) struct BoundListener {
    pub(crate) name: ListenerName,
    /// As the configuration has it; the port may be 0.
    pub(crate) address: SocketAddr,
    /// How many connections a client may have.
    pub(crate) clients: Arc<ClientConnections>,
    /// What the door goes by, from the next connection on.
    pub(crate) bounds: Arc<ArcSwap<Bounds>>,
}

impl BoundListener {
    /// Whether the configuration means this one.
    pub(super) fn is(&self, listener: &Listener) -> bool {
        self.name == listener.name
    }

    /// What of it only another process could change, if anything.
    pub(super) fn differs(&self, checked: &Checked) -> Option<String> {
        match checked.listeners.iter().find(|listener| self.is(listener)) {
            None => Some(format!("listener `{}` was removed", self.name)),
            Some(listener) if listener.address != self.address => {
                Some(format!("listener `{}` was on {}", self.name, self.address))
            }
            Some(_) => None,
        }
    }

    /// Goes by the configuration from the next connection on.
    pub(super) fn follow(&self, listener: &Listener) {
        self.bounds.store(Arc::new(bounds(listener)));
        self.clients.follow(per_client(listener));
    }
}

/// How many connections one client of a listener may have, if that is bounded.
pub(crate) fn per_client(listener: &Listener) -> Option<PerClient> {
    let ClientPrefix { ipv4, ipv6 } = listener.limits.client;
    let exempt = listener.trusted_proxies.clone();
    let per_client = |connections| PerClient { connections, prefix: Prefix { ipv4, ipv6 }, exempt };
    listener.limits.connections_per_client.map(per_client)
}

/// What a listener's door goes by.
pub(crate) fn bounds(listener: &Listener) -> Bounds {
    Bounds {
        head: HeadLimits {
            bytes: listener.limits.head_bytes,
            fields: listener.limits.header_fields,
            target_bytes: listener.limits.uri_bytes,
            body_bytes: listener.limits.body_bytes,
        },
        head_timeout: listener.timeouts.head,
        idle: listener.timeouts.idle,
        connections: listener.limits.connections,
    }
}
