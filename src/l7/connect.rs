//! The backend's peer, for the first try and for each one after it.

use pingora::proxy::Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use super::arrive::TUNNEL_IDLE;
use super::choose::{remember, settle};
use super::context::RequestContext;
use super::proxy::Proxy;
use crate::clock::Now;

/// The peer of the chosen backend. After a failed try, chooses again: by then the failure is known.
pub(super) async fn peer(_: &Proxy, session: &Session, ctx: &mut RequestContext) -> Result<Box<HttpPeer>> {
    let nobody = || Error::explain(ErrorType::HTTPStatus(503), "no backend can serve the request");
    if ctx.placed().is_some_and(|placed| placed.failed) {
        again(ctx).await?;
    }
    let placed = ctx.placed().ok_or_else(nobody)?;
    // A template for each backend is made with the snapshot; Pingora wants a box of its own.
    let mut peer = Box::new(placed.served.peer(placed.backend()).ok_or_else(nobody)?.clone());
    if session.is_upgrade_req() {
        peer.options.read_timeout = Some(TUNNEL_IDLE);
    }
    Ok(peer)
}

async fn again(ctx: &mut RequestContext) -> Result<()> {
    let Some(placed) = ctx.placed() else { return Ok(()) };
    placed.failed = false;
    placed.permit = None;
    let decision = settle(&placed.served, &placed.evidence, Now::read())
        .await
        .map_err(|refusal| Error::explain(ErrorType::HTTPStatus(503), refusal.as_str()))?;
    placed.permit = placed.served.pool.backend(decision.backend).map(|backend| backend.live().admit());
    placed.decision = decision;
    remember(ctx);
    Ok(())
}
