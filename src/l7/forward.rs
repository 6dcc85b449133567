//! What the backend is sent: the request, without our cookie, with honest forwarding headers.

use http::{HeaderValue, header};
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::context::RequestContext;
use super::forwarded;
use super::proxy::Proxy;
use crate::affinity::{self, Stripped};
use crate::hooks::UpstreamRequest;

/// Prepares the request for one try. Starts from the client's own each time.
pub(super) fn forward(
    proxy: &Proxy,
    session: &Session,
    request: &mut RequestHeader,
    ctx: &mut RequestContext,
) -> Result<()> {
    let peer = ctx.connection.as_ref().map(|connection| connection.peer.ip().to_canonical());
    let Some(placed) = ctx.placed() else { return Ok(()) };
    strip_cookie(request, placed.served.policy.cookie.name.as_bytes())?;
    forwarded::set(request, session.req_header(), peer, placed.client)?;
    if proxy.hooks.is_empty() {
        return Ok(());
    }
    let served = std::sync::Arc::clone(&placed.served);
    let Some(backend) = served.pool.backend(placed.backend()) else { return Ok(()) };
    let mut view = UpstreamRequest::new(request, backend.id());
    proxy.hooks.on_upstream_request(&mut ctx.states, &mut view).map_err(|failure| {
        log::error!("{failure}");
        Error::explain(ErrorType::HTTPStatus(500), "a hook failed")
    })
}

/// Takes our cookie out; all other cookies stay, byte for byte, each field in its place.
fn strip_cookie(request: &mut RequestHeader, name: &[u8]) -> Result<()> {
    let fields = request.headers.get_all(header::COOKIE);
    let is_there = |field: &HeaderValue| memchr::memmem::find(field.as_bytes(), name).is_some();
    if !fields.iter().any(is_there) {
        return Ok(());
    }
    let mut rest = Vec::new();
    for field in fields {
        match affinity::strip(field.as_bytes(), name) {
            Stripped::Unchanged => rest.push(field.clone()),
            Stripped::Empty => {}
            Stripped::Changed(bytes) => rest.extend(HeaderValue::from_bytes(&bytes)),
        }
    }
    request.remove_header(&header::COOKIE);
    for field in rest {
        // As text, so that a backend sees the customary case.
        request.append_header("Cookie", field)?;
    }
    Ok(())
}
