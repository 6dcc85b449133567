//! What can be wrong with the database of learned sessions.

/// Why the database does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// Another process has it, such as the one before an upgrade.
    #[error("another process uses it")]
    Locked,
    /// It is no database, or a broken one.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// The system refuses.
    #[error("{0}")]
    Unusable(String),
}

/// What redb's word means for us.
pub(super) fn fault(error: impl Into<redb::Error>) -> DiskError {
    match error.into() {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => DiskError::Locked,
        redb::Error::Io(error) => match error.kind() {
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => {
                DiskError::Damaged(error.to_string())
            }
            _ => DiskError::Unusable(error.to_string()),
        },
        error @ (redb::Error::Corrupted(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. }) => DiskError::Damaged(error.to_string()),
        error => DiskError::Unusable(error.to_string()),
    }
}

/// The system refuses.
pub(super) fn unusable(error: std::io::Error) -> DiskError {
    DiskError::Unusable(error.to_string())
}
