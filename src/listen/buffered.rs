//! A stream of HTTP/2 that is kept here, so that a slow client keeps no backend waiting: its request is gathered before the
//! application sees it, and its response is held.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::body_buffer::FixedBuffer;
use pingora::protocols::http::custom::CustomMessageWrite;
use pingora::protocols::http::custom::server::Session;
use pingora::protocols::http::v2::server::HttpSession;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, ErrorType, OrErr as _, Result};

use super::gather::{Gathered, Gathering, gather};
use super::outgoing::{Holding, Outgoing};
use super::stream_body::StreamBody;

/// What is kept of a body to send it again: as much as Pingora keeps.
const AGAIN: usize = 64 * 1024;

/// A message that no stream of HTTP/2 has.
type Messages = Box<dyn futures_core::Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;

/// A stream with buffers.
pub(super) struct Buffered {
    session: HttpSession,
    /// What of the body was gathered, and not yet given out.
    gathered: Option<Gathered>,
    /// What was read beyond that.
    rest: Bytes,
    /// Whether that was all of it.
    whole: bool,
    again: Option<FixedBuffer>,
    holding: Option<Holding>,
    /// The response, once its head was sent.
    outgoing: Option<Outgoing>,
}

impl Buffered {
    /// A stream whose response is held, if that is wanted.
    pub(super) fn new(session: HttpSession, holding: Option<Holding>) -> Self {
        let rest = Bytes::new();
        Self { session, gathered: None, rest, whole: false, again: None, holding, outgoing: None }
    }

    /// Reads the body, as far as there is room; whether that was all of it.
    ///
    /// # Errors
    /// As [`gather`].
    pub(super) async fn gather(
        &mut self,
        gathering: &Gathering,
        pause: Duration,
        slowest: u64,
        most: Option<u64>,
    ) -> std::io::Result<bool> {
        let mut body = StreamBody::new(&mut self.session, slowest, most);
        let gathered = gather(&mut body, bytes::BytesMut::new(), gathering, pause).await?;
        (self.rest, self.whole) = body.left();
        self.gathered = Some(gathered);
        Ok(self.whole)
    }

    /// The stream itself.
    pub(super) fn into_inner(self) -> HttpSession {
        self.session
    }

    /// The next piece of the body. Nothing is lost if it is not waited for.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let gathered = match &mut self.gathered {
            Some(gathered) => {
                gathered.next().await.or_err(ErrorType::ReadError, "while reading a gathered body")?
            }
            None => None,
        };
        let piece = match gathered {
            Some(piece) => Some(piece),
            None if !self.rest.is_empty() => Some(std::mem::take(&mut self.rest)),
            None if self.whole => None,
            None => self.session.read_body_bytes().await?,
        };
        if let (Some(again), Some(piece)) = (&mut self.again, &piece) {
            again.write_to_buffer(piece);
        }
        Ok(piece)
    }
}

#[async_trait]
impl Session for Buffered {
    fn req_header(&self) -> &RequestHeader {
        self.session.req_header()
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        self.session.req_header_mut()
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        self.next().await
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        (self.gathered, self.rest) = (None, Bytes::new());
        if self.whole { Ok(()) } else { self.session.drain_request_body().await }
    }

    async fn write_response_header(&mut self, head: Box<ResponseHeader>, end: bool) -> Result<()> {
        self.session.write_response_header(head, end)?;
        if !end
            && let Some(holding) = &self.holding
            && let Some(writer) = self.session.take_response_body_writer()
        {
            self.outgoing = Some(Outgoing::new(writer, holding.clone()));
        }
        Ok(())
    }

    async fn write_response_header_ref(&mut self, head: &ResponseHeader, end: bool) -> Result<()> {
        self.write_response_header(Box::new(head.clone()), end).await
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        match &mut self.outgoing {
            Some(outgoing) => outgoing.write(data, end).await,
            None => self.session.write_body(data, end).await,
        }
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        match &mut self.outgoing {
            Some(outgoing) => outgoing.trailers(trailers),
            None => self.session.write_trailers(trailers),
        }
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let mut ended = false;
        for task in tasks {
            ended |= task.is_end();
            match task {
                HttpTask::Header(head, end) => self.write_response_header(head, end).await?,
                HttpTask::Body(Some(data), end) if !data.is_empty() => self.write_body(data, end).await?,
                HttpTask::Trailer(Some(trailers)) => self.write_trailers(*trailers).await?,
                HttpTask::Body(..) | HttpTask::Trailer(None) | HttpTask::Done => {}
                HttpTask::UpgradedBody(..) => {
                    return Error::e_explain(ErrorType::InternalError, "a tunnel in a stream of HTTP/2");
                }
                HttpTask::Failed(error) => return Err(error),
            }
        }
        if ended {
            self.finish().await?;
        }
        Ok(ended)
    }

    // How long a body may stand still is bounded where its stream is served.
    fn set_read_timeout(&mut self, _: Option<Duration>) {}

    fn get_read_timeout(&self) -> Option<Duration> {
        None
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.session.set_write_timeout(timeout);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.session.get_write_timeout()
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.session.set_total_drain_timeout(timeout);
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.session.get_total_drain_timeout()
    }

    fn request_summary(&self) -> String {
        self.session.request_summary()
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.session.response_written()
    }

    async fn shutdown(&mut self, _: u32, _: &str) {
        match &mut self.outgoing {
            Some(outgoing) => outgoing.abandon(),
            None => self.session.shutdown(),
        }
    }

    fn is_body_done(&mut self) -> bool {
        self.gathered.as_ref().is_none_or(Gathered::is_empty)
            && self.rest.is_empty()
            && (self.whole || self.session.is_body_done())
    }

    async fn finish(&mut self) -> Result<()> {
        match &mut self.outgoing {
            Some(outgoing) => outgoing.finish(),
            None => self.session.finish(),
        }
    }

    fn is_body_empty(&mut self) -> bool {
        self.session.is_body_empty()
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if !no_body_expected && !self.is_body_done() {
            return self.next().await;
        }
        match &mut self.outgoing {
            Some(outgoing) => Err(outgoing.reset().await),
            None => self.session.read_body_or_idle(true).await,
        }
    }

    fn body_bytes_sent(&self) -> usize {
        self.outgoing.as_ref().map_or_else(|| self.session.body_bytes_sent(), Outgoing::sent)
    }

    fn body_bytes_read(&self) -> usize {
        self.session.body_bytes_read()
    }

    fn digest(&self) -> Option<&Digest> {
        self.session.digest()
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        self.session.digest_mut()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.session.client_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.session.server_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        self.session.pseudo_raw_h1_request_header()
    }

    fn enable_retry_buffering(&mut self) {
        self.again.get_or_insert_with(|| FixedBuffer::new(AGAIN));
    }

    fn retry_buffer_truncated(&self) -> bool {
        self.again.as_ref().is_some_and(FixedBuffer::is_truncated)
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        self.again.as_ref().filter(|again| !again.is_truncated())?.get_buffer()
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(&mut self) -> Option<Messages> {
        None
    }

    fn restore_custom_message_reader(&mut self, _: Messages) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }
}
