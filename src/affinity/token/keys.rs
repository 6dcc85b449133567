//! The key ring: the first key seals, all open, so that a rotation loses no session.

use aes_gcm_siv::{Aes256GcmSiv, KeyInit as _};
use siphasher::sip::SipHasher24;
use zeroize::Zeroizing;

use super::codec::Token;
use super::opened::OpenedTokens;
use super::seal::{self, PoolBinding, Refused, SealedToken};

/// One key: 256 bits under an id.
pub struct Key {
    tag: u8,
    cipher: Aes256GcmSiv,
}

impl Key {
    /// Makes a key. Tokens name it by one byte made from its id; two keys may share that byte.
    pub fn new(id: &str, secret: &Zeroizing<[u8; 32]>) -> Self {
        let digest = SipHasher24::new_with_key(b"steadfast key id").hash(id.as_bytes());
        let [tag, ..] = digest.to_le_bytes();
        let key: &[u8; 32] = secret;
        Self { tag, cipher: Aes256GcmSiv::new(key.into()) }
    }

    pub(super) fn tag(&self) -> u8 {
        self.tag
    }

    pub(super) fn cipher(&self) -> &Aes256GcmSiv {
        &self.cipher
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// The keys in force, with a bounded memory of tokens that they have opened.
#[derive(Debug)]
pub struct KeyRing {
    sealing: Key,
    older: Vec<Key>,
    opened: OpenedTokens,
}

impl KeyRing {
    /// Makes a ring: `sealing` seals, it and all `older` ones open.
    pub fn new(sealing: Key, older: Vec<Key>) -> Self {
        Self { sealing, older, opened: OpenedTokens::new() }
    }

    /// Seals a token for a pool. The nonce is 12 random bytes, fresh for each call.
    pub fn seal(&self, token: &Token, pool: &PoolBinding, nonce: [u8; 12]) -> SealedToken {
        seal::seal(&self.sealing, token, pool, nonce)
    }

    /// Opens a cookie value.
    ///
    /// # Errors
    /// What is wrong with it; the caller counts it and treats the token as absent.
    pub fn open(&self, text: &[u8], pool: &PoolBinding) -> Result<Token, Refused> {
        let sealed = SealedToken::from_text(text)?;
        if let Some(token) = self.opened.find(&sealed, pool) {
            return Ok(token);
        }
        let keys = std::iter::once(&self.sealing).chain(&self.older);
        let token = seal::open(keys, &sealed, pool)?;
        self.opened.keep(&sealed, pool, &token);
        Ok(token)
    }
}
