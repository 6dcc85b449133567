//! How a session stands in the engine: keys and values of constant length. Pure.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::affinity::{Origin, Remembered, SessionDigest};
use crate::clock::Now;
use crate::names::BackendTag;

/// Version, flags, end of life, backend.
pub(super) const VALUE_LENGTH: usize = 14;

const VERSION: u8 = 1;
const RETIRED: u8 = 1;

/// Makes one pool's keys.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    /// The mark is keyed with the pool's seed: where another seed made the digests, no key of theirs is one of ours.
    pub(super) fn of(mark: &SessionDigest) -> Self {
        Self { prefix: format!("steadfast:{}:", URL_SAFE_NO_PAD.encode(mark.0)) }
    }

    pub(super) fn key(&self, session: &SessionDigest) -> String {
        let mut key = String::with_capacity(self.prefix.len() + 22);
        key.push_str(&self.prefix);
        URL_SAFE_NO_PAD.encode_string(session.0, &mut key);
        key
    }
}

/// The value of a session that the application has started.
pub(super) fn encode(session: &Remembered) -> [u8; VALUE_LENGTH] {
    let [a, b, c, d] = session.expires_s.to_be_bytes();
    let [e, f, g, h, i, j, k, l] = session.backend.0.to_be_bytes();
    [VERSION, u8::from(session.retired) * RETIRED, a, b, c, d, e, f, g, h, i, j, k, l]
}

/// What a value says; of another version or length, it counts as absent.
pub(super) fn decode(session: &SessionDigest, value: &[u8]) -> Option<Remembered> {
    let [VERSION, flags, a, b, c, d, e, f, g, h, i, j, k, l] = *value else { return None };
    Some(Remembered {
        session: *session,
        backend: BackendTag(u64::from_be_bytes([e, f, g, h, i, j, k, l])),
        origin: Origin::Application,
        expires_s: u32::from_be_bytes([a, b, c, d]),
        retired: flags & RETIRED != 0,
    })
}

/// How long the engine is to keep it; `None`: not at all.
pub(super) fn time_to_live(session: &Remembered, now: Now) -> Option<Duration> {
    let left_s = u64::from(session.expires_s).saturating_sub(now.unix_s);
    (left_s > 0).then(|| Duration::from_secs(left_s))
}

/// Whether what we know of a session is newer than what the engine has: who used it last knows where it is.
///
/// For what is written anew after the engine was away. What just happened is written as it is.
pub(super) fn is_newer(ours: &Remembered, stored: Option<&Remembered>) -> bool {
    stored.is_none_or(|stored| match (stored.retired, ours.retired) {
        // An id that the application has replaced does not come back; nor does its shorter life count as older.
        (true, false) => false,
        (false, true) => true,
        (true, true) | (false, false) => ours.expires_s > stored.expires_s,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered(expires_s: u32, retired: bool) -> Remembered {
        let (session, backend) = (SessionDigest([200; 16]), BackendTag(0x1234_5678_9abc_def0));
        Remembered { session, backend, origin: Origin::Application, expires_s, retired }
    }

    #[test]
    fn a_value_comes_back_as_it_was_and_others_count_as_absent() {
        for known in [remembered(1_700_000_000, false), remembered(u32::MAX, true)] {
            assert_eq!(decode(&known.session, &encode(&known)), Some(known));
        }
        let mut value = encode(&remembered(5, false)).to_vec();
        assert_eq!(decode(&SessionDigest([0; 16]), &value[1..]), None);
        value[0] = 2;
        assert_eq!(decode(&SessionDigest([0; 16]), &value), None, "a later version");
        assert_eq!(decode(&SessionDigest([0; 16]), b""), None);
    }

    #[test]
    fn keys_are_of_one_length_and_no_pool_meets_another() {
        let keys = [Keys::of(&SessionDigest([1; 16])), Keys::of(&SessionDigest([2; 16]))];
        let lengths = keys.iter().map(|keys| keys.key(&SessionDigest([0; 16])).len());
        assert!(lengths.eq([55, 55]));
        assert_ne!(keys[0].key(&SessionDigest([0; 16])), keys[1].key(&SessionDigest([0; 16])));
        assert_ne!(keys[0].key(&SessionDigest([0; 16])), keys[0].key(&SessionDigest([255; 16])));
    }

    #[test]
    fn who_used_a_session_last_knows_where_it_is() {
        let (earlier, later) = (remembered(100, false), remembered(200, false));
        assert!(is_newer(&earlier, None));
        assert!(is_newer(&later, Some(&earlier)) && !is_newer(&earlier, Some(&later)));
        assert!(!is_newer(&later, Some(&later)), "the same again is not written");
        let retired = remembered(50, true);
        assert!(is_newer(&retired, Some(&later)) && !is_newer(&later, Some(&retired)));
    }

    #[test]
    fn what_has_expired_is_not_kept() {
        let now = Now { monotonic_ms: 0, unix_s: 100 };
        assert_eq!(time_to_live(&remembered(100, false), now), None);
        assert_eq!(time_to_live(&remembered(160, false), now), Some(Duration::from_secs(60)));
    }
}
