//! A client's HTTP/2 connection: its streams are judged, counted and handed to the application one by one.
//!
//! Our own accept loop over Pingora's sessions, because Pingora's ends no connection when another process takes over,
//! knows nothing of our connection, and has no limit on the time of a body.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::header;
use pingora::apps::HttpServerApp;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Accept, H2Options, HttpSession, default_h2_options, handshake};
use pingora::protocols::{Digest, GetSocketDigest as _};
use pingora::server::ShutdownWatch;
use tokio::time::{Instant, sleep, timeout};

use super::acceptance::Accepting;
use super::body_clock::BodyClock;
use super::buffered::Buffered;
use super::buffers::Buffers;
use super::connection::Connection;
use super::counts::{Counts, add};
use super::door::Bounds;
use super::head::{HeadLimits, Rejection};
use super::outgoing::Holding;
use super::pages::Page;
use super::stream::ClientStream;

/// Requests that no application may see, on one connection; then it is closed.
const MAX_MALFORMED: usize = 32;
/// For the farewell of a connection that is closed because nothing happens on it.
const FAREWELL: Duration = Duration::from_secs(1);
/// Bytes of request bodies on a connection that wait for the application, over all streams.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Streams that a client has reset and that we have not noticed yet.
const PENDING_RESETS: usize = 20;

/// Bounds on HTTP/2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Http2Bounds {
    /// Whether it is spoken in cleartext, by clients that know (RFC 9113 section 3.3).
    pub cleartext: bool,
    /// Streams that are open at once.
    pub streams: u32,
    /// Bytes of a request's body that wait for the application.
    pub window: u32,
    /// Bytes of a response that wait for the client.
    pub send_buffer: usize,
    /// Between two pieces of a request's body.
    pub body_timeout: Duration,
    /// Without any stream or frame of gRPC, where both sides may be silent for long.
    pub silence: Duration,
}

impl Default for Http2Bounds {
    fn default() -> Self {
        Self {
            cleartext: false,
            streams: 100,
            window: 64 * 1024,
            send_buffer: 64 * 1024,
            body_timeout: Duration::from_secs(60),
            silence: Duration::from_secs(3600),
        }
    }
}

/// What a request of HTTP/2 brings along for the application, as an extension of its head.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Its connection.
    pub connection: Arc<Connection>,
    /// To be told of its body, if it has one.
    pub body: Option<Arc<BodyClock>>,
}

/// One connection, served until it ends.
pub(super) struct Http2<'d, A> {
    pub(super) app: &'d Arc<A>,
    pub(super) connection: Arc<Connection>,
    pub(super) bounds: Bounds,
    pub(super) http2: Http2Bounds,
    pub(super) counts: &'d Arc<Counts>,
    pub(super) shutdown: ShutdownWatch,
}

/// Streams that are open, to know when none is.
#[derive(Clone, Debug, Default)]
pub(super) struct Open(Arc<AtomicUsize>);

impl<A: HttpServerApp + Send + Sync + 'static> Http2<'_, A> {
    /// Serves it until it ends.
    pub(super) async fn serve(self, stream: Box<ClientStream>) {
        let digest = Arc::new(Digest { socket_digest: stream.get_socket_digest(), ..Digest::default() });
        // The client's preface and settings are its head.
        let handshake = timeout(self.bounds.head_timeout, handshake(stream, Some(self.options())));
        let Ok(Ok(mut frames)) = handshake.await else {
            add(&self.counts.handshake_failed);
            return;
        };
        let mut acceptance = self.connection.listener.acceptance.subscribe();
        let mut shutdown = self.shutdown.clone();
        let mut leave = pin!(async move {
            tokio::select! {
                _ = shutdown.wait_for(|stopping| *stopping) => {}
                _ = acceptance.wait_for(|accepting| *accepting != Accepting::Yes) => {}
            }
        });
        let mut idle = pin!(sleep(self.bounds.idle));
        let (open, mut leaving, mut malformed) = (Open::default(), false, 0);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut leave, if !leaving => {
                    // Streams that are open finish, and so do those that the client opens before it hears of this
                    // (RFC 9113 section 6.8).
                    leaving = true;
                    frames.graceful_shutdown();
                    idle.as_mut().reset(Instant::now() + self.bounds.idle);
                    continue;
                }
                accepted = HttpSession::from_h2_conn(&mut frames, Arc::clone(&digest)) => accepted,
                () = &mut idle => {
                    if open.any() {
                        idle.as_mut().reset(Instant::now() + self.bounds.idle);
                    } else if leaving {
                        return;
                    } else {
                        leaving = true;
                        frames.graceful_shutdown();
                        idle.as_mut().reset(Instant::now() + FAREWELL);
                    }
                    continue;
                }
            };
            match accepted {
                Ok(Some(H2Accept::Session(session))) => self.take(session, &open),
                Ok(Some(H2Accept::Rejected)) => {
                    add(&self.counts.refused_unseen);
                    malformed += 1;
                    if malformed >= MAX_MALFORMED {
                        return;
                    }
                }
                // It has ended, in peace or not.
                Ok(None) | Err(_) => return,
            }
            idle.as_mut().reset(Instant::now() + self.bounds.idle);
        }
    }

    fn options(&self) -> H2Options {
        let mut options = default_h2_options();
        options
            .max_concurrent_streams(self.http2.streams)
            .max_header_list_size(u32::try_from(self.bounds.head.bytes).unwrap_or(u32::MAX))
            .initial_window_size(self.http2.window)
            .initial_connection_window_size(CONNECTION_WINDOW.max(self.http2.window))
            .max_send_buffer_size(self.http2.send_buffer)
            .max_pending_accept_reset_streams(PENDING_RESETS);
        options
    }

    /// Hands one request to the application, in a task of its own on this thread.
    fn take(&self, mut session: HttpSession, open: &Open) {
        let connection = Arc::clone(&self.connection);
        if let Err(rejection) = judge(session.req_header(), &self.bounds.head) {
            add(&self.counts.rejected);
            return refuse(session, rejection, connection, self.bounds.write);
        }
        join_cookies(session.req_header_mut());
        let served = Served {
            app: Arc::clone(self.app),
            connection,
            bounds: self.bounds,
            http2: self.http2,
            counts: Arc::clone(self.counts),
            shutdown: self.shutdown.clone(),
        };
        let buffers = self.connection.listener.buffers.load_full();
        let (place, open) = (open.enter(), open.clone());
        tokio::spawn(async move {
            let _place = place;
            match buffers {
                Some(buffers) => Box::pin(served.serve_buffered(session, &buffers, open)).await,
                None => {
                    let has_body = !session.is_body_done();
                    served.serve(ServerSession::new_http2(session), has_body).await;
                }
            }
        });
    }
}

/// What one request is served with.
struct Served<A> {
    app: Arc<A>,
    connection: Arc<Connection>,
    bounds: Bounds,
    http2: Http2Bounds,
    counts: Arc<Counts>,
    shutdown: ShutdownWatch,
}

impl<A: HttpServerApp + Send + Sync + 'static> Served<A> {
    /// Reads its body first, and holds the response, as the listener says.
    async fn serve_buffered(self, session: HttpSession, buffers: &Buffers, open: Open) {
        let (limit, slowest) = (self.bounds.write, self.bounds.slowest);
        let holding = buffers.response.map(|bytes| Holding {
            limit: bytes,
            memory: Arc::clone(&buffers.memory),
            patience: limit,
            slowest: slowest.reader,
            open,
        });
        let mut has_body = !session.is_body_done();
        // Messages of gRPC are answered one by one.
        let gathering = buffers.request.as_ref().filter(|_| has_body && !is_grpc(session.req_header()));
        let mut session = Buffered::new(session, holding);
        if let Some(gathering) = gathering {
            let most = self.bounds.head.body_bytes;
            match session.gather(gathering, self.http2.body_timeout, slowest.body, most).await {
                // Nobody waits for more of it.
                Ok(whole) => has_body = !whole,
                Err(error) => {
                    let Some(rejection) = Rejection::of(&error) else { return };
                    let timed_out = rejection == Rejection::TimedOut;
                    add(if timed_out { &self.counts.timed_out } else { &self.counts.rejected });
                    return refuse(session.into_inner(), rejection, self.connection, limit);
                }
            }
        }
        self.serve(ServerSession::new_custom(Box::new(session)), has_body).await;
    }

    /// Serves it; a body that is to come is bounded in time.
    async fn serve(self, mut session: ServerSession, has_body: bool) {
        let head = session.req_header_mut();
        let silence = if is_grpc(head) { self.http2.silence } else { self.http2.body_timeout };
        let body = has_body.then(|| Arc::new(BodyClock::new()));
        head.extensions_mut().insert(Stream { connection: self.connection, body: body.clone() });
        let served = self.app.process_new_http(session, &self.shutdown);
        match body {
            None => _ = served.await,
            Some(body) => tokio::select! {
                _ = served => {}
                // Dropped, and so reset.
                () = body.stands_still(silence) => add(&self.counts.timed_out),
            },
        }
    }
}

/// Answers a request that goes no further, with the listener's page where there is one.
fn refuse(mut session: HttpSession, rejection: Rejection, connection: Arc<Connection>, limit: Duration) {
    let code = rejection.status().0;
    let pages = connection.listener.pages.load_full();
    let Some(page) = pages.and_then(|pages| pages.of(code).cloned()) else {
        return sent(refusal(&mut session, code, None));
    };
    // The client's window may be small.
    tokio::spawn(async move {
        sent(refusal(&mut session, code, Some(&page)));
        // Dropped, and so reset, if the client takes none of it.
        if let Ok(written) = timeout(limit, session.write_body(page.body, true)).await {
            sent(written);
        }
    });
}

impl Open {
    fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    pub(super) fn enter(&self) -> Place {
        self.0.fetch_add(1, Ordering::Relaxed);
        Place(self.clone())
    }
}

/// The place of an open stream; given back when dropped.
pub(super) struct Place(Open);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The same bounds as for HTTP/1. That of all fields together is the parser's.
fn judge(head: &RequestHeader, limits: &HeadLimits) -> Result<(), Rejection> {
    if head.raw_path().len() > limits.target_bytes {
        return Err(Rejection::TargetTooLong);
    }
    if head.headers.len() > limits.fields {
        return Err(Rejection::FieldsTooLarge);
    }
    // The parser has judged everything else that RFC 9113 section 8.2.1 asks for.
    if head.headers.values().any(|value| has_blank_ends(value.as_bytes())) {
        return Err(Rejection::Malformed("a field value begins or ends with a blank"));
    }
    let length = head.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = length.and_then(|length| length.trim().parse::<u64>().ok());
    match (length, limits.body_bytes) {
        (Some(length), Some(limit)) if length > limit => Err(Rejection::BodyTooLarge),
        _ => Ok(()),
    }
}

fn has_blank_ends(value: &[u8]) -> bool {
    matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t'])
}

/// The head of a refusal, and all of it where there is no page.
fn refusal(session: &mut HttpSession, code: u16, page: Option<&Page>) -> pingora::Result<()> {
    let mut head = ResponseHeader::build(code, Some(3))?;
    head.insert_header(header::CONTENT_LENGTH, page.map_or(0, |page| page.body.len()))?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    if let Some(page) = page {
        head.insert_header(header::CONTENT_TYPE, page.media_type.clone())?;
    }
    session.write_response_header(Box::new(head), page.is_none())
}

fn sent(refusal: pingora::Result<()>) {
    if let Err(error) = refusal {
        log::debug!("a refusal could not be sent: {error}");
    }
}

/// Browsers split the field at will; everything behind us reads one (RFC 9113 section 8.2.3).
fn join_cookies(head: &mut RequestHeader) {
    let mut crumbs = head.headers.get_all(header::COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    if let Err(error) = head.insert_header(header::COOKIE, joined) {
        log::debug!("cookies could not be joined: {error}");
    }
}

/// Whether both sides may be silent for long in the midst of a body.
fn is_grpc(head: &RequestHeader) -> bool {
    let kind = head.headers.get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}
