//! How responses of a listener are written shorter.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::checked;
use crate::route::MediaRange;

/// How responses of a listener are written shorter.
#[derive(Debug)]
pub struct Compression {
    /// What may be used, in the order of preference.
    pub algorithms: Box<[Coding]>,
    /// Responses of these media types.
    pub content_types: Box<[MediaRange]>,
    /// Shorter ones are sent as they are.
    pub minimum_bytes: u64,
    /// From 1 to 9.
    pub level: u32,
    /// Whether compressed responses are written out for clients that cannot read them.
    pub decompress: bool,
    at_once: usize,
    in_use: Arc<AtomicUsize>,
}

/// A way to write a body shorter (RFC 9110 section 8.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coding {
    /// `gzip`.
    Gzip,
    /// `br` (RFC 7932).
    Brotli,
    /// `zstd` (RFC 8878).
    Zstd,
}

/// A place for one coder; free when dropped.
#[derive(Debug)]
pub struct CodingPlace(Arc<AtomicUsize>);

impl Coding {
    /// Its word in `Content-Encoding`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// What a word names; `x-gzip` is an old name (RFC 9110 section 8.4.1.3).
    pub fn read(word: &[u8]) -> Option<Self> {
        match word {
            word if word.eq_ignore_ascii_case(b"gzip") || word.eq_ignore_ascii_case(b"x-gzip") => {
                Some(Self::Gzip)
            }
            word if word.eq_ignore_ascii_case(b"br") => Some(Self::Brotli),
            word if word.eq_ignore_ascii_case(b"zstd") => Some(Self::Zstd),
            _ => None,
        }
    }
}

impl From<checked::Coding> for Coding {
    fn from(coding: checked::Coding) -> Self {
        match coding {
            checked::Coding::Gzip => Self::Gzip,
            checked::Coding::Brotli => Self::Brotli,
            checked::Coding::Zstd => Self::Zstd,
        }
    }
}

impl Compression {
    pub(super) fn new(checked: checked::Compression) -> Self {
        Self {
            algorithms: checked.algorithms.into_iter().map(Into::into).collect(),
            content_types: super::routes::media(checked.content_types),
            minimum_bytes: checked.minimum_bytes,
            level: checked.level,
            decompress: checked.decompress,
            at_once: checked.at_once,
            in_use: Arc::default(),
        }
    }

    /// A place for one more coder; `None`: too many are at work, and the body goes as it is.
    pub fn place(&self) -> Option<CodingPlace> {
        let count = self.in_use.fetch_add(1, Ordering::Relaxed);
        let place = CodingPlace(Arc::clone(&self.in_use));
        (count < self.at_once).then_some(place)
    }
}

impl Drop for CodingPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
