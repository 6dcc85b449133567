//! Raw HTTP/1: bytes out, a response in. Nothing is made right on the way.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// A response as it was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let same = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    /// The cookie of that name as a `Cookie` field would carry it.
    pub(crate) fn cookie(&self, prefix: &str) -> Option<String> {
        let line = self.all("set-cookie").into_iter().find(|line| line.starts_with(prefix))?;
        Some(line.split(';').next().unwrap().to_owned())
    }

    /// Both cookies that a first response sets.
    pub(crate) fn cookies(&self) -> String {
        format!("{}; {}", self.cookie("JSESSIONID").unwrap(), self.cookie("steadfast-").unwrap())
    }

    /// `server=NAME` of the body.
    pub(crate) fn server(&self) -> &str {
        self.word("server=")
    }

    /// What follows `key` in the body, up to a blank.
    pub(crate) fn word(&self, key: &str) -> &str {
        self.body
            .split_once(key)
            .unwrap_or_else(|| panic!("{self:?} has no {key}"))
            .1
            .split(' ')
            .next()
            .unwrap()
    }
}

/// What a connection's bytes travel on.
enum Wire {
    Tcp(TcpStream),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

/// A connection to the balancer.
pub(crate) struct Connection {
    stream: Wire,
    read: Vec<u8>,
}

impl Connection {
    /// Connects; a test that waits for more than ten seconds has failed.
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: Wire::Tcp(stream), read: Vec::new() }
    }

    /// Connects from an address of this machine's loopback network.
    pub(crate) fn open_from(address: SocketAddr, from: Ipv4Addr) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(IpAddr::V4(from), 0).into()).unwrap();
        socket.connect(&address.into()).unwrap();
        let stream: TcpStream = socket.into();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { stream: Wire::Tcp(stream), read: Vec::new() }
    }

    /// Over TLS, its handshake done.
    pub(crate) fn over(tls: rustls::StreamOwned<rustls::ClientConnection, TcpStream>) -> Self {
        Self { stream: Wire::Tls(Box::new(tls)), read: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        match &mut self.stream {
            Wire::Tcp(tcp) => tcp.write_all(bytes).unwrap(),
            Wire::Tls(tls) => tls.write_all(bytes).unwrap(),
        }
    }

    /// The same; `None` where the other side has closed already.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> Option<()> {
        match &mut self.stream {
            Wire::Tcp(tcp) => tcp.write_all(bytes).ok(),
            Wire::Tls(tls) => tls.write_all(bytes).ok(),
        }
    }

    /// Says that nothing more will come.
    pub(crate) fn finish(&mut self) {
        match &self.stream {
            Wire::Tcp(tcp) => tcp.shutdown(std::net::Shutdown::Write).unwrap(),
            Wire::Tls(tls) => tls.sock.shutdown(std::net::Shutdown::Write).unwrap(),
        }
    }

    /// The next final response; `None` once the connection has ended.
    pub(crate) fn receive(&mut self) -> Option<Response> {
        loop {
            let response = self.receive_any()?;
            if response.status >= 200 || response.status == 101 {
                return Some(response);
            }
            assert!(response.all("set-cookie").is_empty(), "no cookie on an interim response: {response:?}");
        }
    }

    fn receive_any(&mut self) -> Option<Response> {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.more()?;
        };
        let head: Vec<u8> = self.read.drain(..end).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let header =
            |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut response =
            Response { status, headers: lines.filter_map(header).collect(), body: String::new() };
        let length =
            response.all("content-length").first().and_then(|length| length.parse().ok()).unwrap_or(0);
        while self.read.len() < length {
            self.more()?;
        }
        response.body = String::from_utf8_lossy(&self.read.drain(..length).collect::<Vec<_>>()).into_owned();
        Some(response)
    }

    /// Whatever comes next, as bytes; empty once the connection has ended.
    pub(crate) fn bytes(&mut self) -> Vec<u8> {
        if self.read.is_empty() {
            self.more();
        }
        std::mem::take(&mut self.read)
    }

    fn more(&mut self) -> Option<()> {
        let mut buffer = [0; 8192];
        let read = match &mut self.stream {
            Wire::Tcp(tcp) => tcp.read(&mut buffer),
            Wire::Tls(tls) => tls.read(&mut buffer),
        };
        let length = read.ok().filter(|length| *length > 0)?;
        self.read.extend_from_slice(&buffer[..length]);
        Some(())
    }
}

impl From<TcpStream> for Connection {
    fn from(stream: TcpStream) -> Self {
        Self { stream: Wire::Tcp(stream), read: Vec::new() }
    }
}

/// One request on a connection of its own. `fields` are whole lines without their ends.
pub(crate) fn get(address: SocketAddr, path: &str, fields: &[&str]) -> Response {
    let mut connection = Connection::open(address);
    connection.send(request("GET", path, fields).as_bytes());
    connection.receive().expect("a response")
}

/// A request's bytes.
pub(crate) fn request(method: &str, path: &str, fields: &[&str]) -> String {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nHost: app.test\r\n{fields}\r\n")
}
