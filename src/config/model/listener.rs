//! `listeners`: where clients arrive.

use super::{
    AccessLog, Buffer, Compression, Headers, Http2, ListenerTls, ProxyProtocol, RequestLimit, Route, Tcp,
    TlsRoute, Udp,
};
use crate::config::collections::Keyed;
use crate::config::network::{ListenAt, Network, SocketMode, StatusClass};
use crate::config::read::{Spanned, keys};
use crate::config::text::{FilePath, Name};
use crate::config::units::{Bytes, Time, Whole};
use crate::config::words::{Protocol, Word};

keys! {
    /// An address that is accepted on.
    struct Listener {
        /// Its name in log and metrics, unique.
        name: Name,
        /// What is spoken here: `http`, or any protocol over `tcp` or `udp`.
        protocol: Word<Protocol> = "http",
        /// IP address and port to listen on, such as `0.0.0.0:8080` or `[::]:8080`; for `tcp` also a socket in the file system, such
        /// as `unix:/run/steadfast/db.sock`. A client there counts as `127.0.0.1`.
        address: ListenAt,
        /// For a socket in the file system: who may connect, as the octal mode of its file: `0600` the user that Steadfast
        /// runs as, `0660` its group, too, `0666` everybody.
        socket_mode: SocketMode = "\"0600\"",
        /// Encrypts what is spoken here; null: cleartext.
        tls: Option<ListenerTls> = "null",
        /// Bounds of HTTP/2, and whether it is spoken in cleartext.
        http2: Http2 = "{}",
        /// Proxies in front that say who the client is before anything else, also before TLS; null: none.
        proxy_protocol: Option<ProxyProtocol> = "null",
        /// Networks of proxies in front whose `X-Forwarded-*` fields are believed.
        trusted_proxies: Vec<Spanned<Network>> = "[]",
        /// Bounds on what a client may send.
        limits: Limits = "{}",
        /// What is kept here, so that a slow client keeps no backend waiting.
        buffer: Buffer = "{}",
        /// Bounds on how long a client may take.
        timeouts: Timeouts = "{}",
        /// For `http`: its own access log, in place of the one for all listeners; null: as that says.
        access_log: Option<AccessLog> = "null",
        /// What backends and clients are told about a request.
        headers: Headers = "{}",
        /// Pages of the answers that are ours, by status (`404`) or class (`5xx`): files, read when the configuration is loaded;
        /// at most 1 MiB each. null: one line of text.
        error_pages: Option<Keyed<StatusClass, FilePath>> = "null",
        /// Responses are written shorter for clients that can read it; null: they are not.
        compression: Option<Compression> = "null",
        /// For `http`: tried in order; the first that takes a request says what becomes of it. Where none does, the answer is
        /// 404. At least one.
        routes: Vec<Spanned<Route>> = "[]",
        /// For `tcp`: where TLS connections go that are passed through, by what their first message says in the clear; the first
        /// that takes one. TLS is not ended, and every byte goes on as it came.
        tls_routes: Vec<Spanned<TlsRoute>> = "[]",
        /// For `tcp`: the pool of every connection, or of those that `tls_routes` does not take; null: they are closed. For `udp`:
        /// the pool.
        pool: Option<Name> = "null",
        /// For `tcp`: how connections are kept.
        tcp: Tcp = "{}",
        /// For `udp`: how sessions are kept.
        udp: Udp = "{}",
    }
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
        /// Connections that are open at once; further ones are closed. For `udp`: sessions.
        connections: Whole<1, 10_000_000> = "100000",
        /// Connections that one client address has open at once; further ones are closed. `trusted_proxies` are not counted;
        /// null: no bound.
        connections_per_client: Option<Whole<1, 10_000_000>> = "null",
        /// The slowest that a request's body may come, in each second, on average over the time that it is waited for,
        /// beyond the first ten seconds; null: no bound.
        slowest_body: Option<Bytes> = "100B",
        /// The slowest that a client may read a response, counted the same way; null: no bound.
        slowest_reader: Option<Bytes> = "100B",
        /// Leading bits of an IPv4 address that make a client, here and in `requests`.
        ipv4_prefix: Whole<8, 32> = "32",
        /// Leading bits of an IPv6 address that make a client, here and in `requests`.
        ipv6_prefix: Whole<16, 128> = "64",
        /// Limits of requests in a time; all of them hold.
        requests: Vec<Spanned<RequestLimit>> = "[]",
        /// TLS handshakes in progress at once; further connections are closed.
        handshakes: Whole<1, 1_000_000> = "1000",
    }
}

keys! {
    /// Bounds on how long a client may take.
    struct Timeouts {
        /// For the PROXY protocol's header and the TLS handshake together.
        handshake: Time = "10s",
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
