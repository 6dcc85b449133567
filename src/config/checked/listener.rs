//! Where clients arrive.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::{ClientPrefix, RequestLimit};
use crate::names::ListenerName;

/// An address that is accepted on.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Its name in log and metrics.
    pub name: ListenerName,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Bounds on what a client may send.
    pub limits: ListenerLimits,
    /// Bounds on how long a client may take.
    pub timeouts: ListenerTimeouts,
    /// Tried in order; the first that matches wins.
    pub routes: Vec<Route>,
}

/// Bounds on what a client may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Bytes of request line and header fields together (431 above). Default 64 KiB.
    pub head_bytes: usize,
    /// Number of header fields (431 above). Default 100, at most 256.
    pub header_fields: usize,
    /// Bytes of the request target (414 above). Default 16 KiB.
    pub uri_bytes: usize,
    /// Bytes of a request body (413 above); `None`: no bound. Default none.
    pub body_bytes: Option<u64>,
    /// Open connections on this listener; further ones are closed at once. Default 100 000.
    pub connections: usize,
    /// Open connections of one client; further ones are closed at once. Default: no bound.
    pub connections_per_client: Option<u32>,
    /// What makes a client.
    pub client: ClientPrefix,
    /// Limits of requests in a time. Default none.
    pub requests: Vec<RequestLimit>,
}

/// Bounds on how long a client may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerTimeouts {
    /// From a request's first byte to the end of its head (408 after). Default 10 s.
    pub head: Duration,
    /// Between two reads of a request body. Default 60 s.
    pub body: Duration,
    /// Between two requests on one connection. Default 60 s.
    pub idle: Duration,
    /// For one write to the client. Default 60 s.
    pub write: Duration,
}

/// Chooses a pool. Without `match` it takes everything.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The pool that serves it: an index into [`Checked::pools`].
    pub pool: usize,
}
