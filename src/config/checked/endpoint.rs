//! Where something is posted.

use std::time::Duration;

use super::Secret;

/// Where something is posted over HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether it is spoken to over TLS.
    pub tls: bool,
    /// Its name or IP address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Path and query; may be a secret.
    pub target: String,
    /// What it is shown, if anything.
    pub token: Option<Secret>,
    /// For one try, whole. Default 5 s.
    pub timeout: Duration,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { tls, host, port, target: _, token: _, timeout } = self;
        write!(f, "Endpoint({host}:{port}, tls: {tls}, timeout: {timeout:?})")
    }
}
