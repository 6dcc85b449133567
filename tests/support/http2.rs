//! A client of HTTP/2, and raw frames for what no client would send.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::exchange::Response;

/// A connection of HTTP/2.
pub(crate) struct Http2 {
    pub(crate) send: SendRequest<Bytes>,
    scheme: &'static str,
    /// Ends when the connection does.
    pub(crate) ended: JoinHandle<Result<(), h2::Error>>,
}

impl Http2 {
    /// In cleartext, by prior knowledge.
    pub(crate) async fn cleartext(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap(), "http").await
    }

    /// Over TLS, agreed upon by ALPN.
    pub(crate) async fn tls(address: SocketAddr, name: &'static str, config: ClientConfig) -> Self {
        let tcp = TcpStream::connect(address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let tls = connector.connect(ServerName::try_from(name).unwrap(), tcp).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "HTTP/2 is agreed upon");
        Self::over(tls, "https").await
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        scheme: &'static str,
    ) -> Self {
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        Self { send, scheme, ended: tokio::spawn(connection) }
    }

    /// A request's head. Fields of the same name stay apart.
    pub(crate) fn head(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Request<()> {
        let uri = format!("{}://app.test{path}", self.scheme);
        let request = Request::builder().method(method).uri(uri);
        fields.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(()).unwrap()
    }

    /// One request without a body.
    pub(crate) async fn get(&self, path: &str, fields: &[(&str, &str)]) -> Result<Response, h2::Error> {
        let mut send = self.send.clone().ready().await?;
        let (response, _) = send.send_request(self.head("GET", path, fields), true)?;
        receive(response).await.map(|(response, _)| response)
    }

    /// One request with a body.
    pub(crate) async fn post(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, h2::Error> {
        let mut send = self.send.clone().ready().await?;
        let (response, mut stream) = send.send_request(self.head("POST", path, fields), false)?;
        stream.send_data(Bytes::copy_from_slice(body), true)?;
        receive(response).await.map(|(response, _)| response)
    }
}

/// A whole response, and its trailers.
pub(crate) async fn receive(response: ResponseFuture) -> Result<(Response, Option<HeaderMap>), h2::Error> {
    let (head, mut body) = response.await?.into_parts();
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        let _ = body.flow_control().release_capacity(data.len());
        bytes.extend_from_slice(&data);
    }
    let trailers = body.trailers().await?;
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let body = String::from_utf8_lossy(&bytes).into_owned();
    Ok((Response { status: head.status.as_u16(), headers, body }, trailers))
}

/// A connection that has said its preface and settings, for whatever comes.
pub(crate) struct Raw(pub(crate) std::net::TcpStream);

impl Raw {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut raw = Self(stream);
        raw.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        raw.send(&frame(4, 0, 0, &[]));
        raw
    }

    /// Whether the other side took it; a closed connection takes nothing.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Sends this up to that many times, while another thread reads what comes; whether the connection was closed.
    pub(crate) fn gets_closed_by(mut self, times: usize, mut bytes: impl FnMut(usize) -> Vec<u8>) -> bool {
        let mut other = self.0.try_clone().unwrap();
        let reading = std::thread::spawn(move || {
            let mut buffer = [0; 65_536];
            loop {
                match other.read(&mut buffer) {
                    Ok(0) => return true,
                    Ok(_) => {}
                    Err(error) => {
                        return !matches!(
                            error.kind(),
                            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                        );
                    }
                }
            }
        });
        for at in 0..times {
            if !self.send(&bytes(at)) {
                break;
            }
        }
        reading.join().unwrap()
    }
}

/// A frame (RFC 9113 section 4.1).
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// The header block of `GET /plain`, without Huffman or the dynamic table.
pub(crate) fn plain_get() -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04, 6];
    block.extend_from_slice(b"/plain");
    block.extend_from_slice(&[0x01, 8]);
    block.extend_from_slice(b"app.test");
    block
}
