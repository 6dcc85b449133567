//! Where clients arrive.

use std::time::Duration;

use ipnet::IpNet;

use super::{AccessLog, Buffer, ClientPrefix, Compression, ErrorPage, Headers, Layer4, RequestLimit, Route};
use crate::names::{ListenAddress, ListenerName};
use crate::tls::ServerSettings;

/// An address that is accepted on.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Its name in log and metrics.
    pub name: ListenerName,
    /// Where it listens.
    pub address: ListenAddress,
    /// Who may connect, where that is a socket in the file system: the bits of its file. Default 0600.
    pub socket_mode: u32,
    /// TLS, unless it speaks cleartext.
    pub tls: Option<ListenerTls>,
    /// HTTP/2.
    pub http2: Http2,
    /// Who begins with a header of the PROXY protocol.
    pub proxy_protocol: Vec<IpNet>,
    /// Whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Bounds on what a client may send.
    pub limits: ListenerLimits,
    /// What is kept for slow clients.
    pub buffer: Buffer,
    /// Bounds on how long a client may take.
    pub timeouts: ListenerTimeouts,
    /// Its access log, if it has one. None at layer 4.
    pub access_log: Option<AccessLog>,
    /// What backends and clients are told about a request.
    pub headers: Headers,
    /// How responses are written shorter, if they are.
    pub compression: Option<Compression>,
    /// Pages of our own answers, the narrower ones first.
    pub error_pages: Vec<ErrorPage>,
    /// Tried in order; the first that matches wins. Empty at layer 4.
    pub routes: Vec<Route>,
    /// What it speaks instead of HTTP, if it does not.
    pub layer4: Option<Layer4>,
}

/// TLS on a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerTls {
    /// Certificates, versions, clients.
    pub settings: ServerSettings,
    /// The header field that tells backends the subject of a client's certificate.
    pub subject_header: Option<String>,
}

/// HTTP/2 on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2 {
    /// Whether it is spoken in cleartext, too. Default no.
    pub cleartext: bool,
    /// Requests under way at once on one connection. Default 100.
    pub max_streams: u32,
    /// Bytes of a request's body that wait for the application. Default 64 KiB.
    pub window: u32,
    /// Bytes of one response that wait for the client. Default 64 KiB.
    pub send_buffer: usize,
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
    /// Bytes per second of a request body, on average, at least; `None`: no bound. Default 100.
    pub slowest_body: Option<u64>,
    /// Bytes per second of a response that a client reads, on average, at least; `None`: no bound. Default 100.
    pub slowest_reader: Option<u64>,
    /// What makes a client.
    pub client: ClientPrefix,
    /// Limits of requests in a time. Default none.
    pub requests: Vec<RequestLimit>,
    /// TLS handshakes in progress at once; further connections are closed. Default 1000.
    pub handshakes: usize,
}

/// Bounds on how long a client may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerTimeouts {
    /// For the PROXY protocol's header and the TLS handshake together. Default 10 s.
    pub handshake: Duration,
    /// From a request's first byte to the end of its head (408 after). Default 10 s.
    pub head: Duration,
    /// Between two reads of a request body. Default 60 s.
    pub body: Duration,
    /// Between two requests on one connection. Default 60 s.
    pub idle: Duration,
    /// For one write to the client. Default 60 s.
    pub write: Duration,
}
