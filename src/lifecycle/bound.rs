//! A listener that is bound: what a reload can change of it, and what it cannot.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config::Checked;
use crate::config::checked::Listener;
use crate::listen::{Bounds, HeadLimits};
use crate::names::ListenerName;

/// A listener that is bound.
#[derive(Debug)]
pub(crate) struct BoundListener {
    pub(crate) name: ListenerName,
    /// As the configuration has it; the port may be 0.
    pub(crate) address: SocketAddr,
    /// What the door goes by, from the next connection on; `None`: layer 4 has no door, and goes by the snapshot.
    pub(crate) bounds: Option<Arc<ArcSwap<Bounds>>>,
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
            Some(listener) if listener.layer4.is_none() != self.bounds.is_some() => {
                Some(format!("listener `{}` spoke another protocol", self.name))
            }
            Some(_) => None,
        }
    }

    /// Goes by the configuration from the next connection on.
    pub(super) fn follow(&self, listener: &Listener) {
        if let Some(current) = &self.bounds {
            current.store(Arc::new(bounds(listener)));
        }
    }
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
