//! Token buckets, one for each key, in a table whose size is fixed.
//!
//! A bucket is one time: when it will be full again (the generic cell rate algorithm, ITU-T I.371). A key lives in one of
//! eight slots that its keyed hash names; where all are taken, the fullest bucket, which says least, gives way. So a
//! flood of invented keys costs no memory, and pushes out those first that have asked least.

use std::time::Duration;

use parking_lot::Mutex;
use siphasher::sip::SipHasher24;

use crate::clock::Now;

/// Slots that a key may live in.
const WAYS: usize = 8;
/// Locks, so that threads seldom meet.
const SHARDS: usize = 64;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// So many requests…
    pub requests: u32,
    /// …in this time, on average.
    pub per: Duration,
    /// So many at once after a pause, at least 1.
    pub burst: u32,
}

/// Buckets of one rate.
#[derive(Debug)]
pub struct Buckets {
    rate: Rate,
    /// Nobody outside can choose where a key lives.
    secret: [u8; 16],
    shards: Box<[Mutex<Box<[Slot]>>]>,
}

#[derive(Clone, Copy, Default, Debug)]
struct Slot {
    /// The key's hash; 0: nobody's.
    key: u64,
    /// When the bucket is full again, in nanoseconds on the monotonic clock.
    full_ns: u64,
}

impl Buckets {
    /// A table for about that many keys, 16 bytes each, keyed with a random secret.
    pub fn new(rate: Rate, keys: usize, secret: [u8; 16]) -> Self {
        let slots = keys.div_ceil(SHARDS).next_multiple_of(WAYS).max(WAYS);
        let shard = || Mutex::new(vec![Slot::default(); slots].into_boxed_slice());
        Self { rate, secret, shards: std::iter::repeat_with(shard).take(SHARDS).collect() }
    }

    /// Takes one out of the key's bucket.
    ///
    /// # Errors
    /// It is empty; gives how long until one is in it again.
    pub fn take(&self, key: &[u8], now: Now) -> Result<(), Duration> {
        let hash = SipHasher24::new_with_key(&self.secret).hash(key).max(1);
        let place = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        let Some(shard) = self.shards.get(place) else { return Ok(()) };
        let mut slots = shard.lock();
        let sets = (slots.len() / WAYS).max(1);
        let set = usize::try_from((hash >> 32) % sets as u64).unwrap_or(0);
        let ways = slots.iter_mut().skip(set * WAYS).take(WAYS);
        // The key's own slot, or else the one that is full the soonest.
        let Some(slot) = ways.min_by_key(|slot| (slot.key != hash, slot.full_ns)) else { return Ok(()) };
        if slot.key != hash {
            *slot = Slot { key: hash, full_ns: 0 };
        }
        let now_ns = now.monotonic_ms.saturating_mul(1_000_000);
        let (one, all) = self.spans();
        let full = slot.full_ns.max(now_ns).saturating_add(one);
        match full.checked_sub(now_ns.saturating_add(all)) {
            Some(wait @ 1..) => Err(Duration::from_nanos(wait)),
            _ => {
                slot.full_ns = full;
                Ok(())
            }
        }
    }

    /// Nanoseconds in which one comes in, and all.
    fn spans(&self) -> (u64, u64) {
        let per = u64::try_from(self.rate.per.as_nanos()).unwrap_or(u64::MAX);
        let one = per / u64::from(self.rate.requests.max(1));
        (one, one.saturating_mul(self.rate.burst.max(1).into()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Now = Now { monotonic_ms: 1_000_000_000, unix_s: 0 };

    fn buckets(requests: u32, per_s: u64, burst: u32, keys: usize) -> Buckets {
        Buckets::new(Rate { requests, per: Duration::from_secs(per_s), burst }, keys, [7; 16])
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let buckets = buckets(10, 1, 5, 1000);
        for _ in 0..5 {
            assert_eq!(buckets.take(b"a", NOW), Ok(()));
        }
        assert_eq!(buckets.take(b"a", NOW), Err(Duration::from_millis(100)));
        assert_eq!(buckets.take(b"b", NOW), Ok(()), "somebody else's is full");
        let later = NOW.after(Duration::from_millis(100));
        assert_eq!(buckets.take(b"a", later), Ok(()));
        assert_eq!(buckets.take(b"a", later), Err(Duration::from_millis(100)));
        let much_later = NOW.after(Duration::from_secs(60));
        assert_eq!(
            (0..9).filter(|_| buckets.take(b"a", much_later).is_ok()).count(),
            5,
            "no more than a burst"
        );
    }

    #[test]
    fn invented_keys_cost_no_memory_and_spare_who_has_asked_most() {
        let buckets = buckets(1, 3600, 3, 512);
        let size = || buckets.shards.iter().map(|shard| shard.lock().len()).sum::<usize>();
        let before = size();
        for _ in 0..3 {
            assert!(buckets.take(b"greedy", NOW).is_ok());
        }
        for n in 0..100_000_u32 {
            assert!(buckets.take(&n.to_le_bytes(), NOW).is_ok());
            // Whoever is over the limit stays known: its bucket is emptier than those of all the others.
            assert!(buckets.take(b"greedy", NOW).is_err());
        }
        assert_eq!(size(), before);
    }

    proptest! {
        #[test]
        fn never_more_than_the_burst_and_the_rate(
            steps in proptest::collection::vec(0_u64..300, 1..200), requests in 1_u32..50, burst in 1_u32..20,
        ) {
            let buckets = buckets(requests, 1, burst, 1);
            let (mut now, mut passed) = (NOW, 0_u64);
            for step in steps {
                now = now.after(Duration::from_millis(step));
                passed += u64::from(buckets.take(b"a", now).is_ok());
                let elapsed_ms = now.monotonic_ms - NOW.monotonic_ms;
                prop_assert!(passed <= u64::from(burst) + u64::from(requests) * elapsed_ms / 1000 + 1);
            }
        }
    }
}
