//! Our own answers: short, private, never bound to a session.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{FailToProxy, Session};
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::arrive::listener;
use super::context::RequestContext;
use super::told;
use crate::affinity::Refusal;
use crate::hooks::Answer;

/// Seconds after which a client may ask again.
const RETRY_AFTER_S: &str = "5";

/// Answers with a status of ours.
pub(super) async fn own(session: &mut Session, ctx: &RequestContext, code: u16) -> Result<bool> {
    refuse(session, ctx, code).await?;
    Ok(true)
}

/// Nobody can serve the request now.
pub(super) async fn unavailable(session: &mut Session, ctx: &RequestContext, _: Refusal) -> Result<bool> {
    own(session, ctx, 503).await
}

/// Answers a request that is one too many.
pub(super) async fn too_many(session: &mut Session, ctx: &RequestContext, wait_s: u64) -> Result<bool> {
    let (mut head, body) = page(429, ctx)?;
    head.insert_header(header::RETRY_AFTER, wait_s)?;
    session.write_error_response(head, body).await?;
    Ok(true)
}

/// Answers with what a hook has said.
pub(super) async fn hook_answer(session: &mut Session, answer: Answer) -> Result<bool> {
    let mut head = ResponseHeader::build(answer.status, Some(answer.headers.len() + 1))?;
    for (name, value) in answer.headers {
        head.append_header(name, value)?;
    }
    head.insert_header(header::CONTENT_LENGTH, answer.body.len())?;
    write(session, head, Bytes::from(answer.body)).await
}

/// Writes an answer whose head is complete.
pub(super) async fn write(session: &mut Session, head: ResponseHeader, body: Bytes) -> Result<bool> {
    let empty = body.is_empty() || session.req_header().method == http::Method::HEAD;
    // The body of the request was not read, so the connection cannot go on behind it.
    if !session.is_body_empty() {
        session.set_keepalive(None);
    }
    session.write_response_header(Box::new(head), empty).await?;
    if empty {
        // In HTTP/2 the head alone does not end a response.
        session.finish_body().await?;
    } else {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(true)
}

/// Answers for a request that has failed for good, if the client can still be told.
pub(super) async fn failure(session: &mut Session, error: &Error, ctx: &RequestContext) -> FailToProxy {
    let code = match (error.etype(), error.esource()) {
        (ErrorType::HTTPStatus(code), _) => *code,
        (ErrorType::ConnectTimedout | ErrorType::ReadTimedout, ErrorSource::Upstream) => 504,
        (_, ErrorSource::Upstream) => 502,
        (ErrorType::ReadTimedout, ErrorSource::Downstream) => 408,
        (
            ErrorType::WriteError | ErrorType::WriteTimedout | ErrorType::ConnectionClosed,
            ErrorSource::Downstream,
        ) => 0,
        (_, ErrorSource::Downstream) => 400,
        (_, ErrorSource::Internal | ErrorSource::Unset) => 500,
    };
    let answered = session.response_written().is_some_and(|head| !head.status.is_informational());
    if code > 0
        && !answered
        && let Err(error) = refuse(session, ctx, code).await
    {
        log::debug!("the client did not take the answer: {error}");
    }
    FailToProxy { error_code: code, can_reuse_downstream: false }
}

async fn refuse(session: &mut Session, ctx: &RequestContext, code: u16) -> Result<()> {
    if is_grpc(session.req_header()) {
        let (head, trailers) = grpc_status(code)?;
        session.set_keepalive(None);
        session.write_response_header(Box::new(head), false).await?;
        return session.write_response_trailers(trailers).await;
    }
    let (head, body) = page(code, ctx)?;
    session.write_error_response(head, body).await
}

/// Whether a client of gRPC asks, which reads trailers rather than statuses.
fn is_grpc(head: &RequestHeader) -> bool {
    let kind = head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    head.version == http::Version::HTTP_2
        && kind.is_some_and(|kind| {
            matches!(kind.strip_prefix(b"application/grpc"), Some([] | [b'+' | b';', ..]))
        })
}

/// A response without messages, and its status for gRPC.
fn grpc_status(code: u16) -> Result<(ResponseHeader, HeaderMap)> {
    // By gRPC's table of statuses for HTTP's, and RESOURCE_EXHAUSTED for what is too large.
    let status: u16 = match code {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        408 | 504 => 4,
        413 | 414 | 431 => 8,
        429 | 502 | 503 => 14,
        _ => 2,
    };
    let message = StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason());
    let mut head = ResponseHeader::build(StatusCode::OK, Some(2))?;
    head.insert_header(header::CONTENT_TYPE, "application/grpc")?;
    head.insert_header(header::CACHE_CONTROL, "private, no-store")?;
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert("grpc-status", HeaderValue::from(status));
    let message = HeaderValue::try_from(format!("{code} {}", message.unwrap_or("Error")));
    trailers.extend(message.ok().map(|message| (HeaderName::from_static("grpc-message"), message)));
    Ok((head, trailers))
}

/// The listener's page for a status, or one line of text.
fn page(code: u16, ctx: &RequestContext) -> Result<(ResponseHeader, Bytes)> {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let pages = listener(ctx).map(|listener| listener.error_pages.as_slice()).unwrap_or_default();
    let (media_type, body) = match pages.iter().find(|page| (page.first..=page.last).contains(&code)) {
        Some(page) => (page.media_type.clone(), page.body.clone()),
        None => {
            let text = format!("{code} {}\n", status.canonical_reason().unwrap_or("Error"));
            (HeaderValue::from_static("text/plain"), Bytes::from(text))
        }
    };
    let mut head = ResponseHeader::build(status, Some(6))?;
    head.insert_header(header::CONTENT_TYPE, media_type)?;
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    head.insert_header(header::CACHE_CONTROL, "private, no-store")?;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        head.insert_header(header::RETRY_AFTER, RETRY_AFTER_S)?;
    }
    told::tell_client(&mut head, None, ctx)?;
    Ok((head, body))
}
