//! What is kept here, so that a slow client keeps no backend waiting.

use std::path::PathBuf;

/// What is kept for slow clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Buffer {
    /// Request bodies, if they are read before a backend is chosen.
    pub request: Option<RequestBuffer>,
    /// Bytes of each response that are taken off the backend ahead of the client.
    pub response: Option<usize>,
    /// Memory that all of them share. Default 256 MiB.
    pub memory: u64,
}

/// How request bodies are read before a backend is chosen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestBuffer {
    /// Bytes of one body in memory. Default 64 KiB.
    pub memory: usize,
    /// Where longer ones go, if anywhere.
    pub folder: Option<PathBuf>,
    /// Bytes of one body in a file. Default 1 GiB.
    pub file: u64,
    /// Bytes of all files. Default 10 GiB.
    pub disk: u64,
}
