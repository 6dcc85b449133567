//! One look at a backend: does it accept a connection, does it answer a GET?

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::state::Observation;
use crate::names::BackendAddress;

/// Whoever sends more without an end of its head does not speak HTTP as a health page does.
const MAX_HEAD: usize = 16 * 1024;

/// A GET and the answers that count as good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpProbe {
    /// The whole request, made once.
    request: Vec<u8>,
    /// The same for HTTP/2.
    uri: String,
    /// Inclusive ranges of good status codes.
    expect: Vec<(u16, u16)>,
    /// How the backend says that it drains, if it can.
    drain_on: Option<DrainOn>,
    /// What is sent before anything else.
    greeting: Vec<u8>,
    http2: bool,
    secure: Option<Secure>,
}

/// How a backend says that it drains: by any of these.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DrainOn {
    /// Inclusive ranges of status codes, which count as good.
    pub status: Vec<(u16, u16)>,
    /// A header field, in lower case, and its value; `None`: any value.
    pub header: Option<(String, Option<String>)>,
}

/// What a GET has found out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// How the backend is.
    pub observation: Observation,
    /// Whether it says that it drains; `None`: it has not been heard.
    pub drains: Option<bool>,
}

/// TLS for a check.
#[derive(Clone, Debug)]
pub struct Secure {
    /// rustls' settings; `None`: it refused them, and every check fails.
    pub config: Option<Arc<ClientConfig>>,
    /// Whom the backend's certificate has to name.
    pub name: Option<ServerName<'static>>,
    /// A digest of all settings: equal ones check alike.
    pub settings: u64,
}

impl PartialEq for Secure {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

impl Eq for Secure {}

impl HttpProbe {
    /// A GET of `path` with this `Host`.
    pub fn new(path: &str, host: &str, expect: Vec<(u16, u16)>) -> Self {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: steadfast-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        let uri = format!("http://{host}{path}");
        let (request, greeting) = (request.into_bytes(), Vec::new());
        Self { request, uri, expect, drain_on: None, greeting, http2: false, secure: None }
    }

    /// The same, with bytes before it (a header of the PROXY protocol).
    #[must_use]
    pub fn greeting(self, greeting: &[u8]) -> Self {
        Self { greeting: greeting.to_vec(), ..self }
    }

    /// The same in HTTP/2, or not.
    #[must_use]
    pub fn in_http2(self, http2: bool) -> Self {
        Self { http2, ..self }
    }

    /// The same over TLS.
    #[must_use]
    pub fn over(self, secure: Secure) -> Self {
        Self { uri: self.uri.replacen("http:", "https:", 1), secure: Some(secure), ..self }
    }

    /// What answers it.
    async fn ask(&self, mut tcp: impl AsyncRead + AsyncWrite + Unpin) -> Option<Look> {
        tcp.write_all(&self.greeting).await.ok()?;
        let Some(secure) = &self.secure else { return self.ask_over(tcp).await };
        let connector = TlsConnector::from(Arc::clone(secure.config.as_ref()?));
        self.ask_over(connector.connect(secure.name.clone()?, tcp).await.ok()?).await
    }

    async fn ask_over(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Option<Look> {
        if self.http2 {
            return self.ask_http2(stream).await;
        }
        stream.write_all(&self.request).await.ok()?;
        stream.flush().await.ok()?;
        self.judge_head(&head(&mut stream, self.end()).await?)
    }

    async fn ask_http2(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> Option<Look> {
        let (mut send, connection) = h2::client::handshake(stream).await.ok()?;
        let request = http::Request::get(&self.uri).header("user-agent", "steadfast-health").body(()).ok()?;
        let answer = async {
            std::future::poll_fn(|context| send.poll_ready(context)).await.ok()?;
            let answer = send.send_request(request, true).ok()?.0.await.ok()?;
            let said = |name: &str, value: Option<&str>| {
                let mut values = answer.headers().get_all(name).iter();
                values.any(|said| value.is_none_or(|value| said.as_bytes() == value.as_bytes()))
            };
            Some(self.judge(answer.status().as_u16(), said))
        };
        tokio::select! {
            look = answer => look,
            _ = connection => None,
        }
    }

    /// A backend that answers so says that it drains.
    #[must_use]
    pub fn draining_on(self, drain_on: Option<DrainOn>) -> Self {
        Self { drain_on, ..self }
    }

    /// What the head of an answer in HTTP/1 says, as far as it was read.
    fn judge_head(&self, head: &[u8]) -> Option<Look> {
        let rest = head.strip_prefix(b"HTTP/1.1 ").or_else(|| head.strip_prefix(b"HTTP/1.0 "))?;
        let status = std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()?;
        let said = |name: &str, value: Option<&str>| {
            let head = String::from_utf8_lossy(head);
            let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
            fields.any(|(field, said)| {
                field.eq_ignore_ascii_case(name) && value.is_none_or(|value| said.trim() == value)
            })
        };
        Some(self.judge(status, said))
    }

    /// What an answer says; `said` tells whether it has a field of that name, and of that value.
    fn judge(&self, status: u16, said: impl Fn(&str, Option<&str>) -> bool) -> Look {
        let by_status = self.drain_on.as_ref().is_some_and(|on| within(&on.status, status));
        let field = self.drain_on.as_ref().and_then(|on| on.header.as_ref());
        let by_field = field.is_some_and(|(name, value)| said(name, value.as_deref()));
        let good = by_status || within(&self.expect, status);
        let observation = if good { Observation::Pass } else { Observation::PageFailed };
        Look { observation, drains: Some(by_status || by_field) }
    }

    /// How much of an answer is needed: its first line, or its head where a field may say something.
    fn end(&self) -> &'static [u8] {
        let by_field = self.drain_on.as_ref().is_some_and(|on| on.header.is_some());
        if by_field { b"\r\n\r\n" } else { b"\n" }
    }
}

fn within(ranges: &[(u16, u16)], status: u16) -> bool {
    ranges.iter().any(|(first, last)| (*first..=*last).contains(&status))
}

/// Connects and closes again.
pub async fn probe_tcp(address: &BackendAddress, limit: Duration) -> Observation {
    match timeout(limit, connect(address)).await {
        Ok(Ok(_)) => Observation::Pass,
        Ok(Err(error)) => not_connected(&error),
        Err(_) => Observation::Unreachable,
    }
}

/// A connection to wherever a backend is.
pub(super) async fn connect(address: &BackendAddress) -> io::Result<Box<dyn Duplex>> {
    Ok(match address {
        BackendAddress::Ip(address) => Box::new(TcpStream::connect(address).await?),
        BackendAddress::Unix(path) => Box::new(UnixStream::connect(path).await?),
    })
}

/// What is read and written.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

pub(super) fn not_connected(error: &io::Error) -> Observation {
    if is_our_shortage(error) { Observation::Untried } else { Observation::Unreachable }
}

/// Whether a connection failed because descriptors, ports or memory of our own have run out, or a privilege is missing: that must not take every
/// backend down at once.
pub fn is_our_shortage(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, OutOfMemory, PermissionDenied};
    matches!(error.kind(), AddrNotAvailable | OutOfMemory | PermissionDenied)
        || matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::EAGAIN))
}

/// Sends a GET and reads as much of the answer as is needed, all within `limit`.
pub async fn probe_http(address: &BackendAddress, probe: &HttpProbe, limit: Duration) -> Look {
    let mut connected = false;
    let failed = |observation| Look { observation, drains: None };
    let looked = timeout(limit, async {
        let stream = connect(address).await.map_err(|error| not_connected(&error))?;
        connected = true;
        probe.ask(stream).await.ok_or(Observation::PageFailed)
    });
    match looked.await {
        Ok(Ok(look)) => look,
        Ok(Err(failure)) => failed(failure),
        Err(_) if connected => failed(Observation::PageFailed),
        Err(_) => failed(Observation::Unreachable),
    }
}

async fn head(stream: &mut (impl AsyncRead + Unpin), end: &[u8]) -> Option<Vec<u8>> {
    let mut head = Vec::with_capacity(256);
    while memchr::memmem::find(&head, end).is_none() {
        if head.len() > MAX_HEAD || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(500);

    async fn server(answer: &'static [u8]) -> BackendAddress {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer).await;
                if answer.is_empty() {
                    // Says nothing until the other side leaves.
                    let _ = stream.read(&mut request).await;
                }
            }
        });
        address.into()
    }

    #[test]
    fn our_own_shortage_is_no_evidence_against_a_backend() {
        for (errno, expected) in [
            (libc::EMFILE, Observation::Untried),
            (libc::ENFILE, Observation::Untried),
            (libc::EADDRNOTAVAIL, Observation::Untried),
            (libc::ENOMEM, Observation::Untried),
            (libc::ECONNREFUSED, Observation::Unreachable),
            (libc::EHOSTUNREACH, Observation::Unreachable),
            (libc::ETIMEDOUT, Observation::Unreachable),
        ] {
            assert_eq!(not_connected(&io::Error::from_raw_os_error(errno)), expected, "errno {errno}");
        }
    }

    #[tokio::test]
    async fn probes_tell_a_failing_page_from_an_absent_server() {
        let probe = HttpProbe::new("/health", "app", vec![(200, 299), (404, 404)]);
        let gone = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            BackendAddress::from(listener.local_addr().unwrap())
        };
        assert_eq!(probe_http(&gone, &probe, LIMIT).await.observation, Observation::Unreachable);
        assert_eq!(probe_tcp(&gone, LIMIT).await, Observation::Unreachable);
        for (answer, expected) in [
            (&b"HTTP/1.1 204 No Content\r\n\r\n"[..], Observation::Pass),
            (b"HTTP/1.0 404 Not Found\r\n\r\n", Observation::Pass),
            (b"HTTP/1.1 503 No\r\n\r\n", Observation::PageFailed),
            (b"SSH-2.0-x\r\n", Observation::PageFailed),
            (b"", Observation::PageFailed),
        ] {
            let address = server(answer).await;
            let look = probe_http(&address, &probe, LIMIT).await;
            assert_eq!(look.observation, expected, "{}", answer.escape_ascii());
            assert_eq!(probe_tcp(&address, LIMIT).await, Observation::Pass);
        }
    }

    #[tokio::test]
    async fn a_backend_says_that_it_drains_by_status_or_field() {
        let on = |status: &[(u16, u16)], header: Option<(&str, Option<&str>)>| DrainOn {
            status: status.to_vec(),
            header: header.map(|(name, value)| (name.to_owned(), value.map(str::to_owned))),
        };
        let (by_status, by_field) = (on(&[(503, 503)], None), on(&[], Some(("x-draining", None))));
        let by_value = on(&[], Some(("x-state", Some("draining"))));
        for (on, answer, expected) in [
            (&by_status, &b"HTTP/1.1 503 No\r\n\r\n"[..], (Observation::Pass, true)),
            (&by_status, b"HTTP/1.1 200 OK\r\n\r\n", (Observation::Pass, false)),
            (&by_status, b"HTTP/1.1 500 No\r\n\r\n", (Observation::PageFailed, false)),
            (&by_field, b"HTTP/1.1 200 OK\r\nX-Draining: 1\r\n\r\n", (Observation::Pass, true)),
            (&by_field, b"HTTP/1.1 200 X-Draining: 1\r\nA: b\r\n\r\n", (Observation::Pass, false)),
            (&by_field, b"HTTP/1.1 500 No\r\nx-draining:\r\n\r\n", (Observation::PageFailed, true)),
            (&by_value, b"HTTP/1.1 200 OK\r\nX-State: draining \r\n\r\n", (Observation::Pass, true)),
            (&by_value, b"HTTP/1.1 200 OK\r\nX-State: serving\r\n\r\n", (Observation::Pass, false)),
        ] {
            let probe = HttpProbe::new("/", "app", vec![(200, 299)]).draining_on(Some(on.clone()));
            let look = probe_http(&server(answer).await, &probe, LIMIT).await;
            assert_eq!(
                (look.observation, look.drains),
                (expected.0, Some(expected.1)),
                "{}",
                answer.escape_ascii()
            );
        }
    }
}
