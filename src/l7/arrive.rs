//! Who is asking, and how long and how much they may take.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use ipnet::IpNet;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::context::{Client, RequestContext};
use super::forwarded_field;
use crate::listen::{Connection, Stream};
use crate::snapshot::ServedListener;

/// How long a WebSocket or another tunnel may be silent in both directions.
pub(super) const TUNNEL_IDLE: Duration = Duration::from_secs(3600);

/// Takes what a stream of HTTP/2 brings along; a connection of HTTP/1 has said it before.
pub(super) fn note_stream(session: &Session, ctx: &mut RequestContext) {
    if let Some(stream) = session.req_header().extensions.get::<Stream>() {
        stream.connection.count_request();
        (ctx.connection, ctx.body) = (Some(Arc::clone(&stream.connection)), stream.body.clone());
    }
}

/// Whether the request is for another server than the TLS handshake was, where the client's certificate was accepted
/// for that one (RFC 9110 section 15.5.20).
pub(super) fn is_misdirected(session: &Session, connection: &Connection) -> bool {
    let Some(secured) = connection.secured.as_ref().filter(|secured| secured.authenticates) else {
        return false;
    };
    let Some(meant) = &secured.server_name else { return false };
    let head = session.req_header();
    let host = head.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    let Some(host) = host.or_else(|| head.uri.authority().map(http::uri::Authority::as_str)) else {
        return true;
    };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    !name.trim_end_matches('.').eq_ignore_ascii_case(meant)
}

/// Sets the bounds on the client's reads and writes.
pub(super) fn bound_times(session: &mut Session, ctx: &RequestContext) {
    let Some(listener) = listener(ctx) else { return };
    let read = if session.is_upgrade_req() { TUNNEL_IDLE } else { listener.body_timeout };
    session.set_read_timeout(Some(read));
    session.set_write_timeout(Some(listener.write_timeout));
    // A client that says "no more from me" (FIN) still wants its answer.
    session.set_abort_on_close(false);
    if session.req_header().version < http::Version::HTTP_11 {
        // It would not know them (RFC 9110 section 15.2).
        session.set_ignore_info_resp(true);
    }
}

/// Bounds a body whose length was not announced.
pub(super) fn bound_body(body: Option<&Bytes>, end: bool, ctx: &mut RequestContext) -> Result<()> {
    if let Some(clock) = &ctx.body {
        if end { clock.ends() } else { clock.goes_on() }
    }
    ctx.body_bytes += body.map_or(0, |body| u64::try_from(body.len()).unwrap_or(u64::MAX));
    match listener(ctx).and_then(|listener| listener.body_limit) {
        Some(limit) if ctx.body_bytes > limit => {
            Error::e_explain(ErrorType::HTTPStatus(413), "the body is too large")
        }
        _ => Ok(()),
    }
}

/// The listener that the request came in on.
pub(super) fn listener(ctx: &RequestContext) -> Option<&ServedListener> {
    ctx.snapshot.listeners.get(ctx.connection.as_ref()?.listener.index)
}

/// The client behind trusted proxies; without any, the other end of the connection, which is `secure` or not.
pub(super) fn client(
    peer: IpAddr,
    secure: bool,
    headers: &HeaderMap,
    trusted: &[IpNet],
    by_x: bool,
) -> Client {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let peer = peer.to_canonical();
    if !is_trusted(&peer) {
        return Client { address: peer, through_proxy: false, secure };
    }
    if !by_x {
        return by_forwarded(peer, secure, headers, is_trusted);
    }
    // From the right: each proxy has added what it saw, and the first stranger is the client.
    let mut address = peer;
    let fields = headers.get_all("x-forwarded-for").iter().rev();
    for hop in fields.flat_map(|field| field.as_bytes().rsplit(|byte| *byte == b',')) {
        let Some(hop) = parse_hop(hop) else { break };
        address = hop;
        if !is_trusted(&hop) {
            break;
        }
    }
    let scheme = headers.get("x-forwarded-proto");
    let secure =
        scheme.map_or(secure, |scheme| scheme.as_bytes().trim_ascii().eq_ignore_ascii_case(b"https"));
    Client { address, through_proxy: true, secure }
}

/// As `Forwarded` (RFC 7239) has it.
fn by_forwarded(
    peer: IpAddr,
    secure: bool,
    headers: &HeaderMap,
    is_trusted: impl Fn(&IpAddr) -> bool,
) -> Client {
    let mut client = Client { address: peer, through_proxy: true, secure };
    for hop in forwarded_field::hops(headers) {
        // A proxy's word counts even where it hides the address.
        client.secure = hop.secure;
        let Some(address) = hop.client.and_then(parse_hop) else { break };
        client.address = address;
        if !is_trusted(&address) {
            break;
        }
    }
    client
}

/// An address as proxies write it: plain, with a port, or in brackets.
pub(super) fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let address = text
        .parse()
        .ok()
        .or_else(|| text.parse().ok().map(|socket: std::net::SocketAddr| socket.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_of(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for field in forwarded {
            headers.append("x-forwarded-for", field.parse().unwrap());
        }
        client(peer.parse().unwrap(), false, &headers, &["10.0.0.0/8".parse().unwrap()], true)
            .address
            .to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(client_of("192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(client_of("10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(client_of("10.0.0.1", &["198.51.100.1, 203.0.113.9, 10.0.0.2"]), "203.0.113.9");
        assert_eq!(client_of("10.0.0.1", &["203.0.113.9", "10.0.0.2"]), "203.0.113.9");
        assert_eq!(client_of("10.0.0.1", &["unknown"]), "10.0.0.1");
        assert_eq!(client_of("10.0.0.1", &["203.0.113.9:4711"]), "203.0.113.9");
        assert_eq!(client_of("10.0.0.1", &["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(client_of("::ffff:10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(client_of("10.0.0.1", &[]), "10.0.0.1");
    }
}
