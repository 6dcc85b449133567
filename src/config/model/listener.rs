//! `listeners`: where clients arrive.

use super::RequestLimit;
use crate::config::network::{Address, Network};
use crate::config::read::{Spanned, instead, keys, later};
use crate::config::text::Name;
use crate::config::units::{Bytes, Time, Whole};
use crate::config::words::{Protocol, Word};

keys! {
    /// An address that is accepted on.
    struct Listener {
        /// Its name in log and metrics, unique.
        name: Name,
        /// What is spoken here.
        protocol: Word<Protocol> = "http",
        /// IP address and port to listen on, such as `0.0.0.0:8080` or `[::]:8080`.
        address: Address,
        /// Networks of proxies in front whose `X-Forwarded-*` fields are believed.
        trusted_proxies: Vec<Spanned<Network>> = "[]",
        /// Bounds on what a client may send.
        limits: Limits = "{}",
        /// Bounds on how long a client may take.
        timeouts: Timeouts = "{}",
        /// Tried in order; the first that matches chooses the pool.
        routes: Vec<Spanned<Route>>,
    }
    refused [
        instead("pool", "write `routes: [{ pool: NAME }]`"),
        instead("tls", "remove it, and end TLS in front of Steadfast for now"),
        instead("proxy_protocol", "remove it; `trusted_proxies` believes `X-Forwarded-For` instead"),
        later("http2"),
    ]
}

keys! {
    /// Bounds on what a client may send.
    struct Limits {
        /// Request line and header fields together; more is answered with 431.
        head_bytes: Bytes = "64KiB",
        /// Number of header fields; more is answered with 431.
        header_fields: Whole<1, 256> = "100",
        /// The request target; more is answered with 414.
        uri_bytes: Bytes = "16KiB",
        /// The request's body; more is answered with 413; null: no bound.
        body_bytes: Option<Bytes> = "null",
        /// Connections that are open at once; further ones are closed.
        connections: Whole<1, 10_000_000> = "100000",
        /// Connections that one client address has open at once; further ones are closed. `trusted_proxies` are not counted;
        /// null: no bound.
        connections_per_client: Option<Whole<1, 10_000_000>> = "null",
        /// Leading bits of an IPv4 address that make a client, here and in `requests`.
        ipv4_prefix: Whole<8, 32> = "32",
        /// Leading bits of an IPv6 address that make a client, here and in `requests`.
        ipv6_prefix: Whole<16, 128> = "64",
        /// Limits of requests in a time; all of them hold.
        requests: Vec<Spanned<RequestLimit>> = "[]",
    }
}

keys! {
    /// Bounds on how long a client may take.
    struct Timeouts {
        /// From a request's first byte to the end of its head; then 408.
        head: Time = "10s",
        /// Between two reads of a request's body.
        body: Time = "60s",
        /// Between two requests on one connection.
        idle: Time = "60s",
        /// For one write to the client.
        write: Time = "60s",
    }
}

keys! {
    /// A rule that chooses a pool; it takes every request.
    struct Route {
        /// Name of the pool.
        pool: Name,
    }
    refused [instead("match", "remove it: in this release a listener has one route, which takes every request")]
}
