//! A backend that says how it was spoken to: TLS or not, HTTP/1.1 or HTTP/2, with a header of the PROXY protocol or without.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, Request, Response};
use rustls::ServerConfig;
use steadfast::listen::{ProxyHeader, read_proxy_header};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How it wants to be spoken to.
#[derive(Clone, Default)]
pub(crate) struct Spoken {
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) proxy: bool,
    pub(crate) http2: bool,
}

/// A running backend; stopped when dropped.
pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) facts: Arc<Facts>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

/// What happened at it.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) connections: AtomicU64,
    pub(crate) requests: AtomicU64,
    /// Streams of HTTP/2 are refused, unseen.
    pub(crate) refuses: AtomicBool,
}

impl Backend {
    pub(crate) fn start(name: &str, spoken: Spoken) -> Self {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        socket.set_nonblocking(true).unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (name, facts) = (name.to_owned(), Arc::new(Facts::default()));
        let talker = Talker { name: name.clone(), spoken, facts: Arc::clone(&facts) };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(socket).unwrap();
                let accepting = async {
                    while let Ok((tcp, _)) = listener.accept().await {
                        tokio::spawn(talker.clone().talk(tcp));
                    }
                };
                tokio::select! {
                    () = accepting => {}
                    _ = stopped => {}
                }
            });
        });
        Self { name, address, facts, _stop: stop }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.facts.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> u64 {
        self.facts.connections.load(Ordering::SeqCst)
    }
}

#[derive(Clone)]
struct Talker {
    name: String,
    spoken: Spoken,
    facts: Arc<Facts>,
}

impl Talker {
    async fn talk(self, mut tcp: TcpStream) -> Option<()> {
        let number = self.facts.connections.fetch_add(1, Ordering::SeqCst) + 1;
        let mut about = format!("server={} connection={number}", self.name);
        if self.spoken.proxy {
            match read_proxy_header(&mut tcp, Duration::from_secs(10)).await.ok()? {
                ProxyHeader::Client { source, .. } => about += &format!(" source={source}"),
                ProxyHeader::Itself => about += " source=itself",
            }
        }
        let Some(config) = self.spoken.tls.clone() else {
            return if self.spoken.http2 {
                self.http2(tcp, about).await
            } else {
                self.http1(tcp, about).await
            };
        };
        let tls = tokio_rustls::TlsAcceptor::from(config).accept(tcp).await.ok()?;
        let session = tls.get_ref().1;
        about += &format!(" sni={}", session.server_name().unwrap_or("none"));
        let shown = session.peer_certificates().and_then(|chain| steadfast::tls::subject_of(&chain[0]));
        about += &format!(" client={}", shown.unwrap_or_else(|| "none".to_owned()));
        if session.alpn_protocol() == Some(b"h2") {
            self.http2(tls, about).await
        } else {
            self.http1(tls, about).await
        }
    }

    async fn http1(self, mut stream: impl AsyncRead + AsyncWrite + Unpin, about: String) -> Option<()> {
        let mut read = Vec::new();
        loop {
            while !read.windows(4).any(|window| window == b"\r\n\r\n") {
                if stream.read_buf(&mut read).await.ok()? == 0 {
                    return None;
                }
            }
            self.facts.requests.fetch_add(1, Ordering::SeqCst);
            let head = String::from_utf8_lossy(&read).into_owned();
            read.clear();
            if head.to_lowercase().contains("upgrade: websocket") {
                let switch =
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                stream.write_all(switch.as_bytes()).await.ok()?;
                loop {
                    let mut bytes = [0; 1024];
                    let length = stream.read(&mut bytes).await.ok().filter(|length| *length > 0)?;
                    stream.write_all(&bytes[..length]).await.ok()?;
                }
            }
            if head.starts_with("GET /events ") {
                let start = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
                stream.write_all(start.as_bytes()).await.ok()?;
                for event in 0..3 {
                    let text = format!("data: {event}\n\n");
                    let chunk = format!("{:x}\r\n{text}\r\n", text.len());
                    stream.write_all(chunk.as_bytes()).await.ok()?;
                    stream.flush().await.ok()?;
                    tokio::time::sleep(Duration::from_millis(400)).await;
                }
                stream.write_all(b"0\r\n\r\n").await.ok()?;
                continue;
            }
            let text = format!("{about} http=h1\n{head}");
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
            stream.write_all(answer.as_bytes()).await.ok()?;
            stream.flush().await.ok()?;
        }
    }

    async fn http2(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        about: String,
    ) -> Option<()> {
        let mut connection = h2::server::handshake(stream).await.ok()?;
        while let Some(accepted) = connection.accept().await {
            let (request, mut respond) = accepted.ok()?;
            self.facts.requests.fetch_add(1, Ordering::SeqCst);
            if self.facts.refuses.load(Ordering::SeqCst) {
                respond.send_reset(Reason::REFUSED_STREAM);
                continue;
            }
            let about = about.clone();
            tokio::spawn(async move {
                if is_grpc(&request) {
                    grpc(request, respond).await
                } else {
                    plain(request, respond, about).await
                }
            });
        }
        None
    }
}

fn is_grpc<T>(request: &Request<T>) -> bool {
    request.headers().get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

async fn plain(
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    about: String,
) -> Option<()> {
    let (head, mut body) = request.into_parts();
    let mut length = 0;
    while let Some(Ok(data)) = body.data().await {
        length += data.len();
        let _ = body.flow_control().release_capacity(data.len());
    }
    let fields: String =
        head.headers.iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap())).collect();
    let text = format!("{about} http=h2 body={length}\n{} {}\n{fields}", head.method, head.uri);
    let response = Response::builder().header("content-length", text.len()).body(()).unwrap();
    let mut stream = respond.send_response(response, false).ok()?;
    stream.send_data(text.into(), true).ok()
}

/// Gives every message back, each at once, and a status in the trailers.
async fn grpc(request: Request<h2::RecvStream>, mut respond: h2::server::SendResponse<Bytes>) -> Option<()> {
    let te = request.headers().get("te").map_or("none", |te| te.to_str().unwrap()).to_owned();
    let mut body = request.into_body();
    let response = Response::builder().header("content-type", "application/grpc").header("x-te", te);
    let mut stream = respond.send_response(response.body(()).unwrap(), false).ok()?;
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        stream.send_data(data, false).ok()?;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "7".parse().unwrap());
    trailers.insert("grpc-message", "as the backend says".parse().unwrap());
    stream.send_trailers(trailers).ok()
}
