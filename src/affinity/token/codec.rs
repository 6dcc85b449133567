//! What a token says, and its 42 bytes.

use arrayvec::ArrayVec;

use crate::affinity::session::{Fingerprint, SessionDigest, SessionSeed};
use crate::affinity::set_cookie::SameSite;
use crate::names::{BackendTag, Epoch};

/// Session ids that one token can vouch for.
pub(crate) const MAX_FINGERPRINTS: usize = 3;

/// Length of the encoded token before sealing.
pub(super) const PAYLOAD_LENGTH: usize = 42;

/// What a token says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// The backend that holds the session.
    pub backend: BackendTag,
    /// That backend's epoch at the time of issue.
    pub epoch: Epoch,
    /// Fixed for the session's life.
    pub seed: SessionSeed,
    /// When the session's first token was issued, in seconds since 1970.
    pub issued_s: u32,
    /// When this token was issued, in seconds since 1970.
    pub seen_s: u32,
    /// The application cookie's attributes, for tokens issued later.
    pub flags: Flags,
    /// The cookie's `Max-Age` in minutes, counted from `seen_s`; 0: until the browser ends.
    pub max_age_min: u16,
    /// The application's session ids that it vouches for, newest first.
    pub fingerprints: ArrayVec<Fingerprint, MAX_FINGERPRINTS>,
}

/// Attributes that the load-balancer cookie keeps from the application's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags {
    /// `Secure`.
    pub secure: bool,
    /// `Partitioned`.
    pub partitioned: bool,
    /// `SameSite`, if the application set one.
    pub same_site: Option<SameSite>,
}

impl Flags {
    fn to_byte(self) -> u8 {
        let same_site = match self.same_site {
            None => 0,
            Some(SameSite::Strict) => 1,
            Some(SameSite::Lax) => 2,
            Some(SameSite::None) => 3,
        };
        u8::from(self.secure) | u8::from(self.partitioned) << 1 | same_site << 2
    }

    fn from_byte(byte: u8) -> Self {
        let same_site = match byte >> 2 & 3 {
            1 => Some(SameSite::Strict),
            2 => Some(SameSite::Lax),
            3 => Some(SameSite::None),
            _ => None,
        };
        Self { secure: byte & 1 != 0, partitioned: byte & 2 != 0, same_site }
    }
}

impl Token {
    /// Whether the token vouches for this session.
    pub fn vouches_for(&self, session: &SessionDigest) -> bool {
        self.fingerprints.contains(&session.fingerprint())
    }

    /// Lays the token out; 48 bits of the backend's tag are plenty among the backends of one pool.
    pub(super) fn encode(&self) -> [u8; PAYLOAD_LENGTH] {
        let mut fields = ArrayVec::<u8, PAYLOAD_LENGTH>::new();
        let mut put = |bytes: &[u8]| fields.extend(bytes.iter().copied());
        put(&tag48(self.backend));
        put(&self.max_age_min.to_le_bytes());
        put(&self.epoch.0.to_le_bytes());
        put(&self.seed.0.to_le_bytes());
        put(&self.issued_s.to_le_bytes());
        put(&self.seen_s.to_le_bytes());
        put(&[self.flags.to_byte()]);
        for fingerprint in &self.fingerprints {
            put(&fingerprint.0);
        }
        let mut payload = [0; PAYLOAD_LENGTH];
        payload.iter_mut().zip(&fields).for_each(|(to, from)| *to = *from);
        payload
    }

    pub(super) fn decode(payload: &[u8; PAYLOAD_LENGTH]) -> Option<Self> {
        let mut rest = payload.as_slice();
        let [t0, t1, t2, t3, t4, t5] = take(&mut rest)?;
        let mut token = Self {
            backend: BackendTag(u64::from_le_bytes([t0, t1, t2, t3, t4, t5, 0, 0])),
            max_age_min: u16::from_le_bytes(take(&mut rest)?),
            epoch: Epoch(u16::from_le_bytes(take(&mut rest)?)),
            seed: SessionSeed(u64::from_le_bytes(take(&mut rest)?)),
            issued_s: u32::from_le_bytes(take(&mut rest)?),
            seen_s: u32::from_le_bytes(take(&mut rest)?),
            flags: Flags::from_byte(take::<1>(&mut rest)?[0]),
            fingerprints: ArrayVec::new(),
        };
        for _ in 0..MAX_FINGERPRINTS {
            let fingerprint = take(&mut rest)?;
            if fingerprint != [0; 5] {
                token.fingerprints.push(Fingerprint(fingerprint));
            }
        }
        Some(token)
    }
}

fn tag48(tag: BackendTag) -> [u8; 6] {
    let [a, b, c, d, e, f, ..] = tag.0.to_le_bytes();
    [a, b, c, d, e, f]
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            tag in 0_u64..1 << 48, epoch: u16, seed: u64, issued: u32, seen: u32, age: u16, flags in 0_u8..16,
            prints in proptest::collection::vec(proptest::array::uniform5(1_u8..), 0..=3),
        ) {
            let token = Token {
                backend: BackendTag(tag), epoch: Epoch(epoch), seed: SessionSeed(seed), issued_s: issued,
                seen_s: seen, flags: Flags::from_byte(flags), max_age_min: age,
                fingerprints: prints.into_iter().map(Fingerprint).collect(),
            };
            prop_assert_eq!(Token::decode(&token.encode()), Some(token));
        }
    }
}
