//! What is spoken on a listener before and beside HTTP/1: the PROXY protocol, TLS, HTTP/2.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rustls::ServerConfig;

use super::http2::Http2Bounds;

/// What new connections of a listener speak; may be replaced at any time.
#[derive(Clone, Debug, Default)]
pub struct Protocols {
    /// Who begins with a header of the PROXY protocol.
    pub proxies: Vec<IpNet>,
    /// TLS, unless the listener speaks cleartext.
    pub tls: Option<ListenerTls>,
    /// HTTP/2, where it is agreed upon or known.
    pub http2: Http2Bounds,
    /// For a header of the PROXY protocol, and for a TLS handshake.
    pub handshake_timeout: Duration,
    /// Handshakes in progress at once.
    pub handshakes: usize,
}

/// TLS on a listener.
#[derive(Clone, Debug)]
pub struct ListenerTls {
    /// rustls' settings.
    pub config: Arc<ServerConfig>,
    /// Whether clients show certificates, so that a request for another name than that of the handshake must be refused.
    pub authenticates: bool,
}

impl Protocols {
    /// Whether a connection from there begins with a header of the PROXY protocol.
    pub(super) fn begins_with_proxy_header(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.proxies.iter().any(|network| network.contains(&peer))
    }

    /// Whether a connection from there begins with HTTP at once.
    pub(super) fn begin_at_once(&self, peer: IpAddr) -> bool {
        self.tls.is_none() && (self.proxies.is_empty() || !self.begins_with_proxy_header(peer))
    }
}
