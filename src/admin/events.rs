//! Events as they happen (Server-Sent Events): what was lately, then all that comes, and the numbers of each second.
//!
//! A slow reader is cut off, and one that misses events is told how many; nobody waits for either.

use std::sync::Arc;

use bytes::Bytes;
use http::{StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use super::answer::Refusal;
use crate::listen::Accepting;
use crate::telemetry::{Event, Events, News};

/// The path; it is no endpoint of the table, because its answer has no end.
pub(super) const EVENTS: &str = "/v1/events";

/// Somebody who listens.
#[derive(Debug)]
pub(super) struct Listening {
    before: Vec<Arc<Event>>,
    hears: Receiver<News>,
}

#[derive(Serialize)]
struct Missed {
    missed: u64,
}

impl Listening {
    /// Begins to listen.
    pub(super) fn begin(events: &Events) -> Result<Self, Refusal> {
        let help = "close another one; GET /v1/pools tells the same for the moment";
        let too_many = || {
            Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too_many",
                "too many listen to events already",
                help,
            )
        };
        events.listen().map(|(before, hears)| Self { before, hears }).ok_or_else(too_many)
    }

    /// Tells what happens until the reader has gone, or another process takes over.
    pub(super) async fn serve(
        mut self,
        session: &mut ServerSession,
        mut over: watch::Receiver<Accepting>,
    ) -> pingora::Result<()> {
        let mut head = ResponseHeader::build(StatusCode::OK, Some(4))?;
        head.insert_header(header::CONTENT_TYPE, "text/event-stream")?;
        head.insert_header(header::CACHE_CONTROL, "no-store")?;
        head.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
        // Without a length: it ends with the connection.
        session.set_keepalive(None);
        session.write_response_header(Box::new(head)).await?;
        for event in self.before.drain(..) {
            write(session, "happened", &*event).await?;
        }
        loop {
            let heard = tokio::select! {
                heard = self.hears.recv() => heard,
                _ = over.wait_for(|accepting| *accepting != Accepting::Yes) => return Ok(()),
            };
            match heard {
                Ok(News::Happened(event)) => write(session, "happened", &*event).await?,
                Ok(News::Sample(sample)) => write(session, "sample", &*sample).await?,
                Err(RecvError::Lagged(missed)) => write(session, "missed", &Missed { missed }).await?,
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }
}

/// One message, as the HTML standard has it (section 9.2.6); JSON has no line ends.
async fn write(session: &mut ServerSession, kind: &str, data: &impl Serialize) -> pingora::Result<()> {
    let data = serde_json::to_string(data).unwrap_or_default();
    session.write_response_body(Bytes::from(format!("event: {kind}\ndata: {data}\n\n")), false).await
}
