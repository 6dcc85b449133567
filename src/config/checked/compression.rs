//! Responses written shorter.

use super::MediaRange;

/// Responses written shorter for clients that can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compression {
    /// What may be used, in the order of preference.
    pub algorithms: Vec<Coding>,
    /// Responses of these media types.
    pub content_types: Vec<MediaRange>,
    /// Shorter ones are sent as they are. Default 1 KiB.
    pub minimum_bytes: u64,
    /// From 1 to 9. Default 4.
    pub level: u32,
    /// Whether compressed responses are written out for clients that cannot read them. Default no.
    pub decompress: bool,
    /// At the same time. Default 500.
    pub at_once: usize,
}

/// A way to write a body shorter (RFC 9110 section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `gzip`.
    Gzip,
    /// `br` (RFC 7932).
    Brotli,
    /// `zstd` (RFC 8878).
    Zstd,
}
