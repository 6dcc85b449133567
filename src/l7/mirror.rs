//! A share of the requests is sent to another pool, too. What that answers is thrown away; the request itself never waits.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::context::RequestContext;
use super::proxy::Proxy;
use super::routed;
use crate::affinity::{self, Circumstance, Evidence, RequestView, Verdict};
use crate::route::MirrorPlace;

/// For the whole exchange with the other pool.
const LONGEST: Duration = Duration::from_secs(30);
/// Of an answer that is read, so that its connection can be kept; a longer one ends it.
const MOST_ANSWER_BYTES: usize = 4 << 20;

/// The connector, made when it is first needed: it reads the system's certificates.
#[derive(Clone, Default)]
pub(super) struct Mirrors(Arc<OnceCell<Connector>>);

impl std::fmt::Debug for Mirrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mirrors").finish_non_exhaustive()
    }
}

/// A request's copy, while its body arrives.
pub(crate) struct Copy {
    head: Option<Box<RequestHeader>>,
    body: BytesMut,
    most_bytes: usize,
    peer: Box<HttpPeer>,
    place: MirrorPlace,
}

/// Whether this request is one of the share, and there is room for its copy.
pub(super) fn wanted(ctx: &RequestContext, session: &Session) -> Option<Box<Copy>> {
    let mirror = ctx.route.as_ref()?.mirror.as_ref()?;
    if rand::random::<f64>() >= mirror.share || session.is_upgrade_req() {
        return None;
    }
    let head = session.req_header();
    let length =
        head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > mirror.body_bytes) {
        return None;
    }
    let served = ctx.snapshot.pool(mirror.pool)?;
    let client = ctx.client()?;
    let view = routed::view(head, client, None);
    let request = RequestView {
        target: view.target,
        headers: view.headers,
        client: client.address,
        connection_choice: None,
        named_session: None,
    };
    let now = ctx.arrived;
    let evidence = Evidence::read(&request, &served.policy, &served.pool, now);
    let at = Circumstance { now, draw: rand::random(), held: true };
    let Verdict::To(decision) = affinity::decide(&evidence, &served.policy, &served.pool, at) else {
        return None;
    };
    let peer = Box::new(served.peer(decision.backend)?.clone());
    let place = mirror.place()?;
    Some(Box::new(Copy { head: None, body: BytesMut::new(), most_bytes: mirror.body_bytes, peer, place }))
}

/// Takes the head as the backend is sent it. Anew for each try, and so is the body that follows.
pub(super) fn head(request: &RequestHeader, ctx: &mut RequestContext) {
    let Some(copy) = &mut ctx.mirror else { return };
    copy.head = Some(Box::new(request.clone()));
    copy.body.clear();
}

/// Takes a piece of the body, or the end of an empty one; sends the copy when it is whole, and forgets it when it grows
/// too long.
pub(super) fn body(proxy: &Proxy, piece: Option<&Bytes>, end: bool, ctx: &mut RequestContext) {
    let Some(copy) = &mut ctx.mirror else { return };
    if let Some(piece) = piece {
        if copy.body.len() + piece.len() > copy.most_bytes {
            ctx.mirror = None;
            return;
        }
        copy.body.extend_from_slice(piece);
    }
    if end {
        send(proxy, ctx);
    }
}

fn send(proxy: &Proxy, ctx: &mut RequestContext) {
    let Some(copy) = ctx.mirror.take() else { return };
    let mirrors = proxy.mirrors.clone();
    tokio::spawn(async move {
        match timeout(LONGEST, exchange(&mirrors.0, *copy)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => log::debug!("a mirrored request failed: {error}"),
            Err(_) => log::debug!("a mirrored request took too long"),
        }
    });
}

async fn exchange(mirrors: &OnceCell<Connector>, copy: Copy) -> Result<()> {
    let Copy { head, body, peer, place, .. } = copy;
    let Some(mut head) = head else { return Ok(()) };
    // The body is whole, whatever way it came.
    head.remove_header(&header::TRANSFER_ENCODING);
    head.remove_header(&header::EXPECT);
    if !body.is_empty() || head.headers.contains_key(header::CONTENT_LENGTH) {
        head.insert_header("Content-Length", body.len())?;
    }
    let made = mirrors.get_or_try_init(|| tokio::task::spawn_blocking(|| Connector::new(None))).await;
    let connector = made.map_err(|error| Error::because(ErrorType::InternalError, "no connector", error))?;
    let (mut session, _) = connector.get_http_session(&*peer).await?;
    session.write_request_header(head).await?;
    if !body.is_empty() {
        session.write_request_body(body.freeze(), true).await?;
    }
    session.finish_request_body().await?;
    session.set_read_timeout(peer.options.read_timeout);
    session.read_response_header().await?;
    let mut read = 0;
    while let Some(piece) = session.read_response_body().await? {
        read += piece.len();
        if read > MOST_ANSWER_BYTES {
            session.shutdown().await;
            return Ok(());
        }
    }
    connector.release_http_session(session, &*peer, peer.options.idle_timeout).await;
    drop(place);
    Ok(())
}
