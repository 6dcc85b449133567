//! The public error: what kept Steadfast from starting.

use crate::config::Problems;
use crate::lifecycle::PrivilegesError;
use crate::listen::BindError;
use crate::snapshot::SecretsError;
use crate::tls::TlsError;

/// What kept Steadfast from starting.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration has errors; each is named with its position.
    #[error("{0}")]
    Configuration(#[from] Problems),
    /// A key or the seed could not be read or made.
    #[error("{0}")]
    Secrets(#[from] SecretsError),
    /// A listener could not be bound.
    #[error("{0}")]
    Bind(#[from] BindError),
    /// TLS could not be set up.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// Root could not be given up.
    #[error("{0}")]
    Privileges(#[from] PrivilegesError),
    /// The system refused something that is needed to run.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}
