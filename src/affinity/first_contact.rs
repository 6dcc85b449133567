//! A short memory of first choices, so that parallel first requests of one browser agree even while the
//! bounded load is moving the choice for everybody.
//!
//! Replicas agree by the hash alone; this only steadies one replica against itself. Direct-mapped, without
//! locks, of constant size. An entry serves one burst: five seconds, as parallel requests may arrive far apart where
//! somebody is busy, and 16 requests, so that the many users behind one address, who look like one client, still spread.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Now;
use crate::names::BackendIndex;

const PLACES: usize = 8192;
/// How long a first choice is repeated.
const BURST_MS: u64 = 5_000;
/// How often a first choice is repeated; a browser opens six connections.
const BURST_USES: u64 = 16;
/// Time is kept in steps of 2^7 ms, modulo 2^11.
const STEP_BITS: u32 = 7;
const STEP_MASK: u64 = 0x7FF;

/// First choices of the last moments.
#[derive(Debug)]
pub struct FirstContacts {
    /// 32 bits of the contact's key, 16 of the backend's index, 5 of uses, 11 of time.
    places: Box<[AtomicU64]>,
}

impl Default for FirstContacts {
    fn default() -> Self {
        Self { places: (0..PLACES).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl FirstContacts {
    /// The backend that this contact was given in the burst that it belongs to, if any.
    pub fn find(&self, contact: u64, now: Now) -> Option<BackendIndex> {
        let entry = Entry::unpack(self.place(contact)?.load(Ordering::Relaxed));
        let age = step(now).wrapping_sub(entry.step) & STEP_MASK;
        let fresh = age <= BURST_MS >> STEP_BITS && entry.uses > 0 && entry.uses <= BURST_USES;
        (fresh && entry.key == contact >> 32).then_some(BackendIndex(entry.backend))
    }

    /// Notes that the contact was given this backend: the first time, or once more.
    pub fn note(&self, contact: u64, backend: BackendIndex, now: Now) {
        let Some(place) = self.place(contact) else { return };
        let again = self.find(contact, now) == Some(backend);
        let old = Entry::unpack(place.load(Ordering::Relaxed));
        let entry = if again {
            Entry { uses: old.uses + 1, ..old }
        } else {
            Entry { key: contact >> 32, backend: backend.0, uses: 1, step: step(now) }
        };
        // A lost race costs one use of the count.
        place.store(entry.pack(), Ordering::Relaxed);
    }

    fn place(&self, contact: u64) -> Option<&AtomicU64> {
        self.places.get(usize::try_from(contact & 0xFFFF_FFFF).unwrap_or(0) % PLACES)
    }
}

struct Entry {
    key: u64,
    backend: u16,
    uses: u64,
    step: u64,
}

impl Entry {
    fn pack(&self) -> u64 {
        self.key << 32 | u64::from(self.backend) << 16 | self.uses.min(31) << 11 | self.step
    }

    #[expect(clippy::cast_possible_truncation, reason = "the bits of one field each")]
    fn unpack(bits: u64) -> Self {
        Self { key: bits >> 32, backend: (bits >> 16) as u16, uses: bits >> 11 & 31, step: bits & STEP_MASK }
    }
}

fn step(now: Now) -> u64 {
    now.monotonic_ms >> STEP_BITS & STEP_MASK
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Now = Now { monotonic_ms: 5_000, unix_s: 0 };

    #[test]
    fn a_burst_agrees_and_then_is_forgotten() {
        let contacts = FirstContacts::default();
        assert_eq!(contacts.find(0xABCD_0000_0001, NOW), None);
        contacts.note(0xABCD_0000_0001, BackendIndex(3), NOW);
        let soon = NOW.after(Duration::from_millis(4_800));
        assert_eq!(contacts.find(0xABCD_0000_0001, soon), Some(BackendIndex(3)));
        assert_eq!(contacts.find(0xABCE_0000_0001, soon), None, "another contact");
        assert_eq!(contacts.find(0xABCD_0000_0001, NOW.after(Duration::from_millis(5_300))), None);
    }

    #[test]
    fn many_users_who_look_like_one_still_spread() {
        let contacts = FirstContacts::default();
        for _ in 0..BURST_USES {
            contacts.note(7 << 32, BackendIndex(3), NOW);
            assert!(contacts.find(7 << 32, NOW).is_some());
        }
        contacts.note(7 << 32, BackendIndex(3), NOW);
        assert_eq!(contacts.find(7 << 32, NOW), None);
        contacts.note(7 << 32, BackendIndex(1), NOW);
        assert_eq!(contacts.find(7 << 32, NOW), Some(BackendIndex(1)));
    }
}
