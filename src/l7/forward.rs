//! What the backend is sent: the request, without our cookie, with honest forwarding headers.

use std::sync::Arc;

use http::{HeaderValue, header};
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::arrive::listener;
use super::context::RequestContext;
use super::proxy::Proxy;
use super::{forwarded, mirror, routed, span, split, told};
use crate::affinity::{self, Stripped};
use crate::hooks::UpstreamRequest;
use crate::route::Action;

/// As text, so that a backend sees the customary case.
const COOKIE: &str = "Cookie";

/// What gRPC's requests want (RFC 9110 section 10.1.4), the one value that HTTP/2 allows.
const TRAILERS: &str = "trailers";

/// Prepares the request for one try. Starts from the client's own each time.
pub(super) fn forward(
    proxy: &Proxy,
    session: &Session,
    request: &mut RequestHeader,
    ctx: &mut RequestContext,
) -> Result<()> {
    let (connection, route) = (ctx.connection.clone(), ctx.route.clone());
    if let Some(Action::Split(split)) = route.as_ref().map(|route| &route.action) {
        for (other, _) in split::pools(ctx, split) {
            strip_cookie(request, other.policy.cookie.name.as_bytes())?;
        }
    }
    let subject_header = listener(ctx).and_then(|listener| listener.subject_header.clone());
    let snapshot = Arc::clone(&ctx.snapshot);
    let request_id = ctx.request_id.clone();
    let (by_x, by_field) = listener(ctx)
        .map_or((true, false), |listener| (listener.headers.x_forwarded, listener.headers.forwarded));
    let Some(placed) = ctx.placed() else { return Ok(()) };
    strip_cookie(request, placed.served.policy.cookie.name.as_bytes())?;
    if let Some(room) = &placed.served.room {
        strip_cookie(request, room.cookie.as_bytes())?;
    }
    forwarded::drop_reserved(request, &snapshot.reserved);
    if let Some(connection) = connection {
        let secured = connection.secured.as_deref();
        let scheme = if secured.is_some() { &forwarded::HTTPS } else { &forwarded::HTTP };
        let told = forwarded::Told {
            by_x,
            by_field,
            peer: connection.peer.ip(),
            peer_text: connection.peer_text(),
            scheme,
        };
        forwarded::set(request, session.req_header(), &told, placed.client)?;
        if let (Some(name), Some(secured)) = (subject_header, secured)
            && let Some(subject) = &secured.client_subject
        {
            request.insert_header(name, subject.clone())?;
        }
    }
    if placed.served.grpc && session.req_header().headers.get(header::TE).is_some_and(|te| te == TRAILERS) {
        // Pingora takes it out with what belongs to one connection; some servers of gRPC refuse to serve without.
        request.insert_header(header::TE, TRAILERS)?;
    }
    if let Some(route) = route {
        let id = request_id.as_ref().map(HeaderValue::as_bytes);
        routed::change_request(request, session.req_header(), &route, placed.client, id)?;
    }
    told::tell_backend(request, session.req_header().version, ctx)?;
    span::tell_backend(request, ctx)?;
    ask_hooks(proxy, request, ctx)?;
    mirror::head(request, ctx);
    Ok(())
}

fn ask_hooks(proxy: &Proxy, request: &mut RequestHeader, ctx: &mut RequestContext) -> Result<()> {
    if proxy.hooks.is_empty() {
        return Ok(());
    }
    let Some(placed) = ctx.placed() else { return Ok(()) };
    let served = Arc::clone(&placed.served);
    let Some(backend) = served.pool.backend(placed.backend()) else { return Ok(()) };
    let mut view = UpstreamRequest::new(request, backend.id());
    proxy.hooks.on_upstream_request(&mut ctx.states, &mut view).map_err(|failure| {
        log::error!("{failure}");
        Error::explain(ErrorType::HTTPStatus(500), "a hook failed")
    })
}

/// Takes our cookie out; all other cookies stay, byte for byte, each field in its place.
fn strip_cookie(request: &mut RequestHeader, name: &[u8]) -> Result<()> {
    let mut fields = request.headers.get_all(header::COOKIE).iter();
    let Some(first) = fields.next() else { return Ok(()) };
    if fields.next().is_none() {
        // Nearly every request has one field, which is replaced where it stands.
        return match affinity::strip(first.as_bytes(), name) {
            Stripped::Unchanged => Ok(()),
            Stripped::Empty => {
                request.remove_header(&header::COOKIE);
                Ok(())
            }
            Stripped::Changed(bytes) => request.insert_header(COOKIE, bytes),
        };
    }
    let mut rest = Vec::new();
    for field in request.headers.get_all(header::COOKIE) {
        match affinity::strip(field.as_bytes(), name) {
            Stripped::Unchanged => rest.push(field.clone()),
            Stripped::Empty => {}
            Stripped::Changed(bytes) => rest.extend(HeaderValue::from_bytes(&bytes)),
        }
    }
    request.remove_header(&header::COOKIE);
    rest.into_iter().try_for_each(|field| request.append_header(COOKIE, field).map(drop))
}
