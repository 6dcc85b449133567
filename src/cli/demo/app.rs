//! A small application that keeps its sessions in memory, served by Pingora's own HTTP server.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use http::{Response, StatusCode, header};
use parking_lot::Mutex;
use pingora::apps::ServerApp;
use pingora::apps::http_app::{HttpServer, ServeHttp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::stream::Stream;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::affinity;

/// Sessions that one application keeps; a demonstration needs no more.
const MAX_SESSIONS: usize = 10_000;

/// An application with sessions in memory, that can be stopped and started.
pub(super) struct SessionApp {
    name: &'static str,
    address: SocketAddr,
    sessions: Arc<Sessions>,
    stop: Mutex<watch::Sender<bool>>,
}

struct Sessions {
    server: &'static str,
    /// Session id → requests so far.
    counts: Mutex<HashMap<String, u64>>,
}

impl SessionApp {
    /// Starts it on any free port of this machine.
    pub(super) async fn start(name: &'static str) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let sessions = Arc::new(Sessions { server: name, counts: Mutex::new(HashMap::new()) });
        let stop = serve(listener, Arc::clone(&sessions));
        Ok(Self { name, address, sessions, stop: Mutex::new(stop) })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it, as if its machine were switched off: its sessions are gone.
    fn stop(&self) {
        self.stop.lock().send_replace(true);
        self.sessions.counts.lock().clear();
    }

    /// Starts it again, on the same port.
    async fn restart(&self) -> std::io::Result<()> {
        if !*self.stop.lock().borrow() {
            return Ok(());
        }
        let listener = TcpListener::bind(self.address).await?;
        *self.stop.lock() = serve(listener, Arc::clone(&self.sessions));
        Ok(())
    }
}

fn serve<S: ServeHttp + Send + Sync + 'static>(listener: TcpListener, app: Arc<S>) -> watch::Sender<bool> {
    let (stop, stopping) = watch::channel(false);
    let server = Arc::new(HttpServer::new_app(Shared(app)));
    tokio::spawn(async move {
        let mut stopped = stopping.clone();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stopped.wait_for(|stopped| *stopped) => return,
            };
            let Ok((tcp, _)) = accepted else { continue };
            let (server, shutdown, mut stopped) = (Arc::clone(&server), stopping.clone(), stopping.clone());
            tokio::spawn(async move {
                tokio::select! {
                    _ = server.process_new(Box::new(Stream::from(tcp)), &shutdown) => {}
                    // Running connections break off, too.
                    _ = stopped.wait_for(|stopped| *stopped) => {}
                }
            });
        }
    });
    stop
}

struct Shared<S>(Arc<S>);

#[async_trait]
impl<S: ServeHttp + Send + Sync> ServeHttp for Shared<S> {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        self.0.response(session).await
    }
}

#[async_trait]
impl ServeHttp for Sessions {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let path = head.uri.path().split(';').next().unwrap_or("/");
        if path == "/health" {
            return answer(StatusCode::OK, "fine\n".to_owned(), None);
        }
        let presented = head
            .headers
            .get_all(header::COOKIE)
            .iter()
            .flat_map(|field| affinity::pairs(field.as_bytes()))
            .find(|pair| pair.name == b"JSESSIONID")
            .map(|pair| String::from_utf8_lossy(pair.value).into_owned());
        let mut counts = self.counts.lock();
        let known = presented.clone().filter(|id| counts.contains_key(id));
        match path {
            "/logout" => {
                if let Some(id) = &known {
                    counts.remove(id);
                }
                let gone = "JSESSIONID=; Path=/; Max-Age=0; HttpOnly".to_owned();
                answer(StatusCode::OK, format!("{}: logged out\n", self.server), Some(gone))
            }
            "/" | "/login" => {
                if counts.len() >= MAX_SESSIONS {
                    counts.clear();
                }
                let before = known.as_ref().and_then(|id| counts.get(id).copied()).unwrap_or(0);
                let fresh = known.is_none() || path == "/login";
                let id = match &known {
                    Some(id) if !fresh => id.clone(),
                    _ => format!("{:032X}", rand::random::<u128>()),
                };
                if let Some(old) = known.filter(|_| path == "/login") {
                    counts.remove(&old);
                }
                counts.insert(id.clone(), before + 1);
                let lost = if presented.is_some() && before == 0 {
                    ", and did not know the session presented"
                } else {
                    ""
                };
                let short = id.get(..8).unwrap_or(&id);
                let body = format!("{}: session {short}…, request {}{lost}\n", self.server, before + 1);
                let cookie = fresh.then(|| format!("JSESSIONID={id}; Path=/; HttpOnly"));
                answer(StatusCode::OK, body, cookie)
            }
            _ => answer(StatusCode::NOT_FOUND, "not found\n".to_owned(), None),
        }
    }
}

/// Serves `POST /NAME/stop` and `POST /NAME/start` for all applications, on any free port.
pub(super) async fn serve_control(apps: Vec<Arc<SessionApp>>) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let stop = serve(listener, Arc::new(Control(apps)));
    // Lives as long as the process.
    std::mem::forget(stop);
    Ok(address)
}

struct Control(Vec<Arc<SessionApp>>);

#[async_trait]
impl ServeHttp for Control {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let path = head.uri.path().trim_start_matches('/').to_owned();
        let wanted = path.split_once('/').filter(|_| head.method == http::Method::POST);
        let Some((app, action)) =
            wanted.and_then(|(name, action)| Some((self.0.iter().find(|app| app.name == name)?, action)))
        else {
            return answer(StatusCode::NOT_FOUND, "POST /app1/stop, or /app1/start\n".to_owned(), None);
        };
        match action {
            "stop" => {
                app.stop();
                answer(StatusCode::OK, format!("{} is stopped\n", app.name), None)
            }
            "start" => match app.restart().await {
                Ok(()) => answer(StatusCode::OK, format!("{} is started\n", app.name), None),
                Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"), None),
            },
            _ => answer(StatusCode::NOT_FOUND, "stop or start\n".to_owned(), None),
        }
    }
}

fn answer(status: StatusCode, body: String, cookie: Option<String>) -> Response<Vec<u8>> {
    let mut response = Response::new(body.into_bytes());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    if let Some(cookie) = cookie.and_then(|cookie| header::HeaderValue::try_from(cookie).ok()) {
        headers.append(header::SET_COOKIE, cookie);
    }
    let length = response.body().len();
    response.headers_mut().insert(header::CONTENT_LENGTH, header::HeaderValue::from(length));
    response
}
