//! A small bounded memory of opened tokens: a returning client's token is not opened at full price.
//!
//! Direct-mapped: a token has one place, and the last one opened stands there. Only tokens that opened are
//! kept, whole, so a client can at most push out another's entry, which costs one opening.

use parking_lot::Mutex;

use super::codec::Token;
use super::seal::{PoolBinding, SealedToken};

/// Places; about 200 bytes each.
const PLACES: usize = 4096;

pub(super) struct OpenedTokens {
    places: Box<[Mutex<Option<Opened>>]>,
}

struct Opened {
    sealed: SealedToken,
    pool: PoolBinding,
    token: Token,
}

impl OpenedTokens {
    pub(super) fn new() -> Self {
        Self { places: (0..PLACES).map(|_| Mutex::new(None)).collect() }
    }

    pub(super) fn find(&self, sealed: &SealedToken, pool: &PoolBinding) -> Option<Token> {
        let place = self.place(sealed)?.try_lock()?;
        let opened = place.as_ref()?;
        (opened.sealed == *sealed && opened.pool == *pool).then(|| opened.token.clone())
    }

    pub(super) fn keep(&self, sealed: &SealedToken, pool: &PoolBinding, token: &Token) {
        // A place in use by another thread is not worth a wait.
        if let Some(mut place) = self.place(sealed).and_then(Mutex::try_lock) {
            *place = Some(Opened { sealed: *sealed, pool: *pool, token: token.clone() });
        }
    }

    fn place(&self, sealed: &SealedToken) -> Option<&Mutex<Option<Opened>>> {
        // The last characters are authentication tag: as good as random.
        let (_, last) = sealed.bytes().split_last_chunk::<8>()?;
        let spread = u64::from_le_bytes(*last).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 52;
        self.places.get(usize::try_from(spread).unwrap_or(0) % PLACES)
    }
}

impl std::fmt::Debug for OpenedTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpenedTokens(…)")
    }
}
