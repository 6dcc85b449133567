//! A PEM file, read whole and within bounds.

use std::io::Read as _;
use std::path::{Path, PathBuf};

/// A chain, or a bundle of all public authorities, is smaller; another file was given by mistake.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// A file that is of no use, and why.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{}` {why}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, as the end of a sentence.
    pub why: String,
    /// What to do.
    pub help: &'static str,
}

impl FileError {
    pub(super) fn new(path: &Path, why: impl Into<String>, help: &'static str) -> Self {
        Self { path: path.to_owned(), why: why.into(), help }
    }
}

/// The file's bytes.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let cannot = |error: std::io::Error| {
        let help = match error.kind() {
            std::io::ErrorKind::PermissionDenied => "let the user that Steadfast runs as read it",
            _ => "relative paths start at the configuration file's folder",
        };
        FileError::new(path, format!("cannot be read: {error}"), help)
    };
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(FileError::new(path, "is larger than 4 MiB", "give the PEM file alone"));
    }
    Ok(bytes)
}
