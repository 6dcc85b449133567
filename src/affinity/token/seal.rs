//! Sealing and opening: layout outside, authenticated encryption inside.

use aes_gcm_siv::aead::AeadInOut as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use siphasher::sip128::SipHasher24;

use super::codec::{PAYLOAD_LENGTH, Token};
use super::keys::Key;
use crate::names::PoolName;

/// Characters of a sealed token: constant, so that its length says nothing.
pub const TOKEN_LENGTH: usize = 96;

const VERSION: u8 = 1;
const NONCE_LENGTH: usize = 12;
const TAG_LENGTH: usize = 16;
const RAW_LENGTH: usize = 2 + NONCE_LENGTH + PAYLOAD_LENGTH + TAG_LENGTH;

/// What ties a token to one pool: another pool's token does not open.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PoolBinding([u8; 16]);

impl PoolBinding {
    /// The binding of a pool, the same on every replica.
    pub fn of(pool: &PoolName) -> Self {
        Self(SipHasher24::new_with_key(b"steadfast pool n").hash(pool.as_str().as_bytes()).as_bytes())
    }

    /// Six hexadecimal digits made from the pool's name, for the default cookie name.
    pub fn suffix(&self) -> String {
        self.0.iter().take(3).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Why a token counts as absent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Refused {
    /// It has not the one length that tokens have.
    #[error("wrong length")]
    Length,
    /// It is not URL-safe base64.
    #[error("not base64")]
    Encoding,
    /// Its version or its key is unknown.
    #[error("unknown version or key")]
    UnknownKey,
    /// No key opens it: forged, altered, or sealed for another pool.
    #[error("not sealed by our keys for this pool")]
    Forged,
    /// It is older than `lifetime`, or unused for longer than `idle`, or from the future.
    #[error("expired")]
    Expired,
}

/// A token as the client holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SealedToken([u8; TOKEN_LENGTH]);

impl SealedToken {
    /// Takes a cookie's value, if it has a token's length.
    ///
    /// # Errors
    /// [`Refused::Length`] otherwise.
    pub fn from_text(text: &[u8]) -> Result<Self, Refused> {
        text.try_into().map(Self).or(Err(Refused::Length))
    }

    /// The cookie's value.
    pub fn as_str(&self) -> &str {
        // Base64 is ASCII; a value from a client that is not never gets past `open`.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The characters as bytes.
    pub(super) fn bytes(&self) -> &[u8; TOKEN_LENGTH] {
        &self.0
    }

    /// The token alone as a header value.
    pub fn to_header_value(self) -> Option<HeaderValue> {
        HeaderValue::from_bytes(&self.0).ok()
    }
}

pub(super) fn seal(key: &Key, token: &Token, pool: &PoolBinding, nonce: [u8; NONCE_LENGTH]) -> SealedToken {
    let mut raw = [0; RAW_LENGTH];
    let mut payload = token.encode();
    let sealed = key.cipher().encrypt_inout_detached(
        &nonce.into(),
        &associated(key.tag(), pool),
        payload.as_mut_slice().into(),
    );
    // AES-GCM-SIV refuses messages above 2^36 bytes only; an all-zero token would be refused on arrival.
    let tag = sealed.map(<[u8; TAG_LENGTH]>::from).unwrap_or_default();
    let parts = [VERSION, key.tag()].into_iter().chain(nonce).chain(payload).chain(tag);
    raw.iter_mut().zip(parts).for_each(|(to, from)| *to = from);

    let mut text = [0; TOKEN_LENGTH];
    // 72 bytes are 96 characters: it always fits.
    let written = URL_SAFE_NO_PAD.encode_slice(raw, &mut text);
    debug_assert_eq!(written, Ok(TOKEN_LENGTH), "a token has one length");
    SealedToken(text)
}

pub(super) fn open<'k>(
    keys: impl Iterator<Item = &'k Key>,
    sealed: &SealedToken,
    pool: &PoolBinding,
) -> Result<Token, Refused> {
    // `decode_slice` wants room for its own estimate.
    let mut raw = [0; RAW_LENGTH + 3];
    if URL_SAFE_NO_PAD.decode_slice(sealed.bytes(), &mut raw) != Ok(RAW_LENGTH) {
        return Err(Refused::Encoding);
    }
    let Some((&[version, key_tag], rest)) = raw.split_first_chunk() else { return Err(Refused::Length) };
    let Some((nonce, rest)) = rest.split_first_chunk::<NONCE_LENGTH>() else { return Err(Refused::Length) };
    let Some((payload, rest)) = rest.split_first_chunk::<PAYLOAD_LENGTH>() else {
        return Err(Refused::Length);
    };
    let Some((tag, _)) = rest.split_first_chunk::<TAG_LENGTH>() else { return Err(Refused::Length) };
    if version != VERSION {
        return Err(Refused::UnknownKey);
    }
    let mut refused = Refused::UnknownKey;
    for key in keys.filter(|key| key.tag() == key_tag) {
        let mut opened = *payload;
        let result = key.cipher().decrypt_inout_detached(
            nonce.into(),
            &associated(key_tag, pool),
            opened.as_mut_slice().into(),
            tag.into(),
        );
        match result.ok().and_then(|()| Token::decode(&opened)) {
            Some(token) => return Ok(token),
            None => refused = Refused::Forged,
        }
    }
    Err(refused)
}

/// Version, key and pool are authenticated with the token.
fn associated(key_tag: u8, pool: &PoolBinding) -> [u8; 18] {
    let mut data = [0; 18];
    let parts = [VERSION, key_tag].into_iter().chain(pool.0);
    data.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    data
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::*;
    use crate::affinity::session::SessionSeed;
    use crate::affinity::token::{Flags, KeyRing};
    use crate::names::{BackendTag, Epoch};

    fn token() -> Token {
        Token {
            backend: BackendTag(7),
            epoch: Epoch(1),
            seed: SessionSeed(42),
            issued_s: 1_700_000_000,
            seen_s: 1_700_000_000,
            flags: Flags::default(),
            max_age_min: 0,
            fingerprints: Default::default(),
        }
    }

    fn key(id: &str, byte: u8) -> Key {
        Key::new(id, &Zeroizing::new([byte; 32]))
    }

    fn pool(name: &str) -> PoolBinding {
        PoolBinding::of(&PoolName::new(name))
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let old = KeyRing::new(key("a", 1), vec![]);
        let new = KeyRing::new(key("b", 2), vec![key("a", 1)]);
        let without = KeyRing::new(key("b", 2), vec![]);
        let sealed = old.seal(&token(), &pool("app"), [9; 12]);
        assert_eq!(sealed.as_str().len(), TOKEN_LENGTH);
        assert_eq!(new.open(sealed.bytes(), &pool("app")), Ok(token()));
        assert_eq!(
            new.open(sealed.bytes(), &pool("app")),
            Ok(token()),
            "also from the memory of opened tokens"
        );
        assert!(without.open(sealed.bytes(), &pool("app")).is_err());
        let sealed = new.seal(&token(), &pool("app"), [9; 12]);
        assert!(old.open(sealed.bytes(), &pool("app")).is_err(), "the first key seals");
    }

    #[test]
    fn a_token_belongs_to_one_pool() {
        let ring = KeyRing::new(key("a", 1), vec![]);
        let sealed = ring.seal(&token(), &pool("app"), [9; 12]);
        assert!(ring.open(sealed.bytes(), &pool("app")).is_ok());
        assert_eq!(
            ring.open(sealed.bytes(), &pool("other")),
            Err(Refused::Forged),
            "not even out of the memory"
        );
    }

    #[test]
    fn wrong_lengths_are_refused() {
        let ring = KeyRing::new(key("a", 1), vec![]);
        for length in [0, 1, 95, 97, 128, 65_536] {
            assert_eq!(ring.open(&vec![b'A'; length], &pool("app")), Err(Refused::Length));
        }
        assert_eq!(ring.open(&[b'!'; 96], &pool("app")), Err(Refused::Encoding));
        assert_eq!(ring.open(&[b'A'; 96], &pool("app")), Err(Refused::UnknownKey));
    }

    proptest! {
        #[test]
        fn no_flipped_bit_opens(position in 0_usize..TOKEN_LENGTH, bit in 0_u8..8) {
            let ring = KeyRing::new(key("a", 1), vec![]);
            let mut text = *ring.seal(&token(), &pool("app"), [3; 12]).bytes();
            prop_assert!(ring.open(&text, &pool("app")).is_ok());
            text[position] ^= 1 << bit;
            prop_assert!(ring.open(&text, &pool("app")).is_err());
        }
    }
}
