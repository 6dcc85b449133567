//! What happens on a new connection before HTTP: the PROXY protocol's header, then the TLS handshake.
//!
//! Bounded in time and in number: handshakes cost us more than they cost a client.

use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::connection::Secured;
use super::counts::{Counts, add};
use super::protocols::Protocols;
use super::proxy_protocol::{ProxyHeader, read_proxy_header};
use super::transport::Transport;
use crate::tls::subject_of;

/// A connection that is ready for HTTP.
pub(super) struct Welcomed {
    pub(super) transport: Transport,
    /// The client, as the PROXY protocol has it, else the other end.
    pub(super) peer: SocketAddr,
    /// What TLS says, where it is spoken.
    pub(super) secured: Option<Secured>,
}

impl Welcomed {
    /// One that begins with HTTP at once.
    pub(super) fn at_once(tcp: TcpStream, peer: SocketAddr) -> Self {
        Self { transport: Transport::Tcp(tcp), peer, secured: None }
    }
}

/// Takes the connection through to HTTP; `None`: it is to be closed.
pub(super) async fn welcome(
    mut tcp: TcpStream,
    mut peer: SocketAddr,
    protocols: &Protocols,
    counts: &Arc<Counts>,
) -> Option<Welcomed> {
    let _place = counts.begin_handshake(protocols.handshakes)?;
    let deadline = Instant::now() + protocols.handshake_timeout;
    if protocols.begins_with_proxy_header(peer.ip()) {
        match read_proxy_header(&mut tcp, protocols.handshake_timeout).await {
            Ok(ProxyHeader::Client { source, .. }) => peer = source,
            Ok(ProxyHeader::Itself) => {}
            Err(error) => {
                add(&counts.handshake_failed);
                log::debug!("{peer}: {error}");
                return None;
            }
        }
    }
    let Some(tls) = &protocols.tls else {
        return Some(Welcomed::at_once(tcp, peer));
    };
    let acceptor = TlsAcceptor::from(Arc::clone(&tls.config));
    let stream = match timeout_at(deadline, acceptor.accept(tcp)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            add(&counts.handshake_failed);
            log::debug!("{peer}: TLS handshake: {error}");
            return None;
        }
        Err(_) => {
            add(&counts.handshake_failed);
            log::debug!("{peer}: the TLS handshake took too long");
            return None;
        }
    };
    let session = stream.get_ref().1;
    let leaf = session.peer_certificates().and_then(|chain| chain.first());
    let secured = Secured {
        server_name: session.server_name().map(Into::into),
        client_subject: leaf.and_then(subject_of).and_then(|text| HeaderValue::try_from(text).ok()),
        authenticates: tls.authenticates,
        http2: session.alpn_protocol() == Some(b"h2"),
        version: match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "unknown",
        },
        cipher: session
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or("unknown"),
    };
    Some(Welcomed { transport: Transport::Tls(Box::new(stream)), peer, secured: Some(secured) })
}
