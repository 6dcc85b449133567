//! The exporter: takes what sampled requests have left, and posts it to the collector as OTLP, one message after the other,
//! beside everything else. What the collector does not take within three tries is dropped and counted.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use pingora::connectors::http::v1::Connector;
use tokio::sync::watch;
use tokio::time::sleep;

use super::post::post;
use crate::snapshot::{Current, Tracing};
use crate::telemetry::{Sender, SpanRecord, Spans, encode, rejected};

/// Spans wait so long, at most, until they are sent.
const TURN: Duration = Duration::from_secs(1);
/// How long is waited before each try.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(5)];

/// Starts a task that exports until `ended` fails.
pub(super) fn start(current: Arc<Current>, spans: Arc<Spans>, mut ended: watch::Receiver<()>) {
    tokio::spawn(async move {
        let instance = format!("{:032x}", rand::random::<u128>());
        let (mut tracing, mut well) = (None, true);
        // Made with the first message: it reads the platform's certificates.
        let mut connector = None;
        loop {
            tokio::select! {
                () = spans.wanted() => {}
                () = sleep(TURN) => {}
                _ = ended.changed() => return,
            }
            // What was left before it was switched off still goes where it was meant to.
            tracing = current.load().tracing.clone().or(tracing);
            loop {
                let records = spans.take();
                if records.is_empty() {
                    break;
                }
                let sent = match &tracing {
                    Some(tracing) => {
                        let connector = connector.get_or_insert_with(|| Connector::new(None));
                        let sent = send(connector, tracing, &instance, &records).await;
                        said(tracing, &sent, &mut well);
                        sent
                    }
                    // It was on for less than a turn.
                    None => Err(String::new()),
                };
                spans.sent(&records, sent.is_ok(), sent.unwrap_or(0));
            }
        }
    });
}

/// Sends one message; tells how many spans of it were rejected.
async fn send(
    connector: &Connector,
    tracing: &Tracing,
    instance: &str,
    records: &[SpanRecord],
) -> Result<u64, String> {
    let sender = Sender { service_name: &tracing.service_name, instance };
    let message = Bytes::from(encode(sender, records));
    let mut why = String::new();
    for pause in PAUSES {
        sleep(pause).await;
        match post(connector, &tracing.collector, "application/x-protobuf", &message).await {
            Ok(answer) if answer.status.is_success() => return Ok(rejected(&answer.body)),
            Ok(answer) => {
                why = format!("it answers {}", answer.status.as_u16());
                if !is_passing(answer.status) {
                    break;
                }
            }
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// Whether the same message may be taken later (OTLP 1, section "Failures" of its HTTP transport).
fn is_passing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// Said once for each change, not for each message.
fn said(tracing: &Tracing, sent: &Result<u64, String>, well: &mut bool) {
    let collector = &tracing.collector;
    match sent {
        Err(why) if *well => log::warn!(
            "spans are dropped until the collector at {}:{} takes them again: {why}",
            collector.host,
            collector.port
        ),
        Ok(_) if !*well => {
            log::info!("the collector at {}:{} takes spans again", collector.host, collector.port);
        }
        Ok(_) | Err(_) => {}
    }
    *well = sent.is_ok();
}
