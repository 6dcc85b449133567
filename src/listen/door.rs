//! The front door: one client's connection, request by request.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::BytesMut;
use pingora::apps::HttpServerApp;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::buffers::Slowest;
use super::connection::{Connection, ListenerFacts};
use super::counts::{Counts, add};
use super::gather;
use super::head::{Framing, Head, HeadLimits, Rejection, inspect, leading_blank};
use super::http2::Http2;
use super::protocols::Protocols;
use super::stream::ClientStream;
use super::welcome::{Welcomed, welcome};

/// Room for a request's head at first; it grows as far as the limit allows.
const FIRST_READ: usize = 2048;
/// How long, and how far, a refused client is listened to, so that it can read the answer before a reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;
/// For a request that is on its way while the server stops.
const LAST_WORD: Duration = Duration::from_millis(50);

/// What a client of HTTP/2 begins with (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bounds on what a client may send and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Of a request's head.
    pub head: HeadLimits,
    /// From a request's first byte to the end of its head.
    pub head_timeout: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Open connections.
    pub connections: usize,
    /// Between two reads of a request's body, where it is gathered.
    pub body: Duration,
    /// That a client may read nothing of a response that is held for it.
    pub write: Duration,
    /// The slowest that a client may be.
    pub slowest: Slowest,
}

/// The door of one listener, before an application.
#[derive(Debug)]
pub struct Door<A> {
    app: Arc<A>,
    facts: Arc<ListenerFacts>,
    /// Read once for each connection.
    bounds: Arc<ArcSwap<Bounds>>,
    /// Read once for each connection, too.
    protocols: Arc<ArcSwap<Protocols>>,
    counts: Arc<Counts>,
}

/// How the wait for a request ended.
enum Arrival {
    Request {
        read: BytesMut,
        head_length: usize,
        framing: Framing,
    },
    /// The preface of HTTP/2.
    Http2(BytesMut),
    Refused(Rejection),
    /// The client left, was idle for too long, or the server is stopping.
    Over,
}

impl<A: HttpServerApp + Send + Sync + 'static> Door<A> {
    /// A door for one listener.
    pub fn new(
        app: Arc<A>,
        facts: Arc<ListenerFacts>,
        bounds: Bounds,
        protocols: Protocols,
        counts: Arc<Counts>,
    ) -> Self {
        let bounds = Arc::new(ArcSwap::from_pointee(bounds));
        Self { app, facts, bounds, protocols: Arc::new(ArcSwap::from_pointee(protocols)), counts }
    }

    /// What new connections go by; may be replaced at any time.
    pub fn bounds(&self) -> &Arc<ArcSwap<Bounds>> {
        &self.bounds
    }

    /// What new connections speak; may be replaced at any time.
    pub fn protocols(&self) -> &Arc<ArcSwap<Protocols>> {
        &self.protocols
    }

    /// Counts of this listener.
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// What all connections of this listener have in common.
    pub fn facts(&self) -> &Arc<ListenerFacts> {
        &self.facts
    }

    /// Open connections that are allowed at once.
    pub fn connection_limit(&self) -> usize {
        self.bounds.load().connections
    }

    /// The application behind it.
    pub fn app(&self) -> &Arc<A> {
        &self.app
    }

    /// Serves a connection until it ends.
    pub async fn serve(&self, tcp: TcpStream, shutdown: ShutdownWatch) {
        let Ok(peer) = tcp.peer_addr() else { return };
        let socket_peer = peer.ip();
        let protocols = self.protocols.load_full();
        let Some(Welcomed { transport, peer, secured }) = (match protocols.begin_at_once(peer.ip()) {
            true => Some(Welcomed::at_once(tcp, peer)),
            // Its room is given back before the first request is waited for.
            false => Box::pin(welcome(tcp, peer, &protocols, &self.counts)).await,
        }) else {
            return;
        };
        // The PROXY protocol has told who it is.
        let counted = if peer.ip() == socket_peer { None } else { Some(self.facts.clients.enter(peer.ip())) };
        if matches!(counted, Some(None)) {
            return;
        }
        let (http2, knows) = (protocols.http2, secured.is_none() && protocols.http2.cleartext);
        drop(protocols);
        let agreed = secured.as_ref().is_some_and(|secured| secured.http2);
        let connection = Arc::new(Connection::new(Arc::clone(&self.facts), peer, secured));
        let mut stream = Box::new(ClientStream::new(transport));
        let bounds = **self.bounds.load();
        let buffers = self.facts.buffers.load_full();
        stream.bound(bounds.slowest);
        if let Some(buffers) = &buffers
            && let Some(limit) = buffers.response
        {
            stream.hold_responses(limit, &buffers.memory, bounds.write);
        }
        let http2 = |read: BytesMut, mut stream: Box<ClientStream>, connection, shutdown| {
            stream.begin_http2(read);
            let http2 = Http2 { app: &self.app, connection, bounds, http2, counts: &self.counts, shutdown };
            Box::pin(http2.serve(stream))
        };
        if agreed {
            return http2(BytesMut::new(), stream, connection, shutdown).await;
        }
        // Both stay registered from one request to the next, which is cheaper than doing it anew.
        let mut idle = pin!(sleep(bounds.idle));
        let mut stopping = pin!(stop(shutdown.clone()));
        loop {
            let first = knows && connection.requests() == 0;
            let arrival = arrival(&mut stream, &bounds, first, idle.as_mut(), stopping.as_mut());
            let (read, head_length, framing) = match arrival.await {
                Arrival::Request { read, head_length, framing } => (read, head_length, framing),
                Arrival::Http2(read) => return http2(read, stream, connection, shutdown).await,
                Arrival::Refused(rejection) => return self.refuse(&mut stream, rejection, peer).await,
                Arrival::Over => return,
            };
            let Ok(mut message) = stream.begin(read, head_length, framing) else {
                return self.refuse(&mut stream, Rejection::Malformed("bad chunks"), peer).await;
            };
            if let Some(gathering) = buffers.as_ref().and_then(|buffers| buffers.request.as_ref())
                && framing.has_body()
            {
                let begun = message.split_off(head_length);
                if let Err(error) = gather::ahead(&mut stream, &message, begun, gathering, bounds.body).await
                {
                    if let Some(rejection) = Rejection::of(&error) {
                        self.refuse(&mut stream, rejection, peer).await;
                    }
                    return;
                }
            }
            match self.pass_on(stream, message, bounds.idle, &connection, &shutdown).await {
                // The wait for a stop has ended and cannot be begun anew.
                Some(_) if *shutdown.borrow() => return,
                Some(next) => stream = next,
                None => return,
            }
        }
    }

    /// Hands one request to the application; gives the connection back if it can serve another.
    async fn pass_on(
        &self,
        stream: Box<ClientStream>,
        message: BytesMut,
        idle: Duration,
        connection: &Arc<Connection>,
        shutdown: &ShutdownWatch,
    ) -> Option<Box<ClientStream>> {
        let before = connection.requests();
        let mut session = ServerSession::new_http1(stream);
        // Any HTTP/1.1 request makes it endless again; the wait between requests is ours alone.
        session.set_keepalive(self.facts.acceptance.keeps_connections().then(|| idle.as_secs().max(1)));
        session.set_connection_user_context(Some(Box::new(Arc::clone(connection))));
        session.set_pipelined_prefix(message);
        let reused = self.app.process_new_http(session, shutdown).await;
        if connection.requests() == before {
            add(&self.counts.refused_unseen);
        }
        let (stream, _) = reused?.consume();
        let stream = stream.into_any().downcast::<ClientStream>().ok()?;
        // A response that came before the end of its request leaves a connection that nobody can read.
        if !stream.message_ended() {
            return None;
        }
        let mut stream = stream;
        // By now no backend waits for it.
        stream.send_held().await.is_ok().then_some(stream)
    }

    /// Answers a request that goes no further, and closes.
    async fn refuse(&self, stream: &mut ClientStream, rejection: Rejection, peer: std::net::SocketAddr) {
        add(if rejection == Rejection::TimedOut { &self.counts.timed_out } else { &self.counts.rejected });
        log::debug!("{}: refused a request from {peer}: {}", self.facts.name, rejection.detail());
        let (code, phrase) = rejection.status();
        let pages = self.facts.pages.load();
        let page = pages.as_ref().and_then(|pages| pages.of(code));
        let line = format!("{code} {phrase}\n");
        let (kind, body) = match page {
            Some(page) => (page.media_type.as_bytes(), &*page.body),
            None => (&b"text/plain"[..], line.as_bytes()),
        };
        let head = format!(
            "HTTP/1.1 {code} {phrase}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\nContent-Type: ",
            body.len()
        );
        let answer = [head.as_bytes(), kind, b"\r\n\r\n", body].concat();
        let answered = timeout(LINGER, async {
            stream.write_all(&answer).await?;
            AsyncWriteExt::shutdown(stream).await
        });
        if !matches!(answered.await, Ok(Ok(()))) {
            return;
        }
        // RFC 9112 section 9.6: read on for a while, or a reset destroys the answer.
        let _ = timeout(LINGER, async {
            let mut left = LINGER_BYTES;
            let mut buffer = [0; 2048];
            while left > 0 {
                // Past all framing.
                match stream.transport().read(&mut buffer).await {
                    Ok(0) | Err(_) => return,
                    Ok(read) => left = left.saturating_sub(read),
                }
            }
        })
        .await;
    }
}

/// Waits for a request: without a buffer until its first byte, then until its head is whole.
async fn arrival(
    stream: &mut ClientStream,
    bounds: &Bounds,
    http2: bool,
    mut idle: Pin<&mut Sleep>,
    stopping: Pin<&mut impl Future<Output = ()>>,
) -> Arrival {
    let mut read = stream.take_ahead();
    if read.is_empty() {
        idle.as_mut().reset(Instant::now() + bounds.idle);
        let ready = tokio::select! {
            biased;
            ready = stream.transport().readable(&mut read) => ready.is_ok(),
            // What was on its way when the stop came is still served.
            () = stopping => {
                matches!(timeout(LAST_WORD, stream.transport().readable(&mut read)).await, Ok(Ok(_)))
            }
            () = idle => false,
        };
        if !ready {
            return Arrival::Over;
        }
        read.reserve(FIRST_READ);
    }
    let mut searched = 0;
    // Its clock runs from the first wait within a head, and most heads arrive whole.
    let mut late = pin!(async { sleep(bounds.head_timeout).await });
    loop {
        if http2 && PREFACE.starts_with(read.get(..PREFACE.len()).unwrap_or(&read)) {
            // All of it, or nothing else: no request of HTTP/1 begins like that.
            if read.len() >= PREFACE.len() {
                return Arrival::Http2(read);
            }
        } else if searched < read.len() {
            let blank = leading_blank(&read);
            if blank > 0 && searched == 0 {
                let _ = read.split_to(blank);
            }
            match inspect(&read, searched, &bounds.head) {
                Ok(Head::Whole { length, framing }) => {
                    return Arrival::Request { read, head_length: length, framing };
                }
                Ok(Head::Partial) => searched = read.len(),
                Err(rejection) => return Arrival::Refused(rejection),
            }
        }
        // By `poll_read`, which knows that a short read has emptied the socket, and saves whoever polls next
        // a read in vain.
        tokio::select! {
            biased;
            result = stream.transport().read_buf(&mut read) => match result {
                Ok(0) | Err(_) => return Arrival::Over,
                Ok(_) => {}
            },
            // Nothing came after the wake-up: as good as idle.
            () = &mut late => return match read.is_empty() {
                true => Arrival::Over,
                false => Arrival::Refused(Rejection::TimedOut),
            },
        }
    }
}

/// Ends when the server stops.
async fn stop(mut shutdown: ShutdownWatch) {
    let _ = shutdown.wait_for(|stopping| *stopping).await;
}
