//! Certificates made for a test, and clients of TLS.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use steadfast::clock::Now;
use tempfile::TempDir;

/// An authority with a folder for what it has signed.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority of this test");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    /// A file of its folder.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Writes `FILE.pem` and `FILE.key` for these DNS names, made out to `owner`; gives them as the configuration has them.
    pub(crate) fn issue(&self, file: &str, names: &[&str], owner: &str) -> String {
        self.write(file, names, owner, |_| ())
    }

    /// The same for `days`, made out to nobody.
    pub(crate) fn issue_for(&self, file: &str, names: &[&str], days: u64) -> String {
        let ends_s = Now::read().unix_s + days * 24 * 3600;
        self.write(file, names, "nobody", |params| {
            params.not_after = (UNIX_EPOCH + Duration::from_secs(ends_s)).into();
        })
    }

    fn write(
        &self,
        file: &str,
        names: &[&str],
        owner: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> String {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.distinguished_name.push(DnType::CommonName, owner);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (cert, key_file) = (self.path(&format!("{file}.pem")), self.path(&format!("{file}.key")));
        std::fs::write(&cert, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600)).unwrap();
        format!("cert: {}, key: {}", cert.display(), key_file.display())
    }

    /// Settings of a client that trusts it, with a certificate of its folder where one is named.
    pub(crate) fn client(&self, alpn: &[&str], certificate: Option<&str>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match certificate {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let (chain, key) = self.read(file);
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    /// Its own certificate.
    pub(crate) fn read_ca(&self) -> Vec<CertificateDer<'static>> {
        vec![self.issuer.der().clone()]
    }

    /// A certificate of its folder with its key.
    pub(crate) fn read(&self, file: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let certificate = CertificateDer::from_pem_file(self.path(&format!("{file}.pem"))).unwrap();
        (vec![certificate], PrivateKeyDer::from_pem_file(self.path(&format!("{file}.key"))).unwrap())
    }
}

/// A handshake over a connection that is there.
pub(crate) fn handshake(
    mut tcp: TcpStream,
    name: &str,
    config: &Arc<ClientConfig>,
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut session = ClientConnection::new(Arc::clone(config), name).map_err(std::io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut tcp)?;
    }
    Ok(StreamOwned::new(session, tcp))
}

/// Connects, and shakes hands for a server name.
pub(crate) fn connect(
    address: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let tcp = TcpStream::connect(address)?;
    tcp.set_read_timeout(Some(Duration::from_secs(10)))?;
    tcp.set_nodelay(true)?;
    handshake(tcp, name, config)
}

/// The DNS names of the certificate that a server shows for a name.
pub(crate) fn shown(stream: &StreamOwned<ClientConnection, TcpStream>, authority: &Authority) -> String {
    let leaf = stream.conn.peer_certificates().unwrap()[0].clone();
    let file = |path: &Path| CertificateDer::from_pem_file(path).is_ok_and(|known| known == leaf);
    let files = std::fs::read_dir(authority.folder.path()).unwrap();
    let found = files.map(|entry| entry.unwrap().path()).find(|path| file(path)).unwrap();
    found.file_stem().unwrap().to_str().unwrap().to_owned()
}
