//! What backends and clients are told about a request beside what they say to each other: ids, `Server`, `Via`.

use http::{HeaderValue, Version, header};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use super::arrive::listener;
use super::context::RequestContext;

/// The request's id, and that it came by us.
pub(super) fn tell_backend(
    request: &mut RequestHeader,
    version: Version,
    ctx: &RequestContext,
) -> Result<()> {
    let Some(headers) = listener(ctx).map(|listener| &listener.headers) else { return Ok(()) };
    if let (Some((_, name)), Some(id)) = (&headers.request_id, &ctx.request_id) {
        request.insert_header(name.to_string(), id.clone())?;
    }
    if let Some(via) = via(headers.via.as_deref(), version) {
        request.append_header(header::VIA, via)?;
    }
    Ok(())
}

/// Who serves, and that the answer came by us; `version`: the backend's, where one has answered.
pub(super) fn tell_client(
    response: &mut ResponseHeader,
    version: Option<Version>,
    ctx: &RequestContext,
) -> Result<()> {
    let Some(headers) = listener(ctx).map(|listener| &listener.headers) else { return Ok(()) };
    if let Some(server) = &headers.server {
        response.insert_header(header::SERVER, server.clone())?;
    }
    if let Some(via) = version.and_then(|version| via(headers.via.as_deref(), version)) {
        response.append_header(header::VIA, via)?;
    }
    Ok(())
}

/// RFC 9110 section 7.6.3: the protocol by which the message was received, and who received it.
fn via(name: Option<&str>, version: Version) -> Option<HeaderValue> {
    let version = match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    };
    HeaderValue::try_from(format!("{version} {}", name?)).ok()
}
