//! The backend's peer, for the first try and for each one after it.

use std::sync::Arc;
use std::time::Duration;

use pingora::proxy::Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use super::admit::admit;
use super::arrive::TUNNEL_IDLE;
use super::choose::{remember, settle};
use super::context::RequestContext;
use super::proxy::Proxy;
use super::trace;
use super::tunnel::TunnelConnect;
use crate::affinity::Refusal;
use crate::clock::Now;

/// For a tunnel's connection, where the pool has no limit of its own.
const TUNNEL_CONNECT: Duration = Duration::from_secs(2);

/// The peer of the chosen backend. After a failed try, chooses again: by then the failure is known.
pub(super) async fn peer(
    proxy: &Proxy,
    session: &Session,
    ctx: &mut RequestContext,
) -> Result<Box<HttpPeer>> {
    let nobody = || Error::explain(ErrorType::HTTPStatus(503), "no backend can serve the request");
    if ctx.placed().is_some_and(|placed| placed.failed) {
        again(proxy, ctx).await?;
    }
    let placed = ctx.placed().ok_or_else(nobody)?;
    // A template for each backend is made with the snapshot; Pingora wants a box of its own.
    let mut peer = Box::new(placed.served.peer(placed.backend()).ok_or_else(nobody)?.clone());
    if session.is_upgrade_req() {
        peer.options.read_timeout = Some(TUNNEL_IDLE);
        let limit = peer.options.connection_timeout.unwrap_or(TUNNEL_CONNECT);
        peer.options.custom_l4 = Some(Arc::new(TunnelConnect { limit }));
        // Never a kept connection of other requests, which would be none of that kind.
        peer.group_key ^= 1;
    }
    Ok(peer)
}

async fn again(proxy: &Proxy, ctx: &mut RequestContext) -> Result<()> {
    let Some(placed) = ctx.placed() else { return Ok(()) };
    placed.failed = false;
    placed.permit = None;
    let refused = |refusal: Refusal| Error::explain(ErrorType::HTTPStatus(503), refusal.as_str());
    let decision = settle(&placed.served, &placed.evidence, Now::read()).await.map_err(refused)?;
    placed.trace = trace::decided(proxy, &placed.served, &placed.evidence, &decision, Now::read());
    let (decision, permit) = admit(&placed.served, &placed.evidence, decision).await.map_err(refused)?;
    (placed.permit, placed.decision) = (permit, decision);
    ctx.phases.placed();
    remember(ctx);
    Ok(())
}
