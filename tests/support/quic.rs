//! Servers of QUIC that write who they are into their connection ids, and clients that change their address. The
//! servers' half of QUIC-LB (draft-ietf-quic-load-balancers, section 5.4) is written here anew, octet by octet as the draft has it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use quinn::{ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, ServerConfig, TransportConfig};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::tls::Authority;

/// What servers are called in their certificate.
const NAME: &str = "quic.test";

/// How a server writes itself into connection ids.
#[derive(Clone)]
pub(crate) struct Writes {
    pub(crate) config_id: u8,
    pub(crate) server_id: Vec<u8>,
    pub(crate) nonce_length: usize,
    pub(crate) key: Option<[u8; 16]>,
}

impl Writes {
    /// A new connection id, whose length is in its first octet.
    pub(crate) fn id(&self) -> Vec<u8> {
        let nonce: Vec<u8> = (0..self.nonce_length).map(|_| rand::random()).collect();
        let plaintext = [&*self.server_id, &*nonce].concat();
        let first = self.config_id << 5 | u8::try_from(plaintext.len()).unwrap();
        let rest = match &self.key {
            None => plaintext,
            Some(key) if plaintext.len() == 16 => aes(key, &plaintext),
            Some(key) => four_passes(key, &plaintext),
        };
        [&[first][..], &rest].concat()
    }
}

fn aes(key: &[u8; 16], block: &[u8]) -> Vec<u8> {
    let mut block = <[u8; 16]>::try_from(block).unwrap().into();
    Aes128::new(key.into()).encrypt_block(&mut block);
    block.to_vec()
}

fn four_passes(key: &[u8; 16], plaintext: &[u8]) -> Vec<u8> {
    let (whole, half, odd) = (plaintext.len(), plaintext.len().div_ceil(2), plaintext.len() % 2 == 1);
    let (mut left, mut right) = (plaintext[..half].to_vec(), plaintext[whole - half..].to_vec());
    let clear = |left: &mut [u8], right: &mut [u8]| {
        if odd {
            *left.last_mut().unwrap() &= 0xf0;
            right[0] &= 0x0f;
        }
    };
    clear(&mut left, &mut right);
    for pass in 1..=4 {
        let (from, to) = if pass % 2 == 1 { (&left, &mut right) } else { (&right, &mut left) };
        let mut expanded = [0; 16];
        expanded[..half].copy_from_slice(from);
        expanded[14] = u8::try_from(whole).unwrap();
        expanded[15] = pass;
        to.iter_mut().zip(aes(key, &expanded)).for_each(|(to, by)| *to ^= by);
        clear(&mut left, &mut right);
    }
    if odd {
        *left.last_mut().unwrap() |= right.remove(0);
    }
    [left, right].concat()
}

impl ConnectionIdGenerator for Writes {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&self.id())
    }

    fn cid_len(&self) -> usize {
        1 + self.server_id.len() + self.nonce_length
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// Certificates for servers, and who trusts them.
pub(crate) struct Trust {
    _authority: Authority,
    server: ServerConfig,
    client: quinn::ClientConfig,
}

impl Trust {
    pub(crate) fn new() -> Self {
        let authority = Authority::new();
        authority.issue("server", &[NAME], "a server");
        let chain = certificates(authority.path("server.pem"));
        let key = PrivateKeyDer::from_pem_file(authority.path("server.key")).unwrap();
        let mut roots = RootCertStore::empty();
        for certificate in certificates(authority.path("ca.pem")) {
            roots.add(certificate).unwrap();
        }
        let mut client = quinn::ClientConfig::with_root_certificates(Arc::new(roots)).unwrap();
        let mut transport = TransportConfig::default();
        // Whose connection is lost is to hear of it soon.
        transport.max_idle_timeout(Some(Duration::from_secs(4).try_into().unwrap()));
        client.transport_config(Arc::new(transport));
        Self { server: ServerConfig::with_single_cert(chain, key).unwrap(), client, _authority: authority }
    }
}

fn certificates(file: PathBuf) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(file).unwrap().map(Result::unwrap).collect()
}

/// A server that answers each stream with its name and how many bytes it has read.
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    _endpoint: Endpoint,
}

impl Server {
    /// Starts it on a port of the kernel's; `None`: its connection ids say nothing.
    pub(crate) fn start(name: &str, trust: &Trust, writes: Option<Writes>) -> Self {
        let mut config = EndpointConfig::default();
        if let Some(writes) = writes {
            config.cid_generator(move || Box::new(writes.clone()));
        }
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let runtime = Arc::new(quinn::TokioRuntime);
        let endpoint = Endpoint::new(config, Some(trust.server.clone()), socket, runtime).unwrap();
        let (accepting, own_name) = (endpoint.clone(), name.to_owned());
        tokio::spawn(async move {
            while let Some(incoming) = accepting.accept().await {
                let name = own_name.clone();
                tokio::spawn(async move {
                    let Ok(connection) = incoming.await else { return };
                    while let Ok((mut answer, mut question)) = connection.accept_bi().await {
                        let Ok(read) = question.read_to_end(1 << 24).await else { return };
                        let said = format!("{name} {}", read.len());
                        let _ = answer.write_all(said.as_bytes()).await;
                        let _ = answer.finish();
                    }
                });
            }
        });
        Self { name: name.to_owned(), address: endpoint.local_addr().unwrap(), _endpoint: endpoint }
    }
}

/// A client with one connection.
pub(crate) struct Client {
    endpoint: Endpoint,
    connection: quinn::Connection,
}

impl Client {
    pub(crate) async fn connect(from: Ipv4Addr, to: SocketAddr, trust: &Trust) -> Self {
        let mut endpoint = Endpoint::client((from, 0).into()).unwrap();
        endpoint.set_default_client_config(trust.client.clone());
        let connection = endpoint.connect(to, NAME).unwrap().await.unwrap();
        Self { endpoint, connection }
    }

    /// Goes on from another address, in the middle of its connection.
    pub(crate) fn moves_to(&self, address: Ipv4Addr) {
        self.endpoint.rebind(UdpSocket::bind((address, 0)).unwrap()).unwrap();
    }

    /// Sends so many bytes; gives who has read them all.
    pub(crate) async fn home(&self, bytes: usize) -> Result<String, String> {
        let (mut question, mut answer) =
            self.connection.open_bi().await.map_err(|error| error.to_string())?;
        question.write_all(&vec![7; bytes]).await.map_err(|error| error.to_string())?;
        question.finish().map_err(|error| error.to_string())?;
        let said = answer.read_to_end(64).await.map_err(|error| error.to_string())?;
        let said = String::from_utf8(said).unwrap();
        let (name, read) = said.split_once(' ').unwrap();
        assert_eq!(read, bytes.to_string());
        Ok(name.to_owned())
    }
}
