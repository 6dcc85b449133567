//! A session application in this process: sessions in memory, as Tomcat keeps them.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A running application; stopped when dropped.
pub(crate) struct App {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    sessions: Mutex<HashMap<String, u64>>,
    connections: Mutex<Vec<TcpStream>>,
    stopped: AtomicBool,
    requests: AtomicU64,
    /// The `User-Agent` of each request.
    agents: Mutex<Vec<String>>,
    ids: AtomicU64,
    /// How `/plain` answers, if not as ever.
    plain: Mutex<Option<String>>,
}

impl App {
    /// Starts it on a port that the kernel gives.
    pub(crate) fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let app =
            Self { name: name.to_owned(), address: listener.local_addr().unwrap(), shared: Arc::default() };
        app.serve(listener);
        app
    }

    /// Stops it: its port refuses, its connections break, its sessions are gone.
    pub(crate) fn stop(&self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, so that it ends and closes the port.
        let _ = TcpStream::connect(self.address);
        for connection in self.shared.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        self.shared.sessions.lock().unwrap().clear();
        while TcpStream::connect(self.address).is_ok() {
            thread::yield_now();
        }
    }

    /// Starts it again on its port.
    pub(crate) fn restart(&self) {
        let socket = std::iter::repeat_with(|| TcpListener::bind(self.address));
        let listener = socket.take(1000).find_map(Result::ok).expect("the port is free again");
        self.shared.stopped.store(false, Ordering::SeqCst);
        self.serve(listener);
    }

    /// From now on `/plain` answers with this status and these fields, each line with its end.
    pub(crate) fn plain_says(&self, start: &str) {
        *self.shared.plain.lock().unwrap() = Some(start.to_owned());
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// The `User-Agent` of each request so far that had one.
    pub(crate) fn agents(&self) -> Vec<String> {
        self.shared.agents.lock().unwrap().clone()
    }

    /// Connections that were ever made to it.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.lock().unwrap().len()
    }

    fn serve(&self, listener: TcpListener) {
        // A burst of connections must not be refused because this thread was not scheduled.
        rustix::net::listen(&listener, 4096).unwrap();
        let (shared, name) = (Arc::clone(&self.shared), self.name.clone());
        thread::spawn(move || {
            for connection in listener.incoming() {
                if shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(connection) = connection else { continue };
                shared.connections.lock().unwrap().push(connection.try_clone().unwrap());
                let (shared, name) = (Arc::clone(&shared), name.clone());
                thread::spawn(move || shared.talk(&name, connection));
            }
        });
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if !self.shared.stopped.load(Ordering::SeqCst) {
            self.stop();
        }
    }
}

impl Shared {
    fn talk(&self, name: &str, mut connection: TcpStream) {
        let mut read = Vec::new();
        while let Some(head) = next_head(&mut connection, &mut read) {
            self.requests.fetch_add(1, Ordering::SeqCst);
            self.agents.lock().unwrap().extend(head.lines().find_map(agent));
            let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
            let body = next_body(&mut connection, &mut read, &head);
            if path.starts_with("/reset") {
                let _ = connection.shutdown(Shutdown::Both);
                return;
            }
            if head.to_ascii_lowercase().contains("upgrade: websocket") {
                let _ = connection.write_all(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
                );
                let mut echo = [0; 1024];
                while let Ok(length @ 1..) = connection.read(&mut echo) {
                    let _ = connection.write_all(&echo[..length]);
                }
                return;
            }
            let answer = self.answer(name, &path, &head, body);
            if connection.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, name: &str, path: &str, head: &str, body: usize) -> String {
        let page = path.split(['?', ';']).next().unwrap_or("/");
        let presented = session_id(path, head);
        // Made before others are kept waiting.
        let long = match page {
            "/leaf" => "x".repeat(300 << 10),
            "/page" => "x".repeat(1 << 20),
            "/big" => "x".repeat(16 << 20),
            _ => String::new(),
        };
        let mut sessions = self.sessions.lock().unwrap();
        let known = presented.clone().filter(|id| sessions.contains_key(id));
        let fresh_id = || format!("{name}-{}", self.ids.fetch_add(1, Ordering::SeqCst));
        let mut lines = String::new();
        let mut text = format!("server={name} body={body}");
        match page {
            "/plain" => {}
            "/leaf" | "/page" | "/big" => text = long,
            "/static" => lines.push_str("Cache-Control: public, max-age=60\r\n"),
            "/early" => lines.push_str("X-Early: 1\r\n"),
            "/hop" => lines.push_str("Keep-Alive: timeout=5\r\nProxy-Connection: x\r\n"),
            "/echo" => text = head.to_owned(),
            "/slow" => thread::sleep(Duration::from_millis(700)),
            "/logout" => {
                if let Some(id) = &known {
                    sessions.remove(id);
                }
                lines.push_str("Set-Cookie: JSESSIONID=; Max-Age=0; Path=/\r\n");
            }
            _ => {
                let count = known.as_ref().and_then(|id| sessions.get(id).copied()).unwrap_or(0) + 1;
                let rotate = page == "/login" || known.is_none();
                let id = if rotate { fresh_id() } else { known.clone().unwrap() };
                if let Some(old) = &known {
                    sessions.remove(old);
                }
                sessions.insert(id.clone(), count);
                text = format!("server={name} session={id} fresh={} count={count}", known.is_none());
                if rotate {
                    let attributes =
                        if page == "/attributes" { "; Secure; SameSite=None; Max-Age=600" } else { "" };
                    if page == "/set3" {
                        lines.push_str("Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n");
                    }
                    lines.push_str(&format!("Set-Cookie: JSESSIONID={id}; Path=/{attributes}\r\n"));
                }
            }
        }
        let early =
            if page == "/early" { "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" } else { "" };
        let said = if page == "/plain" { self.plain.lock().unwrap().clone() } else { None };
        let start = said.unwrap_or_else(|| "200 OK\r\n".to_owned());
        format!("{early}HTTP/1.1 {start}Content-Length: {}\r\n{lines}\r\n{text}", text.len())
    }
}

fn agent(line: &str) -> Option<String> {
    let (name, value) = line.split_once(": ")?;
    name.eq_ignore_ascii_case("user-agent").then(|| value.to_owned())
}

fn session_id(path: &str, head: &str) -> Option<String> {
    let in_path =
        path.split_once(";jsessionid=").map(|(_, id)| id.split(['?', ';', '/']).next().unwrap_or(""));
    let cookies = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
    let mut pairs =
        cookies.flat_map(|(_, value)| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let in_cookie = pairs.find(|(name, _)| *name == "JSESSIONID").map(|(_, id)| id.trim_matches('"'));
    in_cookie.or(in_path).map(str::to_owned)
}

fn next_head(connection: &mut TcpStream, read: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let head: Vec<u8> = read.drain(..end + 4).collect();
            return Some(String::from_utf8_lossy(&head).into_owned());
        }
        more(connection, read)?;
    }
}

/// Reads the body away; gives its length on the wire.
fn next_body(connection: &mut TcpStream, read: &mut Vec<u8>, head: &str) -> usize {
    let head = head.to_ascii_lowercase();
    if head.contains("transfer-encoding: chunked") {
        loop {
            if let Some(end) = read.windows(5).position(|window| window == b"0\r\n\r\n") {
                return read.drain(..end + 5).count();
            }
            if more(connection, read).is_none() {
                return 0;
            }
        }
    }
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok()).unwrap_or(0);
    while read.len() < length {
        if more(connection, read).is_none() {
            return 0;
        }
    }
    read.drain(..length).count()
}

fn more(connection: &mut TcpStream, read: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 8192];
    let length = connection.read(&mut buffer).ok().filter(|length| *length > 0)?;
    read.extend_from_slice(&buffer[..length]);
    Some(())
}
