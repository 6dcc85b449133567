//! One look at a backend: does it accept a connection, does it answer a GET?

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::state::Observation;

/// A status line is shorter; whoever sends more without one does not speak HTTP.
const MAX_STATUS_LINE: usize = 1024;

/// A GET and the answers that count as good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpProbe {
    /// The whole request, made once.
    request: Vec<u8>,
    /// Inclusive ranges of good status codes.
    expect: Vec<(u16, u16)>,
}

impl HttpProbe {
    /// A GET of `path` with this `Host`.
    pub fn new(path: &str, host: &str, expect: Vec<(u16, u16)>) -> Self {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: steadfast-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        Self { request: request.into_bytes(), expect }
    }

    fn accepts(&self, status: u16) -> bool {
        self.expect.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }
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

/// Sends a GET and reads the status line, all within `limit`.
pub async fn probe_http(address: SocketAddr, probe: &HttpProbe, limit: Duration) -> Observation {
    let mut connected = false;
    let looked = timeout(limit, async {
        let mut stream = TcpStream::connect(address).await.map_err(|error| not_connected(&error))?;
        connected = true;
        stream.write_all(&probe.request).await.or(Err(Observation::PageFailed))?;
        status(&mut stream).await.ok_or(Observation::PageFailed)
    });
    match looked.await {
        Ok(Ok(status)) if probe.accepts(status) => Observation::Pass,
        Ok(Ok(_)) => Observation::PageFailed,
        Ok(Err(failure)) => failure,
        Err(_) if connected => Observation::PageFailed,
        Err(_) => Observation::Unreachable,
    }
}

async fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut line = Vec::with_capacity(256);
    while !line.contains(&b'\n') {
        if line.len() > MAX_STATUS_LINE || stream.read_buf(&mut line).await.ok()? == 0 {
            return None;
        }
    }
    let rest = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
    std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()
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
        assert_eq!(probe_http(gone, &probe, LIMIT).await, Observation::Unreachable);
        assert_eq!(probe_tcp(gone, LIMIT).await, Observation::Unreachable);
        for (answer, expected) in [
            (&b"HTTP/1.1 204 No Content\r\n\r\n"[..], Observation::Pass),
            (b"HTTP/1.0 404 Not Found\r\n\r\n", Observation::Pass),
            (b"HTTP/1.1 503 No\r\n\r\n", Observation::PageFailed),
            (b"SSH-2.0-x\r\n", Observation::PageFailed),
            (b"", Observation::PageFailed),
        ] {
            let address = server(answer).await;
            assert_eq!(probe_http(address, &probe, LIMIT).await, expected, "{}", answer.escape_ascii());
            assert_eq!(probe_tcp(address, LIMIT).await, Observation::Pass);
        }
    }
}
