//! A client as browsers are: a cookie jar, a kept connection, and one more try where a kept one was closed.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use cookie_store::{CookieStore, RawCookie};
use socket2::{Domain, Socket, Type};
use tokio::time::timeout;
use url::Url;

use crate::contender::Failure;
use crate::judge::{Judge, Seen};

/// As long as a patient user waits.
const PATIENCE: Duration = Duration::from_secs(20);
const SESSION: &str = "JSESSIONID";

/// What of its cookies a client sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Holds {
    /// All.
    All,
    /// The application's cookie only.
    Application,
    /// All but the application's.
    Balancer,
    /// None; it follows links with `;jsessionid=`.
    Path,
}

/// A client.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) balancer: SocketAddr,
    pub(crate) holds: Holds,
    /// The address that its connections come from.
    pub(crate) source: Ipv4Addr,
    pub(crate) agent: String,
    pub(crate) jar: CookieStore,
    /// The last session that a response named, by context.
    path_session: Option<String>,
    judge: Arc<Judge>,
    connection: Kept,
}

/// A kept connection; a copy of a client begins without one.
#[derive(Default)]
struct Kept(Option<TcpStream>);

impl Clone for Kept {
    fn clone(&self) -> Self {
        Self(None)
    }
}

/// A response.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) seen: Seen,
}

impl Response {
    /// What a head says of the server and the session.
    fn new(status: u16, head: String) -> Self {
        let mut response = Self { status, head, seen: Seen::default() };
        let text = |name| response.fields(name).next().unwrap_or_default().to_owned();
        let session = Some(text("x-session")).filter(|session| !session.is_empty());
        let (verdict, server, boot) = (text("x-presented"), text("x-server"), text("x-boot"));
        response.seen = Seen { verdict, server, boot, session, ..Seen::default() };
        response
    }

    /// The values of a header field.
    pub(crate) fn fields<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Client {
    pub(crate) fn new(number: usize, balancer: SocketAddr, judge: &Arc<Judge>) -> Self {
        Self {
            balancer,
            holds: Holds::All,
            source: Ipv4Addr::LOCALHOST,
            agent: format!("survivor {number}"),
            jar: CookieStore::default(),
            path_session: None,
            judge: Arc::clone(judge),
            connection: Kept(None),
        }
    }

    /// Sends a GET and hands the response to the judge; `None`: it failed, and the judge knows.
    pub(crate) fn get(&mut self, path: &str) -> Option<Response> {
        let presented = self.presented(path);
        if let Some(session) =
            presented.as_ref().filter(|_| path.ends_with("/login") || path.ends_with("/logout"))
        {
            self.judge.over(session);
        }
        match self.exchange(path, "") {
            Ok(mut response) if response.status < 500 => {
                response.seen.ends = path.ends_with("/login") || path.ends_with("/logout");
                response.seen.presented = presented;
                self.keep(path, &response);
                self.judge.see(&response.seen);
                Some(response)
            }
            Ok(response) => {
                self.judge.error(&format!("{path}: {}", response.status));
                None
            }
            Err(error) => {
                self.judge.error(&format!("{path}: {error}"));
                None
            }
        }
    }

    /// Sends that many requests at once on one new connection of HTTP/2, each with the cookies of now, and takes the answers
    /// that come.
    pub(crate) fn streams(&mut self, path: &str, count: usize) -> Vec<Response> {
        let presented = self.presented(path);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let answers = runtime.map_err(Failure::from).and_then(|runtime| {
            runtime.block_on(async { timeout(PATIENCE, self.on_http2(path, count)).await? })
        });
        let mut answers = match answers {
            Ok(answers) => answers,
            Err(error) => {
                self.judge.error(&format!("{path}: {error}"));
                return Vec::new();
            }
        };
        for answer in &mut answers {
            answer.seen.presented.clone_from(&presented);
            self.keep(path, answer);
            if answer.status < 500 {
                self.judge.see(&answer.seen);
            } else {
                self.judge.error(&format!("{path}: {}", answer.status));
            }
        }
        answers
    }

    async fn on_http2(&self, path: &str, count: usize) -> Result<Vec<Response>, Failure> {
        let stream = self.connect()?;
        stream.set_nonblocking(true)?;
        let (send, connection) = h2::client::handshake(tokio::net::TcpStream::from_std(stream)?).await?;
        tokio::spawn(connection);
        let mut waiting = Vec::new();
        for _ in 0..count {
            let url = url(path).ok_or("no path")?;
            let mut request = http::Request::get(url.as_str()).header("user-agent", &self.agent);
            // In crumbs, as browsers send them.
            for (name, value) in self.jar.get_request_values(&url).filter(|(name, _)| self.sends(name)) {
                request = request.header("cookie", format!("{name}={value}"));
            }
            let mut send = send.clone().ready().await?;
            waiting.push(send.send_request(request.body(())?, true)?.0);
        }
        let mut answers = Vec::new();
        for answer in waiting {
            let (head, mut body) = answer.await?.into_parts();
            while let Some(data) = body.data().await {
                body.flow_control().release_capacity(data?.len())?;
            }
            let mut text = format!("HTTP/2 {}\r\n", head.status.as_u16());
            for (name, value) in &head.headers {
                text.push_str(&format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())));
            }
            answers.push(Response::new(head.status.as_u16(), text));
        }
        Ok(answers)
    }

    /// Opens a WebSocket and sends something through it.
    pub(crate) fn web_socket(&mut self) -> Option<Response> {
        self.leave();
        let presented = self.presented("/socket");
        let key = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let opened = self.exchange("/socket", key).and_then(|mut response| {
            response.seen.presented = presented;
            let connection = self.connection.0.as_mut().ok_or("no connection")?;
            connection.write_all(b"hello")?;
            let mut echo = [0; 5];
            connection.read_exact(&mut echo)?;
            Ok(response)
        });
        match opened {
            Ok(response) if response.status == 101 => {
                self.keep("/socket", &response);
                self.judge.see(&response.seen);
                Some(response)
            }
            Ok(response) => {
                self.judge.error(&format!("/socket: {}", response.status));
                None
            }
            Err(error) => {
                self.judge.error(&format!("/socket: {error}"));
                None
            }
        }
    }

    /// Drops its connection.
    pub(crate) fn leave(&mut self) {
        self.connection.0 = None;
    }

    /// The session that it would present on a path.
    pub(crate) fn presented(&self, path: &str) -> Option<String> {
        if self.holds == Holds::Path {
            return self.path_session.clone();
        }
        let url = url(path)?;
        let mut pairs = self.jar.get_request_values(&url);
        pairs.find(|(name, _)| *name == SESSION && self.sends(name)).map(|(_, id)| id.to_owned())
    }

    /// The cookies that are not the application's.
    pub(crate) fn balancer_cookies(&self) -> Vec<(String, String)> {
        let Some(url) = url("/page") else { return Vec::new() };
        let all = self.jar.get_request_values(&url);
        all.filter(|(name, _)| *name != SESSION)
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Puts a cookie into the jar.
    pub(crate) fn set_cookie(&mut self, name: &str, value: &str) {
        if let Some(url) = url("/") {
            let cookie = RawCookie::build((name.to_owned(), value.to_owned())).path("/").build();
            let _ = self.jar.insert_raw(&cookie, &url);
        }
    }

    fn sends(&self, name: &str) -> bool {
        match self.holds {
            Holds::All => true,
            Holds::Application => name == SESSION,
            Holds::Balancer => name != SESSION,
            Holds::Path => false,
        }
    }

    fn keep(&mut self, path: &str, response: &Response) {
        if self.holds == Holds::Path {
            self.path_session = response.seen.session.clone().or_else(|| self.path_session.take());
            return;
        }
        let Some(url) = url(path) else { return };
        for line in response.fields("set-cookie") {
            let _ = self.jar.parse(line, &url);
        }
    }

    fn request(&self, path: &str, more: &str) -> String {
        let target = match &self.path_session {
            Some(id) if self.holds == Holds::Path => format!("{path};jsessionid={id}"),
            _ => path.to_owned(),
        };
        let pairs: Vec<_> = url(path).map_or_else(Vec::new, |url| {
            let all = self.jar.get_request_values(&url);
            all.filter(|(name, _)| self.sends(name)).map(|(name, value)| format!("{name}={value}")).collect()
        });
        let cookie =
            if pairs.is_empty() { String::new() } else { format!("Cookie: {}\r\n", pairs.join("; ")) };
        format!(
            "GET {target} HTTP/1.1\r\nHost: app.example.com\r\nUser-Agent: {}\r\nAccept: */*\r\n{cookie}{more}\r\n",
            self.agent
        )
    }

    fn exchange(&mut self, path: &str, more: &str) -> Result<Response, Failure> {
        let request = self.request(path, more);
        if let Some(kept) = self.connection.0.take() {
            // What every browser does when a kept connection turns out to be closed.
            match self.on(kept, &request) {
                Ok(response) => return Ok(response),
                Err((_, true)) => {}
                Err((error, false)) => return Err(error),
            }
        }
        let fresh = self.connect()?;
        self.on(fresh, &request).map_err(|(error, _)| error)
    }

    fn connect(&self) -> Result<TcpStream, Failure> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(IpAddr::V4(self.source), 0).into())?;
        socket.connect_timeout(&self.balancer.into(), PATIENCE)?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// One exchange on a connection. The error tells whether not one byte of a response had come.
    fn on(&mut self, mut connection: TcpStream, request: &str) -> Result<Response, (Failure, bool)> {
        connection.write_all(request.as_bytes()).map_err(|error| (error.into(), true))?;
        let mut read = Vec::new();
        let end = loop {
            if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            match more(&mut connection, &mut read) {
                Ok(()) => {}
                Err(error) => return Err((error, read.is_empty())),
            }
        };
        let head = String::from_utf8_lossy(read.get(..end).unwrap_or_default()).into_owned();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let response = Response::new(status, head);
        if status != 101 {
            let length =
                response.fields("content-length").find_map(|length| length.parse().ok()).unwrap_or(0_usize);
            while read.len() < end + 4 + length {
                more(&mut connection, &mut read).map_err(|error| (error, false))?;
            }
        }
        if !response.fields("connection").any(|value| value.eq_ignore_ascii_case("close")) {
            self.connection.0 = Some(connection);
        }
        Ok(response)
    }
}

fn more(connection: &mut TcpStream, read: &mut Vec<u8>) -> Result<(), Failure> {
    let mut buffer = [0; 4096];
    match connection.read(&mut buffer)? {
        0 => Err("the connection was closed".into()),
        length => {
            read.extend_from_slice(buffer.get(..length).unwrap_or_default());
            Ok(())
        }
    }
}

fn url(path: &str) -> Option<Url> {
    Url::parse(&format!("http://app.example.com{path}")).ok()
}
