//! `tls` and `http` of a pool: how its backends are spoken to.

use crate::config::checked::HttpVersion;
use crate::config::read::keys;
use crate::config::text::{DnsName, FilePath, Switch};
use crate::config::words::Word;

keys! {
    /// TLS towards backends.
    struct PoolTls {
        /// The server name that is asked for and that the certificate must have; null: the backend's IP address.
        sni: Option<DnsName> = "null",
        /// PEM file with the authorities that sign the backends' certificates; null: `server.ca_file`, else the system's.
        ca: Option<FilePath> = "null",
        /// Whether certificates are verified. Without it anybody on the way can read and change everything.
        verify: Switch = "true",
        /// PEM file with a certificate of our own that is shown to backends, and its chain; null: none. With `key`.
        cert: Option<FilePath> = "null",
        /// PEM file with the private key of `cert`, not encrypted; nobody else should be able to read it.
        key: Option<FilePath> = "null",
    }
}

keys! {
    /// HTTP towards backends.
    struct PoolHttp {
        /// `h1`: HTTP/1.1; `h2`: HTTP/2, as gRPC needs it, also in cleartext; `auto`: HTTP/2 where the backend agrees to it in the
        /// TLS handshake. Requests for a WebSocket are sent in HTTP/1.1.
        version: Word<HttpVersion> = "h1",
    }
}
