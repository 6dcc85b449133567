//! How backends are spoken to.

use std::sync::Arc;

use crate::tls::{Authorities, Identity};

/// TLS towards backends.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolTls {
    /// The server name; `None`: the backend's IP address.
    pub sni: Option<String>,
    /// Who signs backends' certificates; `None`: whom the system trusts.
    pub authorities: Option<Authorities>,
    /// Whether certificates are verified. Default yes.
    pub verify: bool,
    /// What is shown to backends, if anything.
    pub identity: Option<Arc<Identity>>,
}

/// What is spoken to backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/1.1.
    H1,
    /// HTTP/2, also in cleartext.
    H2,
    /// HTTP/2 where the backend agrees to it in the TLS handshake.
    Auto,
}
