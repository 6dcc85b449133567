//! What the route says: found, carried out where no backend is needed, and applied to heads on both ways.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::arrive::listener;
use super::context::{Client, RequestContext};
use super::{reply, told};
use crate::listen::Connection;
use crate::route::{Action, Filling, Found, HeaderChanges, RequestView, Route};

/// What routes see of a request.
pub(super) fn view<'a>(
    head: &'a RequestHeader,
    client: Client,
    connection: Option<&'a Connection>,
) -> RequestView<'a> {
    // In HTTP/2 the host may stand in the URL alone.
    let field = head.headers.get(header::HOST).map(HeaderValue::as_bytes);
    RequestView {
        method: &head.method,
        host: field.or_else(|| head.uri.authority().map(|authority| authority.as_str().as_bytes())),
        target: head.raw_path(),
        headers: &head.headers,
        client: client.address,
        server_name: connection.and_then(|connection| connection.secured.as_ref()?.server_name.as_deref()),
    }
}

/// The route that takes the request.
///
/// # Errors
/// The status, where none does.
pub(super) fn find(session: &Session, ctx: &RequestContext, client: Client) -> Result<Arc<Route>, u16> {
    let view = view(session.req_header(), client, ctx.connection.as_deref());
    match listener(ctx).map(|listener| listener.routes.find(&view)) {
        Some(Found::Route(route)) => Ok(Arc::clone(route)),
        Some(Found::Nothing) | None => Err(404),
        // It tries to get around a route.
        Some(Found::Ambiguous) => Err(400),
    }
}

/// Answers in the name of a route that needs no backend.
pub(super) async fn answer(
    session: &mut Session,
    ctx: &RequestContext,
    route: &Route,
    client: Client,
) -> Result<bool> {
    let original = session.req_header().clone();
    let view = view(&original, client, ctx.connection.as_deref());
    let request_id = ctx.request_id.as_ref().map(HeaderValue::as_bytes);
    let filling = Filling { request: &view, matcher: &route.matcher, secure: client.secure, request_id };
    let (mut head, body) = match &route.action {
        Action::Redirect { status, to } => {
            let Some(to) = to.url(&filling) else { return reply::own(session, ctx, 400).await };
            let mut head = ResponseHeader::build(*status, Some(4))?;
            head.insert_header(header::LOCATION, to)?;
            (head, bytes::Bytes::new())
        }
        Action::Respond(answer) => {
            let mut head = ResponseHeader::build(answer.status, Some(4))?;
            if !answer.body.is_empty() {
                head.insert_header(header::CONTENT_TYPE, answer.media_type.clone())?;
            }
            (head, answer.body.clone())
        }
        Action::Pool(_) | Action::Split(_) => return reply::own(session, ctx, 500).await,
    };
    if !matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        head.insert_header(header::CONTENT_LENGTH, body.len())?;
    }
    change_response(&mut head, &route.response_headers, &filling)?;
    told::tell_client(&mut head, None, ctx)?;
    reply::write(session, head, body).await
}

/// Asks the backend what the route says, in place of what the client asked.
pub(super) fn change_request(
    request: &mut RequestHeader,
    original: &RequestHeader,
    route: &Route,
    client: Client,
    request_id: Option<&[u8]>,
) -> Result<()> {
    if route.rewrite.is_empty() && route.request_headers.is_empty() {
        return Ok(());
    }
    // A server name is for matching only.
    let view = view(original, client, None);
    let filling = Filling { request: &view, matcher: &route.matcher, secure: client.secure, request_id };
    let lacks =
        || Error::explain(ErrorType::HTTPStatus(400), "the request lacks what the route puts elsewhere");
    if !route.rewrite.path.is_empty() {
        let mut target = route.rewrite.path.url(&filling).ok_or_else(lacks)?;
        if !target.starts_with(b"/") {
            target.insert(0, b'/');
        }
        if let Some(at) = memchr::memchr(b'?', view.target) {
            target.extend_from_slice(view.target.get(at..).unwrap_or_default());
        }
        request.set_raw_path(&target)?;
    }
    if !route.rewrite.host.is_empty() {
        request.insert_header("Host", route.rewrite.host.fill(&filling).ok_or_else(lacks)?)?;
    }
    let changes = &route.request_headers;
    for name in &changes.remove {
        request.remove_header(name);
    }
    for (name, value, replaces) in changes.fields(&filling) {
        if replaces {
            request.insert_header(name.to_owned(), value)?;
        } else {
            request.append_header(name.to_owned(), value)?;
        }
    }
    Ok(())
}

/// As [`change_response`], for a response of a backend.
pub(super) fn change_answer(
    response: &mut ResponseHeader,
    original: &RequestHeader,
    route: &Route,
    client: Client,
    request_id: Option<&[u8]>,
) -> Result<()> {
    if route.response_headers.is_empty() {
        return Ok(());
    }
    // A server name is for matching only.
    let view = view(original, client, None);
    let filling = Filling { request: &view, matcher: &route.matcher, secure: client.secure, request_id };
    change_response(response, &route.response_headers, &filling)
}

fn change_response(
    response: &mut ResponseHeader,
    changes: &HeaderChanges,
    filling: &Filling<'_>,
) -> Result<()> {
    for name in &changes.remove {
        response.remove_header(name);
    }
    for (name, value, replaces) in changes.fields(filling) {
        if replaces {
            response.insert_header(name.to_owned(), value)?;
        } else {
            response.append_header(name.to_owned(), value)?;
        }
    }
    Ok(())
}
