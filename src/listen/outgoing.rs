//! A response of HTTP/2 that is held for a slow reader: taken off the backend at once, to a limit, and sent as fast as the
//! client reads. The parser keeps it: it is given more than the client's window has room for, and says by dropping them which
//! pieces it has sent.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;
use pingora::{Error, ErrorType, OrErr as _, Result};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::budget::{Budget, Share};
use super::http2::Open;
use super::pace::Pace;
use crate::clock::Now;

/// Bytes of a piece. So often it is seen that a slow client reads on.
const PIECE: usize = 4096;
/// What a piece takes beside its bytes, of ours and of the parser's.
const BESIDE: usize = 256;

/// How much is held of a response, and for whom.
#[derive(Clone, Debug)]
pub(super) struct Holding {
    /// Bytes of one response.
    pub(super) limit: usize,
    /// Memory for all of them.
    pub(super) memory: Arc<Budget>,
    /// How long the client may read nothing.
    pub(super) patience: Duration,
    /// The slowest that it may be, in bytes per second; 0: no bound.
    pub(super) slowest: u64,
    /// Where the stream is counted while it is open.
    pub(super) open: Open,
}

/// A response on its way, behind its head.
pub(super) struct Outgoing {
    /// `None` once somebody else sees to the rest.
    writer: Option<SendStream<Bytes>>,
    held: Arc<Held>,
    holding: Holding,
    pace: Pace,
    ended: bool,
    sent: usize,
}

/// What of a response is held.
#[derive(Debug, Default)]
struct Held {
    bytes: AtomicUsize,
    /// Bytes that were held and have gone.
    gone: AtomicU64,
    /// A piece has gone.
    went_on: Notify,
}

/// A piece that is held until it is dropped.
struct Piece {
    bytes: Bytes,
    of: Arc<Held>,
    _share: Share,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.of.bytes.fetch_sub(self.bytes.len() + BESIDE, Ordering::Relaxed);
        self.of.gone.fetch_add(u64::try_from(self.bytes.len()).unwrap_or(0), Ordering::Relaxed);
        self.of.went_on.notify_one();
    }
}

impl Held {
    fn is_empty(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) == 0
    }

    /// Bytes that have gone since this was last asked.
    fn gone(&self) -> usize {
        usize::try_from(self.gone.swap(0, Ordering::Relaxed)).unwrap_or(usize::MAX)
    }
}

impl Outgoing {
    pub(super) fn new(writer: SendStream<Bytes>, holding: Holding) -> Self {
        let (held, pace) = (Arc::default(), Pace::default());
        Self { writer: Some(writer), held, holding, pace, ended: false, sent: 0 }
    }

    /// Bytes of its body so far.
    pub(super) fn sent(&self) -> usize {
        self.sent
    }

    /// Sends what the client asks for, and holds of the rest what there is room for.
    pub(super) async fn write(&mut self, mut data: Bytes, end: bool) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        self.sent += data.len();
        while !data.is_empty() {
            let asked = if self.held.is_empty() { self.asked_for(data.len()) } else { 0 };
            let piece = if asked > 0 { data.split_to(asked.min(data.len())) } else { self.hold(&mut data) };
            if piece.is_empty() {
                self.wait(data.len()).await?;
            } else {
                let last = end && data.is_empty();
                self.give(piece, last)?;
            }
        }
        if end { self.finish() } else { Ok(()) }
    }

    /// Ends it with trailers.
    pub(super) fn trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        if let Some(writer) = self.writer.as_mut().filter(|_| !self.ended) {
            writer.send_trailers(trailers).or_err(ErrorType::WriteError, "while writing trailers")?;
            self.ended = true;
        }
        Ok(())
    }

    /// Ends it, unless it has ended.
    pub(super) fn finish(&mut self) -> Result<()> {
        if self.ended { Ok(()) } else { self.give(Bytes::new(), true) }
    }

    /// Gives it up; the client can tell.
    pub(super) fn abandon(&mut self) {
        if let Some(writer) = self.writer.as_mut().filter(|_| !self.ended) {
            writer.send_reset(Reason::INTERNAL_ERROR);
        }
    }

    /// Ends when the client wants no more of it.
    pub(super) async fn reset(&mut self) -> Box<Error> {
        let Some(writer) = &mut self.writer else { return std::future::pending().await };
        match poll_fn(|context| writer.poll_reset(context)).await {
            Ok(reason) => {
                Error::explain(ErrorType::H2Error, format!("the client has reset the stream: {reason}"))
            }
            Err(error) => Error::because(ErrorType::H2Error, "the client has left", error),
        }
        .into_down()
    }

    fn give(&mut self, piece: Bytes, end: bool) -> Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer
            .send_data(piece, end)
            .or_err(ErrorType::WriteError, "while writing a response")
            .map_err(|error| error.into_down())?;
        self.ended = end;
        Ok(())
    }

    /// How many of these bytes can be sent at once, or as good as that.
    fn asked_for(&mut self, wanted: usize) -> usize {
        let Some(writer) = &mut self.writer else { return 0 };
        writer.reserve_capacity(wanted);
        writer.capacity()
    }

    /// Takes what can be held, a piece at most.
    fn hold(&self, data: &mut Bytes) -> Bytes {
        let taken = self.held.bytes.load(Ordering::Relaxed) + BESIDE;
        let length = self.holding.limit.saturating_sub(taken).min(data.len()).min(PIECE);
        let mut share = Share::of(&self.holding.memory);
        if length == 0 || !share.grow(length + BESIDE) {
            return Bytes::new();
        }
        self.held.bytes.fetch_add(length + BESIDE, Ordering::Relaxed);
        Bytes::from_owner(Piece { bytes: data.split_to(length), of: Arc::clone(&self.held), _share: share })
    }

    /// Waits until the client reads on: for something held to go, or without that for its window.
    async fn wait(&mut self, wanted: usize) -> Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        if self.holding.slowest > 0 {
            self.pace.waits(Now::read().monotonic_ms);
        }
        let (held, empty) = (&self.held, self.held.is_empty());
        let mut asked = 0;
        {
            let (mut went_on, mut patience) =
                (pin!(held.went_on.notified()), pin!(sleep(self.holding.patience)));
            if empty {
                writer.reserve_capacity(wanted);
            }
            poll_fn(|context| {
                if let Poll::Ready(reset) = writer.poll_reset(context) {
                    let reason = reset.map_or_else(|error| error.to_string(), |reason| reason.to_string());
                    return Poll::Ready(Error::e_explain(
                        ErrorType::WriteError,
                        format!("the client takes no more: {reason}"),
                    ));
                }
                if empty && let Poll::Ready(capacity) = writer.poll_capacity(context) {
                    asked = capacity.and_then(std::result::Result::ok).unwrap_or(0);
                    return Poll::Ready(match asked {
                        0 => Error::e_explain(ErrorType::WriteError, "the client takes no more"),
                        _ => Ok(()),
                    });
                }
                if !empty && went_on.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Ok(()));
                }
                patience
                    .as_mut()
                    .poll(context)
                    .map(|()| Error::e_explain(ErrorType::WriteTimedout, "the client reads nothing"))
            })
            .await
            .map_err(|error| error.into_down())?;
        }
        went_on(&mut self.pace, held.gone() + asked, self.holding.slowest)
            .or_err(ErrorType::WriteTimedout, "the client reads too slowly")
            .map_err(|error| error.into_down())
    }
}

fn went_on(pace: &mut Pace, bytes: usize, slowest: u64) -> std::result::Result<(), super::pace::TooSlow> {
    let now_ms = if pace.is_waiting() { Now::read().monotonic_ms } else { 0 };
    if slowest > 0 { pace.went_on(bytes, slowest, now_ms) } else { Ok(()) }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if self.ended
            && !self.held.is_empty()
            && let (Some(writer), Ok(runtime)) = (self.writer.take(), Handle::try_current())
        {
            let (held, holding) = (Arc::clone(&self.held), self.holding.clone());
            runtime.spawn(see_off(writer, held, holding, std::mem::take(&mut self.pace)));
        }
    }
}

/// Waits until the client has all of what is held for it, or reads nothing, or too slowly.
async fn see_off(mut writer: SendStream<Bytes>, held: Arc<Held>, holding: Holding, mut pace: Pace) {
    let _place = holding.open.enter();
    while !held.is_empty() {
        if holding.slowest > 0 {
            pace.waits(Now::read().monotonic_ms);
        }
        let on = tokio::select! {
            _ = poll_fn(|context| writer.poll_reset(context)) => return,
            () = held.went_on.notified() => went_on(&mut pace, held.gone(), holding.slowest).is_ok(),
            () = sleep(holding.patience) => false,
        };
        if !on {
            writer.send_reset(Reason::CANCEL);
            return;
        }
    }
}
