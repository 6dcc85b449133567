//! Who is told when more sessions are lost than usual.

use std::time::Duration;

use super::Secret;

/// A web hook.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
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

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { tls, host, port, target: _, token: _, timeout } = self;
        write!(f, "Webhook({host}:{port}, tls: {tls}, timeout: {timeout:?})")
    }
}
