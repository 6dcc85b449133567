//! What a listener speaks: rustls' settings, made from ours.

use std::sync::Arc;

use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::server::{NoServerSessionStorage, ProducesTickets, ServerConfig, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};

use super::authorities::Authorities;
use super::identity::Identity;
use super::resolver::Resolver;

/// What a listener's TLS is made from.
#[derive(Clone, PartialEq, Debug)]
pub struct ServerSettings {
    /// The certificates; the first is the default.
    pub identities: Vec<Arc<Identity>>,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
    /// Whether clients of TLS 1.2 are served.
    pub tls12: bool,
    /// Whether clients are to show a certificate.
    pub clients: Option<ClientAuth>,
}

/// How clients authenticate.
#[derive(Clone, PartialEq, Debug)]
pub struct ClientAuth {
    /// Who signs their certificates.
    pub authorities: Authorities,
    /// Whether a client without one is turned away.
    pub required: bool,
}

/// Settings that rustls refuses.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up: {0}")]
pub struct TlsError(String);

/// The keys that session tickets are sealed with: made anew by each process, changed by themselves every six hours.
#[derive(Clone, Debug)]
pub struct TicketKeys(Arc<dyn ProducesTickets>);

impl TicketKeys {
    /// Fresh keys.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new() -> Result<Self, TlsError> {
        Ticketer::new().map(Self).map_err(|error| TlsError(error.to_string()))
    }
}

/// Makes rustls' settings. A session that was begun under the same `tickets` is resumed: they must be other ones where
/// other clients are let in.
///
/// # Errors
/// rustls refuses them.
pub fn server_config(settings: &ServerSettings, tickets: &TicketKeys) -> Result<ServerConfig, TlsError> {
    let refused = |error: &dyn std::fmt::Display| TlsError(error.to_string());
    let provider = Arc::new(default_provider());
    let versions: &[_] = if settings.tls12 { &[&TLS13, &TLS12] } else { &[&TLS13] };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| refused(&error))?;
    let builder = match &settings.clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(
                Arc::clone(clients.authorities.store()),
                provider,
            );
            let verifier = if clients.required { verifier } else { verifier.allow_unauthenticated() };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| refused(&error))?)
        }
    };
    let identities = settings.identities.iter().map(AsRef::as_ref);
    let mut config = builder.with_cert_resolver(Arc::new(Resolver::new(identities)));
    config.alpn_protocols = match settings.http2 {
        true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        false => vec![b"http/1.1".to_vec()],
    };
    config.ticketer = Arc::clone(&tickets.0);
    // Tickets are with the client; a store of our own would be one more thing that clients can fill.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // No early data: it can be replayed (RFC 8446 section 8).
    config.max_early_data_size = 0;
    Ok(config)
}
