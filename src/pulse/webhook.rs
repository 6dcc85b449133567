//! The web hook: alerts are posted there as JSON, one after the other, beside everything else. A bounded queue, a timeout for
//! each try, three tries; what cannot be delivered is counted and said in the log.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pingora::connectors::http::v1::Connector;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::alerts::Alert;
use super::post::post;
use crate::snapshot::Endpoint;

/// Alerts that may wait.
const WAITING: usize = 64;
/// How long is waited before each try.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(5)];

/// Where alerts go.
#[derive(Debug)]
pub(super) struct Messenger(mpsc::Sender<(Arc<Endpoint>, Bytes)>);

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
        let (sender, mut waiting) = mpsc::channel::<(Arc<Endpoint>, Bytes)>(WAITING);
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
    pub(super) fn post(&self, webhook: &Arc<Endpoint>, alert: &Alert) {
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

async fn deliver(connector: &Connector, webhook: &Endpoint, message: &Bytes) {
    let mut why = String::new();
    for pause in PAUSES {
        sleep(pause).await;
        match post(connector, webhook, "application/json", message).await {
            Ok(answer) if answer.status.is_success() => return,
            Ok(answer) => why = format!("it answers {}", answer.status.as_u16()),
            Err(error) => why = error,
        }
    }
    // Without its path, which may be a secret.
    log::warn!("an alert was not posted to {}:{}: {why}", webhook.host, webhook.port);
}
