//! A client's connection as the application sees it: exactly one message at a time.
//!
//! While a request is in the application's hands, reads end where the door says that the message ends. What
//! the client sends beyond it (the next request of a pipeline) waits here; that the client has gone away is
//! still seen. So requests that share a connection can neither disturb nor be mistaken for each other.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf as _, BytesMut};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID, UniqueIDType,
};
use std::os::fd::AsRawFd as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::budget::Budget;
use super::buffers::Slowest;
use super::chunked::Chunked;
use super::frames::Frames;
use super::gather::Gathered;
use super::head::Framing;
use super::hold::Hold;
use super::pace::Pace;
use super::transport::Transport;
use crate::clock::Now;

/// Most bytes of a next request that are read while one is being served.
const MAX_AHEAD: usize = 16 * 1024;

/// Small writes are gathered up to this size: a head and a short body leave in one piece.
const GATHER: usize = 4096;

/// Room for a short body behind a head, so that the buffer seldom grows.
const ROOM_FOR_BODY: usize = 512;

/// A client's connection.
#[derive(Debug)]
pub(super) struct ClientStream {
    transport: Transport,
    /// Bytes that were read but not yet given out.
    ahead: BytesMut,
    message: Message,
    /// Bytes that were written but not yet sent: a response's head waits for its body, or for a flush.
    unsent: BytesMut,
    socket: Arc<SocketDigest>,
    /// The body of the message, where it was read ahead.
    gathered: Option<Gathered>,
    /// Where responses are held for slow readers.
    hold: Option<Hold>,
    slowest: Slowest,
    reading: Pace,
    writing: Pace,
    /// Whether the transport may keep some of what was written to it, as TLS does.
    unflushed: bool,
}

/// What is left of the message that is being read.
#[derive(Debug)]
enum Message {
    /// So many bytes.
    Length(u64),
    /// Up to the last chunk.
    Chunked(Chunked),
    /// Another protocol may follow: everything.
    Tunnel,
    /// HTTP/2: everything, and its frames are counted.
    Http2(Box<Frames>),
}

impl ClientStream {
    pub(super) fn new(transport: Transport) -> Self {
        let socket = Arc::new(SocketDigest::from_raw_fd(transport.tcp().as_raw_fd()));
        Self {
            transport,
            ahead: BytesMut::new(),
            message: Message::Length(0),
            unsent: BytesMut::new(),
            socket,
            gathered: None,
            hold: None,
            slowest: Slowest::default(),
            reading: Pace::default(),
            writing: Pace::default(),
            unflushed: false,
        }
    }

    /// What its bytes travel on, past all framing.
    pub(super) fn transport(&mut self) -> &mut Transport {
        &mut self.transport
    }

    /// From now on it is HTTP/2; `read` is what was read of it.
    pub(super) fn begin_http2(&mut self, read: BytesMut) {
        self.ahead = read;
        self.message = Message::Http2(Box::new(Frames::new(Now::read().monotonic_ms)));
    }

    /// What the client has sent beyond the last message. An idle connection keeps no buffer.
    pub(super) fn take_ahead(&mut self) -> BytesMut {
        self.unsent = BytesMut::new();
        std::mem::take(&mut self.ahead)
    }

    /// Begins a message: `read` is its head and whatever of its body and beyond was read with it. Gives back
    /// the part that belongs to this message.
    pub(super) fn begin(
        &mut self,
        mut read: BytesMut,
        head_length: usize,
        framing: Framing,
    ) -> io::Result<BytesMut> {
        (self.reading, self.writing, self.gathered) = (Pace::default(), Pace::default(), None);
        self.message = match framing {
            Framing::Length(length) => Message::Length(length),
            Framing::Chunked => Message::Chunked(Chunked::default()),
            Framing::Upgrade => Message::Tunnel,
        };
        if read.len() > head_length {
            let body = self.message.advance(read.get(head_length..).unwrap_or_default())?;
            self.ahead = read.split_off(head_length + body);
        }
        Ok(read)
    }

    /// Whether the message was read to its end, so that the connection can serve another.
    pub(super) fn message_ended(&self) -> bool {
        self.message.ended() && self.gathered.as_ref().is_none_or(Gathered::is_empty)
    }

    /// The slowest that the client may be.
    pub(super) fn bound(&mut self, slowest: Slowest) {
        self.slowest = slowest;
    }

    /// From now on responses are held, so many bytes of each; unless the client reads nothing for so long.
    pub(super) fn hold_responses(&mut self, limit: usize, memory: &Arc<Budget>, patience: Duration) {
        self.hold = Some(Hold::new(limit, memory, patience));
    }

    /// What of the message's body was read ahead: it is given out first.
    pub(super) fn give_first(&mut self, gathered: Gathered) {
        self.gathered = Some(gathered);
    }

    /// Sends what is held.
    pub(super) async fn send_held(&mut self) -> io::Result<()> {
        std::future::poll_fn(|context| self.poll_out(context)).await
    }

    /// After the message: nothing is given out, but the client's leaving is.
    fn poll_beyond(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.ahead.len() >= MAX_AHEAD {
                // The response will end this wait.
                return Poll::Pending;
            }
            if ready!(self.transport.poll_read_some(context, &mut self.ahead))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Gives out what was read before.
    fn give_ahead(&mut self, to: &mut ReadBuf<'_>) -> io::Result<()> {
        let length = self.ahead.len().min(to.remaining());
        let bytes = self.ahead.get(..length).unwrap_or_default();
        let belongs = self.message.advance(bytes)?;
        to.put_slice(self.ahead.get(..belongs).unwrap_or_default());
        self.ahead.advance(belongs);
        Ok(())
    }
}

impl Message {
    fn ended(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.ended(),
            Self::Tunnel | Self::Http2(_) => false,
        }
    }

    /// How many of `bytes` belong to the message.
    fn advance(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= u64::try_from(here).unwrap_or(0);
                Ok(here)
            }
            Self::Chunked(chunked) => {
                chunked.follow(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
            }
            Self::Tunnel => Ok(bytes.len()),
            Self::Http2(frames) => {
                let followed = frames.follow(bytes, || Now::read().monotonic_ms);
                followed.map_err(|flood| io::Error::new(io::ErrorKind::InvalidData, flood))?;
                Ok(bytes.len())
            }
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.holds() && (this.unflushed || !this.unsent.is_empty()) {
            // Whoever reads is woken when the client reads on, too.
            let _ = this.poll_out(context)?;
        }
        if let Some(gathered) = &mut this.gathered {
            if !gathered.is_empty() {
                return gathered.poll_read(context, to);
            }
            this.gathered = None;
        }
        if this.message.ended() {
            return this.poll_beyond(context);
        }
        if !this.ahead.is_empty() {
            return Poll::Ready(this.give_ahead(to));
        }
        let before = to.filled().len();
        match &mut this.message {
            Message::Length(left) => {
                // Not one byte more than the message has.
                let room = to.initialize_unfilled();
                let limit = usize::try_from(*left).unwrap_or(usize::MAX).min(room.len());
                let mut limited = ReadBuf::new(room.get_mut(..limit).unwrap_or_default());
                ready!(paced(&mut this.transport, &mut this.reading, this.slowest, context, &mut limited))?;
                let read = limited.filled().len();
                to.advance(read);
                *left -= u64::try_from(read).unwrap_or(0);
            }
            Message::Chunked(chunked) => {
                ready!(paced(&mut this.transport, &mut this.reading, this.slowest, context, to))?;
                let read = to.filled().get(before..).unwrap_or_default();
                let belongs = chunked
                    .follow(read)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                if belongs < read.len() {
                    this.ahead.extend_from_slice(read.get(belongs..).unwrap_or_default());
                    to.set_filled(before + belongs);
                }
            }
            Message::Tunnel => ready!(Pin::new(&mut this.transport).poll_read(context, to))?,
            Message::Http2(_) => {
                ready!(Pin::new(&mut this.transport).poll_read(context, to))?;
                this.message.advance(to.filled().get(before..).unwrap_or_default())?;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl ClientStream {
    /// Sends what was gathered.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let sent = match Pin::new(&mut self.transport).poll_write(context, &self.unsent) {
                Poll::Ready(sent) => sent?,
                Poll::Pending => return self.poll_stalled(context).map(Err),
            };
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.advance(sent);
            self.sent(sent)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl ClientStream {
    /// Whether responses are held: not those of another protocol, which waits for its client itself.
    fn holds(&self) -> bool {
        self.hold.is_some() && matches!(self.message, Message::Length(_) | Message::Chunked(_))
    }

    /// Sends what the client reads, and holds of the rest what there is room for.
    fn poll_hold(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.unsent.len() + bytes.len() > GATHER
            && self.poll_send(context)?.is_ready()
            && bytes.len() >= GATHER
            && let Poll::Ready(sent) = self.poll_write_through(context, bytes)
        {
            return Poll::Ready(sent);
        }
        let (held, capacity) = (self.unsent.len(), self.unsent.capacity());
        match self.hold.as_mut().map_or(0, |hold| hold.room(held, capacity, bytes.len())) {
            0 => {
                // As without: wait for the client.
                ready!(self.poll_send(context))?;
                self.poll_write_through(context, bytes)
            }
            room => {
                self.unsent.extend_from_slice(bytes.get(..room).unwrap_or_default());
                Poll::Ready(Ok(room))
            }
        }
    }

    /// Sends what is held, down to the socket.
    fn poll_out(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        if self.unflushed {
            ready!(Pin::new(&mut self.transport).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_through(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.transport).poll_write(context, bytes) {
            Poll::Ready(sent) => {
                let sent = sent?;
                self.sent(sent)?;
                Poll::Ready(Ok(sent))
            }
            Poll::Pending => self.poll_stalled(context).map(Err),
        }
    }

    /// The client reads nothing now.
    fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if self.slowest.reader > 0 {
            self.writing.waits(Now::read().monotonic_ms);
        }
        match &mut self.hold {
            Some(hold) => hold.stalls(context),
            // Whoever writes has a timeout of its own.
            None => Poll::Pending,
        }
    }

    /// The client has read some of it, or its kernel has.
    fn sent(&mut self, bytes: usize) -> io::Result<()> {
        if self.slowest.reader > 0 {
            // Without a wait no clock is read.
            let now_ms = if self.writing.is_waiting() { Now::read().monotonic_ms } else { 0 };
            self.writing.went_on(bytes, self.slowest.reader, now_ms)?;
        }
        self.unflushed = true;
        if let Some(hold) = &mut self.hold {
            let all = self.unsent.is_empty();
            hold.went_on(all);
            if all && self.unsent.capacity() > GATHER {
                // Its room is no longer counted.
                self.unsent = BytesMut::new();
            }
        }
        Ok(())
    }
}

/// Reads more of a body, unless it comes too slowly.
fn paced(
    from: &mut (impl AsyncRead + Unpin),
    pace: &mut Pace,
    slowest: Slowest,
    context: &mut Context<'_>,
    to: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    if slowest.body == 0 {
        return Pin::new(from).poll_read(context, to);
    }
    let before = to.filled().len();
    let read = Pin::new(from).poll_read(context, to);
    if read.is_pending() {
        pace.waits(Now::read().monotonic_ms);
        return Poll::Pending;
    }
    let now_ms = if pace.is_waiting() { Now::read().monotonic_ms } else { 0 };
    pace.went_on(to.filled().len() - before, slowest.body, now_ms)?;
    read
}

/// Gathers small writes, as Pingora's own stream does; Pingora flushes where a client waits.
impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.holds() {
            return this.poll_hold(context, bytes);
        }
        if this.unsent.len() + bytes.len() > GATHER {
            ready!(this.poll_send(context))?;
        }
        if let Message::Http2(frames) = &mut this.message {
            frames.sent(bytes.len());
        }
        if bytes.len() >= GATHER {
            return this.poll_write_through(context, bytes);
        }
        if this.unsent.capacity() == 0 {
            this.unsent.reserve(bytes.len() + ROOM_FOR_BODY);
        }
        this.unsent.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.holds() {
            let _ = this.poll_out(context)?;
            // What is held needs nobody to wait for it.
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.transport).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.transport).poll_shutdown(context)
    }
}

#[async_trait]
impl Shutdown for ClientStream {
    async fn shutdown(&mut self) {
        let _ = tokio::io::AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for ClientStream {
    fn id(&self) -> UniqueIDType {
        self.transport.tcp().as_raw_fd()
    }
}

impl Ssl for ClientStream {}

impl Peek for ClientStream {}

impl GetTimingDigest for ClientStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for ClientStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for ClientStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.socket))
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.socket = Arc::new(digest);
    }
}
