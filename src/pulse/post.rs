//! One POST, by Pingora's own connector, which the balancer has anyway, and with the platform's certificates: no second HTTP
//! client.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode, header};
use pingora::connectors::http::v1::Connector;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::HttpPeer;
use tokio::time::timeout;

use crate::snapshot::Endpoint;

/// Of an answer that is read.
const MOST_BYTES: usize = 4096;

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Its first bytes.
    pub(super) body: Bytes,
}

/// Posts a message.
///
/// # Errors
/// In words, why there was no answer in time.
pub(super) async fn post(
    connector: &Connector,
    endpoint: &Endpoint,
    media_type: &'static str,
    message: &Bytes,
) -> Result<Answer, String> {
    match timeout(endpoint.timeout, exchange(connector, endpoint, media_type, message)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {:?}", endpoint.timeout)),
    }
}

async fn exchange(
    connector: &Connector,
    endpoint: &Endpoint,
    media_type: &'static str,
    message: &Bytes,
) -> Result<Answer, String> {
    let address = address(endpoint).await?;
    let peer = HttpPeer::new(address, endpoint.tls, endpoint.host.clone());
    let said = |error: Box<pingora::Error>| error.etype().as_str().to_owned();
    let (mut session, _) = connector.get_http_session(&peer).await.map_err(said)?;
    let head = request(endpoint, media_type, message.len()).map_err(said)?;
    session.write_request_header(Box::new(head)).await.map_err(said)?;
    session.write_body(message).await.map_err(said)?;
    session.finish_body().await.map_err(said)?;
    session.read_response().await.map_err(said)?;
    let status = session.get_status().ok_or("it does not answer")?;
    let mut body = BytesMut::new();
    while body.len() < MOST_BYTES
        && let Some(part) = session.read_body_bytes().await.map_err(said)?
    {
        body.extend_from_slice(part.get(..MOST_BYTES - body.len()).unwrap_or(&part));
    }
    Ok(Answer { status, body: body.freeze() })
}

fn request(endpoint: &Endpoint, media_type: &'static str, length: usize) -> pingora::Result<RequestHeader> {
    let mut request = RequestHeader::build(Method::POST, endpoint.target.as_bytes(), Some(6))?;
    request.insert_header(header::HOST, endpoint.authority())?;
    request.insert_header(header::USER_AGENT, concat!("steadfast/", env!("CARGO_PKG_VERSION")))?;
    request.insert_header(header::CONTENT_TYPE, media_type)?;
    request.insert_header(header::CONTENT_LENGTH, length)?;
    request.insert_header(header::CONNECTION, "close")?;
    if let Some(authorization) = &endpoint.authorization {
        request.insert_header(header::AUTHORIZATION, authorization.clone())?;
    }
    Ok(request)
}

async fn address(endpoint: &Endpoint) -> Result<SocketAddr, String> {
    let found = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await;
    let mut found = found.map_err(|error| format!("its name is not found: {error}"))?;
    found.next().ok_or_else(|| "its name has no address".to_owned())
}
