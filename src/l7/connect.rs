//! The backend's peer, for the first try and for each one after it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, header};
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use siphasher::sip::SipHasher24;

use super::admit::admit;
use super::choose::{remember, settle};
use super::context::RequestContext;
use super::proxy::Proxy;
use super::tunnel::OwnConnect;
use super::{span, trace};
use crate::affinity::Refusal;
use crate::clock::Now;
use crate::listen::proxy_header;

/// For a connection, where the pool has no limit of its own.
const CONNECT: Duration = Duration::from_secs(2);

/// The peer of the chosen backend. After a failed try, chooses again: by then the failure is known.
pub(super) async fn peer(
    proxy: &Proxy,
    session: &mut Session,
    ctx: &mut RequestContext,
) -> Result<Box<HttpPeer>> {
    let nobody = || Error::explain(ErrorType::HTTPStatus(503), "no backend can serve the request");
    if ctx.placed().is_some_and(|placed| placed.failed) {
        again(proxy, ctx).await?;
    }
    span::try_begins(ctx);
    // Each try sends the body from its begin.
    ctx.body_bytes = 0;
    let source = ctx.connection.as_ref().map(|connection| connection.peer);
    let placed = ctx.placed().ok_or_else(nobody)?;
    let served = &placed.served;
    // A template for each backend is made with the snapshot; Pingora wants a box of its own.
    let mut peer = Box::new(served.peer(placed.backend()).ok_or_else(nobody)?.clone());
    let upgrades = session.is_upgrade_req();
    if upgrades || is_stream(session.req_header()) {
        peer.options.read_timeout = Some(served.tunnel);
        session.set_read_timeout(Some(served.tunnel));
    }
    let greeting = served.proxy_protocol.map(|version| {
        // A client behind a proxy that speaks HTTP has no port that we know.
        let direct = source.filter(|source| source.ip().to_canonical() == placed.client.address);
        let source = direct.unwrap_or_else(|| SocketAddr::new(placed.client.address, 0));
        let reached = session.server_addr().and_then(|address| address.as_inet().copied());
        proxy_header(version, source, reached.unwrap_or(source))
    });
    if upgrades {
        peer.options.set_http_version(1, 1);
        // Never a kept connection of other requests, which would be none of that kind.
        peer.group_key ^= 1;
    }
    if let Some(greeting) = &greeting {
        // A connection speaks for one client, and for no other after it.
        peer.group_key ^= SipHasher24::new_with_key(b"steadfast peer 2").hash(greeting);
    }
    if upgrades || greeting.is_some() {
        let limit = peer.options.connection_timeout.unwrap_or(CONNECT);
        let connect = OwnConnect { limit, greeting: greeting.unwrap_or_default(), holds_back: upgrades };
        peer.options.custom_l4 = Some(Arc::new(connect));
    }
    Ok(peer)
}

/// Whether both sides may be silent for long in the midst of the response: gRPC, and server-sent events.
fn is_stream(head: &RequestHeader) -> bool {
    let begins = |name: HeaderName, with: &[u8]| {
        head.headers.get(name).is_some_and(|value| value.as_bytes().starts_with(with))
    };
    begins(header::CONTENT_TYPE, b"application/grpc") || begins(header::ACCEPT, b"text/event-stream")
}

async fn again(proxy: &Proxy, ctx: &mut RequestContext) -> Result<()> {
    let Some(placed) = ctx.placed() else { return Ok(()) };
    placed.failed = false;
    placed.permit = None;
    let refused = |refusal: Refusal| Error::explain(ErrorType::HTTPStatus(503), refusal.as_str());
    let decision = settle(&placed.served, &placed.evidence, Now::read()).await.map_err(refused)?;
    placed.trace = trace::decided(proxy, &placed.served, &placed.evidence, &decision, Now::read());
    let (decision, permit) =
        admit(&placed.served, &placed.evidence, decision, false).await.map_err(refused)?;
    (placed.permit, placed.decision) = (permit, decision);
    ctx.phases.placed();
    remember(ctx);
    Ok(())
}
