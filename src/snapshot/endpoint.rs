//! Where something is posted, compiled.

use std::time::Duration;

use http::HeaderValue;

use crate::config::checked;

/// Where something is posted over HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether it is spoken to over TLS.
    pub tls: bool,
    /// Its name or IP address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Path and query.
    pub target: String,
    /// What it is shown, if anything.
    pub authorization: Option<HeaderValue>,
    /// For one try, whole.
    pub timeout: Duration,
}

impl Endpoint {
    pub(super) fn new(endpoint: checked::Endpoint) -> Self {
        let checked::Endpoint { tls, host, port, target, token, timeout } = endpoint;
        let authorization = token.and_then(|token| {
            let mut value = HeaderValue::from_bytes(&[b"Bearer ", token.0.as_slice()].concat()).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        Self { tls, host, port, target, authorization, timeout }
    }

    /// Its `Host`: without the port where that is the scheme's own (RFC 9110 section 7.2).
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

/// Without its path, which may be a secret.
impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}
