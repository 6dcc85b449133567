//! A client of the admin API: one request on one connection, over TCP or a socket in the file system.

use std::fmt::Display;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use super::args::Reach;
use crate::admin::Failure;
use crate::config;
use crate::names::ListenAddress;

/// Where the admin API is, when nobody says where.
const DEFAULT: &str = "127.0.0.1:9900";
/// For the connection and each write, and as a rule for each read.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of an answer.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// A balancer's admin API.
pub(super) struct Client {
    address: ListenAddress,
    token: Option<Zeroizing<Vec<u8>>>,
    patience: Duration,
}

/// What an answer comes with.
struct Response {
    status: u16,
    body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("nobody listens on {0}: is `admin:` configured, and is the balancer running?")]
    Nobody(String),
    #[error("{0} does not let you in: run it as the user of the balancer")]
    Forbidden(String),
    #[error("{0} did not answer within {1} seconds: is it Steadfast, and is its machine overloaded?")]
    Slow(String, u64),
    #[error("cannot talk to {0}: {1}")]
    Io(String, std::io::Error),
    #[error("{0} does not speak the admin API of Steadfast: {1}")]
    Foreign(String, String),
    #[error("{0} asks for its token: name the configuration file with -c, or set STEADFAST_ADMIN_TOKEN")]
    NoToken(String),
    #[error("{message}; {help}")]
    Refused { status: u16, message: String, help: String },
}

impl From<ClientError> for String {
    fn from(error: ClientError) -> Self {
        error.to_string()
    }
}

impl Client {
    /// The API at `admin`; else the one that the configuration file names; else that of `STEADFAST_ADMIN`; else
    /// 127.0.0.1:9900. The token is that of the file, or of `STEADFAST_ADMIN_TOKEN`.
    pub(super) fn find(admin: Option<&str>, file: Option<&Path>) -> Result<Self, String> {
        let configured = match file {
            Some(file) => {
                let checked = config::load(file).map_err(|problems| problems.to_string())?;
                let none = || format!("{} configures no admin API: add `admin: {{}}`", file.display());
                match (checked.admin, admin) {
                    (None, None) => return Err(none()),
                    (found, _) => found,
                }
            }
            None => None,
        };
        let (listen, token) = configured.map(|admin| (admin.listen, admin.token)).unzip();
        let address = match (admin, listen) {
            (Some(text), _) => parse(text)?,
            (None, Some(listen)) => reachable(listen),
            (None, None) => match std::env::var("STEADFAST_ADMIN") {
                Ok(text) => parse(&text)?,
                Err(_) => parse(DEFAULT)?,
            },
        };
        let token = match token.flatten() {
            Some(token) => Some(token.0),
            None => {
                std::env::var("STEADFAST_ADMIN_TOKEN").ok().map(|token| Zeroizing::new(token.into_bytes()))
            }
        };
        if token.as_ref().is_some_and(|token| !token.iter().all(u8::is_ascii_graphic)) {
            return Err("STEADFAST_ADMIN_TOKEN is no token: it is one word of visible ASCII".to_owned());
        }
        Ok(Self { address, token, patience: PATIENCE })
    }

    /// The API that a command's arguments lead to.
    pub(super) fn of(reach: &Reach) -> Result<Self, String> {
        Self::find(reach.admin.as_deref(), reach.config.as_deref())
    }

    /// Waits so long for each answer.
    pub(super) fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Asks for what is at a path.
    pub(super) fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, ClientError> {
        self.send("GET", path, None::<&()>)
    }

    /// Sends a request, and reads its answer.
    pub(super) fn send<A: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<A, ClientError> {
        let body = body.map(serde_json::to_vec).transpose().map_err(|error| self.foreign(&error))?;
        let request = self.request(method, path, body.as_deref());
        let response = self.exchange(&request)?;
        if !(200..300).contains(&response.status) {
            if response.status == 401 {
                return Err(ClientError::NoToken(self.address.to_string()));
            }
            let failure = serde_json::from_slice::<Failure>(&response.body);
            let error = failure.map_err(|error| self.foreign(&error))?.error;
            return Err(ClientError::Refused {
                status: response.status,
                message: error.message,
                help: error.help,
            });
        }
        serde_json::from_slice(&response.body).map_err(|error| self.foreign(&error))
    }

    /// An answer, as the type that it should have.
    pub(super) fn understood<A: DeserializeOwned>(&self, answer: Value) -> Result<A, ClientError> {
        serde_json::from_value(answer).map_err(|error| self.foreign(&error))
    }

    pub(super) fn request(&self, method: &str, path: &str, body: Option<&[u8]>) -> Zeroizing<Vec<u8>> {
        let host = match &self.address {
            ListenAddress::Ip(address) => address.to_string(),
            ListenAddress::Unix(_) => "localhost".to_owned(),
        };
        let mut request = Zeroizing::new(Vec::with_capacity(1024));
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAccept: application/json\r\n"
        );
        request.extend_from_slice(head.as_bytes());
        if let Some(token) = &self.token {
            request.extend_from_slice(b"Authorization: Bearer ");
            request.extend_from_slice(token);
            request.extend_from_slice(b"\r\n");
        }
        if let Some(body) = body {
            let fields = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
            request.extend_from_slice(fields.as_bytes());
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body.unwrap_or_default());
        request
    }

    fn exchange(&self, request: &[u8]) -> Result<Response, ClientError> {
        let answer = match &self.address {
            ListenAddress::Ip(address) => TcpStream::connect_timeout(address, PATIENCE).and_then(|stream| {
                stream.set_read_timeout(Some(self.patience))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                talk(stream, request)
            }),
            ListenAddress::Unix(path) => UnixStream::connect(path).and_then(|stream| {
                stream.set_read_timeout(Some(self.patience))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                talk(stream, request)
            }),
        };
        let answer = answer.map_err(|error| self.said(error))?;
        parse_response(answer).map_err(|why| self.foreign(&why))
    }

    /// What the system's error means.
    pub(super) fn said(&self, error: std::io::Error) -> ClientError {
        let address = self.address();
        match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => ClientError::Nobody(address),
            ErrorKind::PermissionDenied => ClientError::Forbidden(address),
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                ClientError::Slow(address, self.patience.as_secs())
            }
            _ => ClientError::Io(address, error),
        }
    }

    /// Where it is, for messages.
    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Where it is.
    pub(super) fn listen(&self) -> &ListenAddress {
        &self.address
    }

    pub(super) fn foreign(&self, why: &dyn Display) -> ClientError {
        ClientError::Foreign(self.address.to_string(), why.to_string())
    }
}

/// Sends a request, and reads until its answer is whole, or the other end has no more.
fn talk(mut stream: impl Read + Write, request: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(request)?;
    let mut answer = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    while answer.len() < MAX_ANSWER && !head(&answer).is_some_and(|head| head.is_whole(&answer)) {
        match stream.read(&mut buffer)? {
            0 => break,
            read => answer.extend_from_slice(buffer.get(..read).unwrap_or_default()),
        }
    }
    Ok(answer)
}

/// What is read of an answer's head.
struct Head {
    status: Option<u16>,
    length: Option<usize>,
    /// Where the body begins.
    end: usize,
}

impl Head {
    /// Whether nothing more is to come; without a length, there is nothing that we could read.
    fn is_whole(&self, answer: &[u8]) -> bool {
        self.length.is_none_or(|length| answer.len() - self.end >= length)
    }
}

/// The head of an answer, once it is there.
fn head(answer: &[u8]) -> Option<Head> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(answer.get(..end)?);
    let mut lines = text.lines();
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    Some(Head { status, length, end })
}

/// Takes an answer apart.
fn parse_response(mut answer: Vec<u8>) -> Result<Response, &'static str> {
    let head = head(&answer).ok_or("its answer is not HTTP")?;
    let body = answer.split_off(head.end);
    match (head.status, head.length) {
        (Some(status), Some(length)) if length == body.len() => Ok(Response { status, body }),
        (Some(_), Some(_)) => Err("its answer is cut off"),
        _ => Err("its answer is not HTTP as ours is"),
    }
}

/// An address that was configured for listening, as one to connect to.
fn reachable(listen: ListenAddress) -> ListenAddress {
    match listen {
        ListenAddress::Ip(address) if address.ip().is_unspecified() => {
            let local: std::net::IpAddr = match address.ip() {
                std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            };
            ListenAddress::Ip(SocketAddr::new(local, address.port()))
        }
        other => other,
    }
}

fn parse(text: &str) -> Result<ListenAddress, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(ListenAddress::Unix(Path::new(path).into()));
    }
    let wrong = |why: &dyn Display| {
        format!(
            "`{text}` is no admin address ({why}): write IP address and port such as {DEFAULT}, or unix:PATH"
        )
    };
    text.parse().map(ListenAddress::Ip).map_err(|error: std::net::AddrParseError| wrong(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_whole_or_not_at_all() {
        let parse =
            |text: &str| parse_response(text.as_bytes().to_vec()).map(|answer| (answer.status, answer.body));
        let good = "HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(parse(good), Ok((409, b"{}".to_vec())));
        for bad in ["", "SSH-2.0-x\r\n", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n{}", "HTTP/1.1 2"] {
            assert!(parse(bad).is_err_and(|why| why.starts_with("its answer is not HTTP")), "{bad}");
        }
        assert_eq!(parse(&good[..good.len() - 1]), Err("its answer is cut off"));
    }
}
