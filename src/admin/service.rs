//! Accepts connections of the admin API, and reads one request from each, within bounds.
//!
//! A service of its own rather than Pingora's listener: that one binds when it is too late for a readable
//! error, opens a socket file to everybody for a moment, and knows no limit of connections.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::stream::Stream;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::answer::{Answer, Refusal};
use super::app::{AdminApp, Reply};
use super::call::Request;
use super::dashboard::POLICY;
use super::events::Listening;
use crate::lifecycle::Heirloom;
use crate::listen::{Acceptance, Accepting, BindError, ListenerFacts, Passage, bind, bind_unix};
use crate::names::{ListenAddress, ListenerName};

/// Who may connect to a socket in the file system.
const OWN_USER: u32 = 0o600;
/// Connections at once; further ones are closed.
const CONNECTIONS: usize = 64;
/// For a request to arrive whole.
const ARRIVAL: Duration = Duration::from_secs(10);
/// For the whole of a connection.
const LIFE: Duration = Duration::from_secs(60);
/// Of a request's body.
const MAX_BODY: usize = 64 * 1024;
/// How long a refused client is listened to, so that it can read the answer before a reset.
const LINGER: Duration = Duration::from_secs(1);
/// Between two looks whether a stopping balancer has become empty.
const PAUSE: Duration = Duration::from_millis(100);

/// Where the admin API is bound.
#[derive(Debug)]
pub(crate) enum AdminSocket {
    /// IP address and port.
    Tcp(std::net::TcpListener),
    /// A socket in the file system.
    Unix(std::os::unix::net::UnixListener),
}

/// The admin API as a service, on one thread of its own.
#[derive(Debug)]
pub(crate) struct AdminService {
    socket: Option<AdminSocket>,
    /// Where it was told to listen.
    address: String,
    facts: Arc<ListenerFacts>,
    app: Arc<AdminApp>,
}

impl AdminSocket {
    /// What a hand-over calls it; no listener can have that name.
    pub(crate) const NAME: &'static str = "admin/";

    /// The socket of the process before, which listens already. Both processes share its non-blocking mode.
    pub(crate) fn inherited(listen: &ListenAddress, socket: OwnedFd) -> Self {
        match listen {
            ListenAddress::Ip(_) => Self::Tcp(socket.into()),
            ListenAddress::Unix(_) => Self::Unix(socket.into()),
        }
    }

    fn second(&self) -> Option<OwnedFd> {
        match self {
            Self::Tcp(socket) => socket.try_clone().ok().map(OwnedFd::from),
            Self::Unix(socket) => socket.try_clone().ok().map(OwnedFd::from),
        }
    }

    /// Binds, so that a failure is a readable error before anything runs.
    ///
    /// # Errors
    /// The address or path cannot be taken; the error says what to do.
    pub(crate) fn bind(listen: &ListenAddress) -> Result<Self, BindError> {
        match listen {
            ListenAddress::Ip(address) => bind(*address).map(Self::Tcp),
            ListenAddress::Unix(path) => bind_unix(path, OWN_USER).map(Self::Unix),
        }
    }

    /// Where it really listens; `None`: a socket in the file system.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

impl std::fmt::Display for AdminSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.address() {
            Some(address) => address.fmt(f),
            None => f.write_str("a socket in the file system"),
        }
    }
}

enum Listener {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

impl AdminService {
    /// Serves `app` on a socket that was bound at `listen`.
    pub(crate) fn new(socket: AdminSocket, listen: &ListenAddress, app: Arc<AdminApp>) -> Self {
        let facts = ListenerFacts {
            name: ListenerName::new(AdminSocket::NAME),
            index: usize::MAX,
            acceptance: Acceptance::default(),
            clients: Arc::default(),
            buffers: Arc::default(),
            pages: Arc::default(),
            passage: Passage::default(),
        };
        Self { socket: Some(socket), address: listen.to_string(), facts: Arc::new(facts), app }
    }

    /// What a successor gets of it.
    pub(crate) fn heirloom(&self) -> Option<Heirloom> {
        let socket = self.socket.as_ref()?.second()?;
        Some(Heirloom { address: self.address.clone(), socket, facts: Arc::clone(&self.facts) })
    }
}

#[async_trait]
impl Service for AdminService {
    async fn start_service(&mut self, _fds: Option<ListenFds>, mut shutdown: ShutdownWatch, _per_fd: usize) {
        let Some(socket) = self.socket.take() else { return };
        let listener = match Listener::new(socket) {
            Ok(listener) => listener,
            Err(error) => return log::error!("admin: cannot accept: {error}"),
        };
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        let mut stopping = false;
        let mut acceptance = self.facts.acceptance.subscribe();
        // Goes on while the balancer stops: whoever waits for the end of a drain asks here.
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept(), if self.facts.acceptance.keeps_connections() => accepted,
                // Another process answers, or this one does again.
                _ = acceptance.changed() => continue,
                _ = shutdown.wait_for(|stopping| *stopping), if !stopping => {
                    stopping = true;
                    self.app.stop();
                    continue;
                }
                () = sleep(PAUSE), if stopping => match self.app.is_empty() {
                    true => return,
                    false => continue,
                },
            };
            match accepted {
                Ok((stream, from)) => {
                    if let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
                        let app = Arc::clone(&self.app);
                        let over = self.facts.acceptance.subscribe();
                        tokio::spawn(async move {
                            let _slot = slot;
                            if let Ok(Some((session, listening))) =
                                timeout(LIFE, serve(app, stream, from)).await
                            {
                                tell(session, listening, over).await;
                            }
                        });
                    }
                }
                Err(error) => {
                    log::warn!("admin: cannot accept: {error}; raise the limit of open files");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn name(&self) -> &str {
        "admin"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        // Says that no inherited socket belongs to this service, so that unclaimed ones are closed.
        Some(Vec::new())
    }
}

impl Listener {
    fn new(socket: AdminSocket) -> std::io::Result<Self> {
        Ok(match socket {
            AdminSocket::Tcp(socket) => Self::Tcp(tokio::net::TcpListener::from_std(socket)?),
            AdminSocket::Unix(socket) => Self::Unix(tokio::net::UnixListener::from_std(socket)?),
        })
    }

    /// A connection, and who is at its other end, for the log.
    async fn accept(&self) -> std::io::Result<(Stream, String)> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                (stream.into(), peer.ip().to_string())
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let user = stream.peer_cred().map(|user| user.uid());
                (stream.into(), user.map_or_else(|_| "the socket".to_owned(), |user| format!("user {user}")))
            }
        })
    }
}

/// Tells events, for as long as the reader wants them.
async fn tell(mut session: ServerSession, listening: Listening, over: watch::Receiver<Accepting>) {
    if let Err(error) = listening.serve(&mut session, over).await {
        log::debug!("admin: a reader of events has gone: {error}");
    }
}

/// Serves one request and closes: whoever administers has no need for speed, and nothing is left open. Only whoever
/// listens to events stays.
async fn serve(app: Arc<AdminApp>, stream: Stream, from: String) -> Option<(ServerSession, Listening)> {
    let mut session = ServerSession::new_http1(Box::new(stream));
    session.set_read_timeout(Some(ARRIVAL));
    session.set_write_timeout(Some(ARRIVAL));
    session.set_total_drain_timeout(Some(LINGER));
    session.set_abort_on_close(false);
    let (is_head, answer) = match timeout(ARRIVAL, read(&mut session)).await {
        Ok(Ok(Some(request))) => {
            let is_head = request.method == Method::HEAD;
            // On a thread where reading files does not hold up others, and where a panic costs one request.
            let replied = tokio::task::spawn_blocking(move || app.reply(&request, &from)).await;
            match replied.unwrap_or_else(|_| Reply::Whole(failed().into())) {
                Reply::Whole(answer) => (is_head, answer),
                Reply::Events(listening) => return Some((session, listening)),
            }
        }
        Ok(Ok(None)) => return None,
        Ok(Err(refusal)) => (false, refusal.into()),
        Err(_) => {
            let help = format!("send it within {} seconds", ARRIVAL.as_secs());
            let refusal =
                Refusal::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the request took too long", help);
            (false, refusal.into())
        }
    };
    if let Err(error) = write(&mut session, answer, is_head).await {
        log::debug!("admin: cannot answer: {error}");
        return None;
    }
    let _ = session.finish().await;
    None
}

/// Reads a request whole; `None`: the client said nothing.
async fn read(session: &mut ServerSession) -> Result<Option<Request>, Refusal> {
    let malformed = |_| {
        Refusal::bad(
            "malformed",
            "the request is not HTTP/1.1 as it should be",
            "see RFC 9112; try it with curl",
        )
    };
    if !session.read_request().await.map_err(malformed)? {
        return Ok(None);
    }
    session.set_keepalive(None);
    if session.req_header().headers.contains_key(header::EXPECT) {
        session.write_continue_response().await.map_err(malformed)?;
    }
    let mut body = Vec::new();
    while let Some(piece) = session.read_request_body().await.map_err(malformed)? {
        if body.len() + piece.len() > MAX_BODY {
            let help = format!("at most {MAX_BODY} bytes are read");
            return Err(Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "the body is too large",
                help,
            ));
        }
        body.extend_from_slice(&piece);
    }
    let head = session.req_header();
    Ok(Some(Request {
        method: head.method.clone(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        headers: head.headers.clone(),
        body,
    }))
}

async fn write(session: &mut ServerSession, answer: Answer, is_head: bool) -> pingora::Result<()> {
    session.set_keepalive(None);
    let mut head = ResponseHeader::build(answer.status, Some(8))?;
    head.insert_header(header::CONTENT_TYPE, answer.content_type)?;
    if answer.is_page {
        head.insert_header(header::CONTENT_SECURITY_POLICY, POLICY)?;
        head.insert_header(header::REFERRER_POLICY, "no-referrer")?;
    }
    head.insert_header(header::CONTENT_LENGTH, answer.body.len())?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    if let Some(allow) = answer.allow {
        head.insert_header(header::ALLOW, allow)?;
    }
    if answer.status == StatusCode::UNAUTHORIZED {
        head.insert_header(header::WWW_AUTHENTICATE, "Bearer realm=\"steadfast\"")?;
    }
    session.write_response_header(Box::new(head)).await?;
    if !is_head {
        session.write_response_body(Bytes::from(answer.body), true).await?;
    }
    Ok(())
}

fn failed() -> Refusal {
    Refusal::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "bug",
        "the request failed in a way that nobody thought of",
        "please report it, with the lines of the log around it",
    )
}
