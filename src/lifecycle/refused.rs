//! Why something was not changed.

use super::upgrade::UpgradeError;
use crate::config::Problems;
use crate::names::PoolName;
use crate::snapshot::{LogError, SecretsError};
use crate::tls::TlsError;

/// Why a configuration was not put in force. The one before still is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// It has errors.
    #[error("{0}")]
    Configuration(#[from] Problems),
    /// A key or the seed could not be read.
    #[error("{0}")]
    Secrets(#[from] SecretsError),
    /// An access log cannot be opened.
    #[error("{0}")]
    Log(#[from] LogError),
    /// TLS cannot be set up.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// It asks for what only another process can do.
    #[error("{0}: a reload cannot change that; `steadfast upgrade` does, by a new process")]
    NeedsAnotherProcess(String),
    /// It asks for what only another process can do, and none could take over.
    #[error("{what}, which takes another process: {source}")]
    Upgrade {
        /// What it asks for.
        what: String,
        /// Why there is no other process.
        source: UpgradeError,
    },
    /// Another process has taken over.
    #[error("another process has taken over, and this one only finishes what runs: ask the other one")]
    HandedOver,
    /// There is no file.
    #[error("there is no file to reload: the program that runs the balancer gave it its configuration")]
    NoFile,
}

/// Why a change by hand was refused. Nothing has changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// No such pool.
    #[error("there is no pool `{0}`")]
    UnknownPool(String),
    /// No such backend.
    #[error("pool `{pool}` has no backend `{backend}`")]
    UnknownBackend {
        /// The pool.
        pool: PoolName,
        /// What was asked for.
        backend: String,
    },
    /// A backend of that id is there already.
    #[error("pool `{pool}` already has a backend `{backend}`; remove it first, or choose another id")]
    KnownBackend {
        /// The pool.
        pool: PoolName,
        /// The id.
        backend: String,
    },
    /// An id that the configuration would not take either.
    #[error("`{0}` is no id: letters, digits, `-`, `_` and `.`, at most 128 of them")]
    BadId(String),
    /// It drains already, because it was taken out.
    #[error("backend `{0}` was taken out and is draining; add it again to bring it back")]
    Leaving(String),
    /// Another process has taken over.
    #[error("another process has taken over, and this one only finishes what runs: ask the other one")]
    HandedOver,
    /// The pool would have nobody left.
    #[error("backend `{0}` is the last one of its pool")]
    LastBackend(String),
}
