//! A session id as the affinity core keeps it: a keyed digest, never the id itself.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher24;
use siphasher::sip128::{Hasher128 as _, SipHasher24 as SipHasher24x128};

use crate::pool::HashSeed;

/// A keyed 128-bit digest of a session id: the learned table's key.
///
/// Keyed with the affinity seed (SipHash-2-4): a client that chooses its session id can choose neither a
/// backend nor a collision with somebody else's session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SessionDigest(pub [u8; 16]);

impl SessionDigest {
    /// Digests a session id as the application wrote it, without quotes.
    pub fn of(seed: &HashSeed, id: &[u8]) -> Self {
        let mut hasher = SipHasher24x128::new_with_key(&seed.0);
        hasher.write(b"session\0");
        hasher.write(id);
        Self(hasher.finish128().as_bytes())
    }

    /// The part of the digest that a token carries.
    pub fn fingerprint(&self) -> Fingerprint {
        let [a, b, c, d, e, ..] = self.0;
        // All zero stands for "none" in a token.
        Fingerprint(if [a, b, c, d, e] == [0; 5] { [0, 0, 0, 0, 1] } else { [a, b, c, d, e] })
    }

    /// What logs call the session: keyed once more, so that a log leads to no place in a table or on the ring.
    pub fn mark(&self, seed: &HashSeed) -> u64 {
        keyed(seed, b"mark\0", &[&self.0])
    }

    /// Where the session's consistent hash starts on the ring.
    pub fn ring_key(&self) -> u64 {
        let [.., a, b, c, d, e, f, g, h] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

/// 40 bits of a [`SessionDigest`]: binds a token to a session without naming it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fingerprint(pub [u8; 5]);

/// A random number fixed for a session's life: where its successor search starts when its backend is gone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SessionSeed(pub u64);

impl SessionSeed {
    /// What logs call a session that has no id.
    pub fn mark(self, seed: &HashSeed) -> u64 {
        keyed(seed, b"seed mark\0", &[&self.0.to_le_bytes()])
    }

    /// Where the search for a successor starts on the ring.
    pub fn ring_key(self, seed: &HashSeed) -> u64 {
        keyed(seed, b"seed\0", &[&self.0.to_le_bytes()])
    }
}

/// A keyed 64-bit hash of several parts, each with its length, under a label that separates its uses.
pub(crate) fn keyed(seed: &HashSeed, label: &[u8], parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(&seed.0);
    hasher.write(label);
    for part in parts {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
    hasher.finish()
}
