//! A look at a backend by what it says: something is sent, and something has to come back, over TCP, TLS or UDP.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::datagram::connected;
use super::dns::DnsQuery;
use super::probe::{connect, not_connected};
use super::state::Observation;
use crate::names::BackendAddress;

/// Whoever says more without what is expected will not say it.
const MAX_ANSWER: usize = 16 << 10;

/// A question and the answers that are good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exchange {
    /// By what the backend is reached.
    pub over: Over,
    /// What is sent before anything else (a header of the PROXY protocol).
    pub greeting: Vec<u8>,
    /// What is asked.
    pub ask: Ask,
}

/// By what a backend is reached.
#[derive(Clone, Debug)]
pub enum Over {
    /// TCP.
    Tcp,
    /// TLS. Any certificate will do: that it is the right one, clients say.
    Tls {
        /// rustls' settings; `None`: it refused them, and every check fails.
        config: Option<Arc<ClientConfig>>,
        /// The server that is asked for.
        name: ServerName<'static>,
    },
    /// UDP.
    Udp,
}

/// What is asked, and which answer is good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// Nothing: that there is a connection, and a handshake where there is one, is enough.
    Nothing,
    /// These bytes, which may be none.
    Bytes {
        /// What is sent.
        send: Vec<u8>,
        /// What has to be in the answer.
        expect: Expect,
    },
    /// A query of DNS.
    Dns(DnsQuery),
}

/// What has to be in an answer.
#[derive(Clone, Debug)]
pub enum Expect {
    /// These bytes, anywhere.
    Bytes(Vec<u8>),
    /// What this expression matches.
    Regex(regex::bytes::Regex),
}

impl PartialEq for Over {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp, Self::Tcp) | (Self::Udp, Self::Udp) => true,
            // The settings are the same for all.
            (Self::Tls { name, .. }, Self::Tls { name: other, .. }) => name == other,
            (Self::Tcp | Self::Tls { .. } | Self::Udp, _) => false,
        }
    }
}

impl Eq for Over {}

impl PartialEq for Expect {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bytes(bytes), Self::Bytes(other)) => bytes == other,
            (Self::Regex(regex), Self::Regex(other)) => regex.as_str() == other.as_str(),
            (Self::Bytes(_) | Self::Regex(_), _) => false,
        }
    }
}

impl Eq for Expect {}

impl Expect {
    fn is_in(&self, answer: &[u8]) -> bool {
        match self {
            Self::Bytes(bytes) => memchr::memmem::find(answer, bytes).is_some(),
            Self::Regex(regex) => regex.is_match(answer),
        }
    }
}

impl Exchange {
    /// Looks at a backend, all within `limit`.
    pub async fn look(&self, address: &BackendAddress, limit: Duration) -> Observation {
        match &self.over {
            Over::Udp => match timeout(limit, self.by_udp(address)).await {
                Ok(Ok(observation)) => observation,
                Ok(Err(error)) => not_connected(&error),
                // Silence is all that is heard of a host that is gone.
                Err(_) => Observation::Unreachable,
            },
            Over::Tcp | Over::Tls { .. } => {
                let mut connected = false;
                match timeout(limit, self.by_tcp(address, &mut connected)).await {
                    Ok(Ok(true)) => Observation::Pass,
                    Err(_) if !connected => Observation::Unreachable,
                    Ok(Err(error)) if !connected => not_connected(&error),
                    Ok(Ok(false) | Err(_)) | Err(_) => Observation::PageFailed,
                }
            }
        }
    }

    async fn by_tcp(&self, address: &BackendAddress, connected: &mut bool) -> io::Result<bool> {
        let mut tcp = connect(address).await?;
        *connected = true;
        tcp.write_all(&self.greeting).await?;
        match &self.over {
            Over::Tls { config, name } => {
                let Some(config) = config else { return Ok(false) };
                let connector = TlsConnector::from(Arc::clone(config));
                self.talk(connector.connect(name.clone(), tcp).await?).await
            }
            Over::Tcp | Over::Udp => self.talk(tcp).await,
        }
    }

    async fn talk(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<bool> {
        let Ask::Bytes { send, expect } = &self.ask else { return Ok(true) };
        stream.write_all(send).await?;
        stream.flush().await?;
        let mut answer = Vec::with_capacity(256);
        while !expect.is_in(&answer) {
            if answer.len() > MAX_ANSWER || stream.read_buf(&mut answer).await? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn by_udp(&self, address: &BackendAddress) -> io::Result<Observation> {
        let address = address.ip().ok_or(io::ErrorKind::Unsupported)?;
        let socket = connected(address).await?;
        let id: u16 = rand::random();
        let question = match &self.ask {
            Ask::Nothing => Vec::new(),
            Ask::Bytes { send, .. } => send.clone(),
            Ask::Dns(query) => query.message(id),
        };
        socket.send(&question).await?;
        let mut room = vec![0; MAX_ANSWER];
        loop {
            let length = socket.recv(&mut room).await?;
            let answer = room.get(..length).unwrap_or_default();
            let good = match &self.ask {
                Ask::Nothing => Some(true),
                Ask::Bytes { expect, .. } => Some(expect.is_in(answer)),
                // Of another question: nobody's word yet.
                Ask::Dns(query) => query.judge(id, answer),
            };
            match good {
                Some(true) => return Ok(Observation::Pass),
                Some(false) => return Ok(Observation::PageFailed),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, UdpSocket};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(500);

    fn exchange(over: Over, send: &[u8], expect: Expect) -> Exchange {
        Exchange { over, greeting: Vec::new(), ask: Ask::Bytes { send: send.to_vec(), expect } }
    }

    fn bytes(expect: &[u8]) -> Expect {
        Expect::Bytes(expect.to_vec())
    }

    fn regex(expect: &str) -> Expect {
        Expect::Regex(regex::bytes::Regex::new(expect).unwrap())
    }

    /// Says hello, and then what it hears, twice.
    async fn tcp_server() -> BackendAddress {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut heard = [0; 64];
                    let _ = stream.write_all(b"220 hel").await;
                    let _ = stream.write_all(b"lo\r\n").await;
                    while let Ok(length @ 1..) = stream.read(&mut heard).await {
                        let _ = stream.write_all(&[&heard[..length], &heard[..length]].concat()).await;
                    }
                });
            }
        });
        address.into()
    }

    #[tokio::test]
    async fn what_is_expected_over_tcp_has_to_come() {
        let address = tcp_server().await;
        let nothing = Exchange { over: Over::Tcp, greeting: Vec::new(), ask: Ask::Nothing };
        assert_eq!(nothing.look(&address, LIMIT).await, Observation::Pass);
        for (send, expect, observation) in [
            (&b""[..], bytes(b"hello\r\n"), Observation::Pass),
            (b"PING\r\n", bytes(b"PING\r\nPING\r\n"), Observation::Pass),
            (b"PING\r\n", bytes(b"PONG"), Observation::PageFailed),
            (b"", regex("^2\\d\\d h"), Observation::Pass),
            (b"", regex("^5\\d\\d"), Observation::PageFailed),
        ] {
            let exchange = exchange(Over::Tcp, send, expect);
            assert_eq!(exchange.look(&address, LIMIT).await, observation, "{exchange:?}");
        }
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert_eq!(nothing.look(&gone.into(), LIMIT).await, Observation::Unreachable);
    }

    #[tokio::test]
    async fn who_speaks_no_tls_fails_the_handshake() {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let roots = rustls::RootCertStore::empty();
        let config = Some(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()));
        let name = ServerName::try_from("a.test").unwrap();
        let over = Over::Tls { config, name };
        let handshake = Exchange { over, greeting: Vec::new(), ask: Ask::Nothing };
        assert_eq!(handshake.look(&tcp_server().await, LIMIT).await, Observation::PageFailed);
    }

    #[tokio::test]
    async fn what_is_expected_over_udp_has_to_come_and_silence_is_no_answer() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap().into();
        let serving = tokio::spawn(async move {
            let mut heard = [0; 64];
            while let Ok((length, from)) = server.recv_from(&mut heard).await {
                if &heard[..length] != b"silence" {
                    let _ = server.send_to(&heard[..length], from).await;
                }
            }
        });
        for (send, expect, observation) in [
            (&b"\x01ping"[..], bytes(b"ping"), Observation::Pass),
            (b"ping", regex("^p.ng$"), Observation::Pass),
            (b"ping", bytes(b"pong"), Observation::PageFailed),
            (b"silence", bytes(b"silence"), Observation::Unreachable),
        ] {
            let exchange = exchange(Over::Udp, send, expect);
            assert_eq!(exchange.look(&address, LIMIT).await, observation, "{exchange:?}");
        }
        serving.abort();
        let _ = serving.await;
        let ping = exchange(Over::Udp, b"ping", bytes(b"ping"));
        assert_eq!(ping.look(&address, LIMIT).await, Observation::Unreachable);
    }
}
