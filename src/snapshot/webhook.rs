//! Where alerts are posted, compiled.

use std::time::Duration;

use http::HeaderValue;

use crate::config::checked;

/// A web hook.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
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

impl Webhook {
    pub(super) fn new(webhook: checked::Webhook) -> Self {
        let checked::Webhook { tls, host, port, target, token, timeout } = webhook;
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

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}
