//! One look at a backend: does it accept a connection, does it answer a GET?

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::state::Observation;

/// Whoever sends more without an end of its head does not speak HTTP as a health page does.
const MAX_HEAD: usize = 16 * 1024;

/// A GET and the answers that count as good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpProbe {
    /// The whole request, made once.
    request: Vec<u8>,
    /// Inclusive ranges of good status codes.
    expect: Vec<(u16, u16)>,
    /// How the backend says that it drains, if it can.
    drain_on: Option<DrainOn>,
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

impl HttpProbe {
    /// A GET of `path` with this `Host`.
    pub fn new(path: &str, host: &str, expect: Vec<(u16, u16)>) -> Self {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: steadfast-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        Self { request: request.into_bytes(), expect, drain_on: None }
    }

    /// A backend that answers so says that it drains.
    #[must_use]
    pub fn draining_on(self, drain_on: Option<DrainOn>) -> Self {
        Self { drain_on, ..self }
    }

    /// What an answer says: the status, and the header as far as it was read.
    fn judge(&self, head: &[u8]) -> Option<Look> {
        let rest = head.strip_prefix(b"HTTP/1.1 ").or_else(|| head.strip_prefix(b"HTTP/1.0 "))?;
        let status = std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()?;
        let drains = self.drain_on.as_ref().map(|on| on.is_said_by(status, head));
        let by_status = self.drain_on.as_ref().is_some_and(|on| within(&on.status, status));
        let good = by_status || within(&self.expect, status);
        let observation = if good { Observation::Pass } else { Observation::PageFailed };
        Some(Look { observation, drains: Some(drains.unwrap_or(false)) })
    }

    /// How much of an answer is needed: its first line, or its head where a field may say something.
    fn end(&self) -> &'static [u8] {
        let by_field = self.drain_on.as_ref().is_some_and(|on| on.header.is_some());
        if by_field { b"\r\n\r\n" } else { b"\n" }
    }
}

impl DrainOn {
    fn is_said_by(&self, status: u16, head: &[u8]) -> bool {
        let Some((name, value)) = &self.header else { return within(&self.status, status) };
        let head = String::from_utf8_lossy(head);
        let field = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut of_that_name = field.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        within(&self.status, status)
            || of_that_name.any(|(_, said)| value.as_ref().is_none_or(|value| said.trim() == value))
    }
}

fn within(ranges: &[(u16, u16)], status: u16) -> bool {
    ranges.iter().any(|(first, last)| (*first..=*last).contains(&status))
}

/// Connects and closes again.
pub async fn probe_tcp(address: SocketAddr, limit: Duration) -> Observation {
    match timeout(limit, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Observation::Pass,
        Ok(Err(error)) => not_connected(&error),
        Err(_) => Observation::Unreachable,
    }
}

fn not_connected(error: &io::Error) -> Observation {
    if is_our_shortage(error) { Observation::Untried } else { Observation::Unreachable }
}

/// Whether a connection failed because descriptors, ports or memory of our own have run out: that must not take every
/// backend down at once.
pub fn is_our_shortage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory)
        || matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::EAGAIN))
}

/// Sends a GET and reads as much of the answer as is needed, all within `limit`.
pub async fn probe_http(address: SocketAddr, probe: &HttpProbe, limit: Duration) -> Look {
    let mut connected = false;
    let failed = |observation| Look { observation, drains: None };
    let looked = timeout(limit, async {
        let mut stream = TcpStream::connect(address).await.map_err(|error| not_connected(&error))?;
        connected = true;
        stream.write_all(&probe.request).await.or(Err(Observation::PageFailed))?;
        let head = head(&mut stream, probe.end()).await.ok_or(Observation::PageFailed)?;
        probe.judge(&head).ok_or(Observation::PageFailed)
    });
    match looked.await {
        Ok(Ok(look)) => look,
        Ok(Err(failure)) => failed(failure),
        Err(_) if connected => failed(Observation::PageFailed),
        Err(_) => failed(Observation::Unreachable),
    }
}

async fn head(stream: &mut TcpStream, end: &[u8]) -> Option<Vec<u8>> {
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

    async fn server(answer: &'static [u8]) -> SocketAddr {
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
        address
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
            listener.local_addr().unwrap()
        };
        assert_eq!(probe_http(gone, &probe, LIMIT).await.observation, Observation::Unreachable);
        assert_eq!(probe_tcp(gone, LIMIT).await, Observation::Unreachable);
        for (answer, expected) in [
            (&b"HTTP/1.1 204 No Content\r\n\r\n"[..], Observation::Pass),
            (b"HTTP/1.0 404 Not Found\r\n\r\n", Observation::Pass),
            (b"HTTP/1.1 503 No\r\n\r\n", Observation::PageFailed),
            (b"SSH-2.0-x\r\n", Observation::PageFailed),
            (b"", Observation::PageFailed),
        ] {
            let address = server(answer).await;
            let look = probe_http(address, &probe, LIMIT).await;
            assert_eq!(look.observation, expected, "{}", answer.escape_ascii());
            assert_eq!(probe_tcp(address, LIMIT).await, Observation::Pass);
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
            let look = probe_http(server(answer).await, &probe, LIMIT).await;
            assert_eq!(
                (look.observation, look.drains),
                (expected.0, Some(expected.1)),
                "{}",
                answer.escape_ascii()
            );
        }
    }
}
