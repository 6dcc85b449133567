//! The web hook: alerts are posted there as JSON, one after the other, beside everything else. A bounded queue, a timeout for
//! each try, three tries; what cannot be delivered is counted and said in the log.
//!
//! By Pingora's own connector, which the balancer has anyway, and with the platform's certificates: no second HTTP client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, header};
use pingora::connectors::http::v1::Connector;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::HttpPeer;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::alerts::Alert;
use crate::snapshot::Webhook;

/// Alerts that may wait.
const WAITING: usize = 64;
/// How long is waited before each try.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(5)];

/// Where alerts go.
#[derive(Debug)]
pub(super) struct Messenger(mpsc::Sender<(Arc<Webhook>, Bytes)>);

/// What is posted.
#[derive(Debug, Serialize)]
struct Message<'a> {
    /// In words.
    text: &'a str,
    /// `began` or `ended`.
    alert: &'static str,
    pool: &'a str,
    backend: &'a str,
    /// When the first session was lost, in seconds since 1970.
    from_s: u64,
    /// When the last one was lost.
    until_s: u64,
    lost: u64,
    lost_after_move: u64,
    lost_no_proof: u64,
    lost_at_home: u64,
    /// Whether the backend has restarted, as far as its sessions tell.
    restarted: bool,
    /// By the first segment of the path.
    paths: Vec<(&'a str, u64)>,
}

impl Messenger {
    /// Starts a task that delivers.
    pub(super) fn start() -> Self {
        let (sender, mut waiting) = mpsc::channel::<(Arc<Webhook>, Bytes)>(WAITING);
        tokio::spawn(async move {
            // Made with the first alert: it reads the platform's certificates.
            let mut connector = None;
            while let Some((webhook, message)) = waiting.recv().await {
                deliver(connector.get_or_insert_with(|| Connector::new(None)), &webhook, &message).await;
            }
        });
        Self(sender)
    }

    /// Posts an alert, soon.
    pub(super) fn post(&self, webhook: &Arc<Webhook>, alert: &Alert) {
        let incident = &alert.incident;
        let message = Message {
            text: &alert.text,
            alert: if incident.is_over { "ended" } else { "began" },
            pool: alert.pool.as_str(),
            backend: incident.backend.as_str(),
            from_s: incident.from_s,
            until_s: incident.until_s,
            lost: incident.lost.total(),
            lost_after_move: incident.lost.after_move,
            lost_no_proof: incident.lost.no_proof,
            lost_at_home: incident.lost.at_home,
            restarted: incident.restarted,
            paths: alert.paths.iter().map(|(path, lost)| (path.as_str(), *lost)).collect(),
        };
        let body = serde_json::to_vec(&message).unwrap_or_default();
        if self.0.try_send((Arc::clone(webhook), body.into())).is_err() {
            log::warn!("an alert was not posted: {WAITING} of them wait for the web hook already");
        }
    }
}

async fn deliver(connector: &Connector, webhook: &Webhook, message: &Bytes) {
    let mut why = String::new();
    for pause in PAUSES {
        sleep(pause).await;
        match timeout(webhook.timeout, post(connector, webhook, message)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => why = error,
            Err(_) => why = format!("no answer within {:?}", webhook.timeout),
        }
    }
    // Without its path, which may be a secret.
    log::warn!("an alert was not posted to {}:{}: {why}", webhook.host, webhook.port);
}

async fn post(connector: &Connector, webhook: &Webhook, message: &Bytes) -> Result<(), String> {
    let address = address(webhook).await?;
    let peer = HttpPeer::new(address, webhook.tls, webhook.host.clone());
    let said = |error: Box<pingora::Error>| error.etype().as_str().to_owned();
    let (mut session, _) = connector.get_http_session(&peer).await.map_err(said)?;
    session
        .write_request_header(Box::new(request(webhook, message.len()).map_err(said)?))
        .await
        .map_err(said)?;
    session.write_body(message).await.map_err(said)?;
    session.finish_body().await.map_err(said)?;
    session.read_response().await.map_err(said)?;
    match session.get_status() {
        Some(status) if status.is_success() => Ok(()),
        Some(status) => Err(format!("it answers {}", status.as_u16())),
        None => Err("it does not answer".to_owned()),
    }
}

fn request(webhook: &Webhook, length: usize) -> pingora::Result<RequestHeader> {
    let mut request = RequestHeader::build(Method::POST, webhook.target.as_bytes(), Some(6))?;
    request.insert_header(header::HOST, webhook.authority())?;
    request.insert_header(header::USER_AGENT, concat!("steadfast/", env!("CARGO_PKG_VERSION")))?;
    request.insert_header(header::CONTENT_TYPE, "application/json")?;
    request.insert_header(header::CONTENT_LENGTH, length)?;
    request.insert_header(header::CONNECTION, "close")?;
    if let Some(authorization) = &webhook.authorization {
        request.insert_header(header::AUTHORIZATION, authorization.clone())?;
    }
    Ok(request)
}

async fn address(webhook: &Webhook) -> Result<SocketAddr, String> {
    let found = tokio::net::lookup_host((webhook.host.as_str(), webhook.port)).await;
    let mut found = found.map_err(|error| format!("its name is not found: {error}"))?;
    found.next().ok_or_else(|| "its name has no address".to_owned())
}
