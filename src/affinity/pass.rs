//! A visitor's pass: its turn in the waiting room, sealed as tokens are, so that nobody can write himself a better one.

use arrayvec::ArrayVec;

use super::session::SessionSeed;
use super::token::{Flags, KeyRing, PoolBinding, SealedToken, Token};
use crate::names::{BackendTag, Epoch, PoolName};

/// Says in a token's place for minutes that its holder was let in.
const LET_IN: u16 = 1;

/// What a visitor's cookie says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pass {
    /// When it first came, in seconds since 1970.
    pub came_s: u64,
    /// Nobody else's.
    pub id: u64,
    /// When this pass was issued, in seconds since 1970.
    pub seen_s: u64,
    /// Whether it was let in.
    pub let_in: bool,
}

impl Pass {
    /// What ties passes to one pool: no token of it opens as a pass, and no pass as a token.
    pub fn binding(pool: &PoolName) -> PoolBinding {
        // No pool's name has a NUL in it.
        PoolBinding::of(&PoolName::new(&format!("{pool}\0waiting room")))
    }

    /// Seals it. The nonce is 12 random bytes, fresh for each call.
    pub fn seal(&self, keys: &KeyRing, binding: &PoolBinding, nonce: [u8; 12]) -> SealedToken {
        let seconds = |s: u64| u32::try_from(s).unwrap_or(u32::MAX);
        let token = Token {
            backend: BackendTag(0),
            epoch: Epoch(0),
            seed: SessionSeed(self.id),
            issued_s: seconds(self.came_s),
            seen_s: seconds(self.seen_s),
            flags: Flags::default(),
            max_age_min: if self.let_in { LET_IN } else { 0 },
            fingerprints: ArrayVec::new(),
        };
        keys.seal(&token, binding, nonce)
    }

    /// Opens a cookie's value; `None`: it is no pass of ours.
    pub fn open(text: &[u8], keys: &KeyRing, binding: &PoolBinding) -> Option<Self> {
        let token = keys.open(text, binding).ok()?;
        Some(Self {
            came_s: token.issued_s.into(),
            id: token.seed.0,
            seen_s: token.seen_s.into(),
            let_in: token.max_age_min == LET_IN,
        })
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::affinity::Key;

    #[test]
    fn a_pass_opens_for_its_pool_and_only_as_a_pass() {
        let keys = KeyRing::new(Key::new("a", &Zeroizing::new([1; 32])), vec![]);
        let (app, other) = (PoolName::new("app"), PoolName::new("other"));
        let pass = Pass { came_s: 1_700_000_000, id: 42, seen_s: 1_700_000_060, let_in: true };
        let sealed = pass.seal(&keys, &Pass::binding(&app), [3; 12]);
        assert_eq!(Pass::open(sealed.as_str().as_bytes(), &keys, &Pass::binding(&app)), Some(pass));
        assert_eq!(Pass::open(sealed.as_str().as_bytes(), &keys, &Pass::binding(&other)), None);
        assert!(keys.open(sealed.as_str().as_bytes(), &PoolBinding::of(&app)).is_err(), "it is no token");
        assert_eq!(Pass::open(b"forged", &keys, &Pass::binding(&app)), None);
    }
}
