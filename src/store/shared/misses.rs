//! A short memory of session ids that the engine does not know: whoever repeats one does not ask again each time.
//! Pure.
//!
//! A client knows the id of a session only after the response that started it, and by then its replica is writing.
//! Whoever asks for an id that nobody here has heard of waits for that ([`ask`](super::SharedTable::ask)). So what is
//! noted here was not merely early; and in case it was, it is forgotten soon.

use std::time::Duration;

use crate::affinity::SessionDigest;
use crate::clock::{Now, millis};

/// How long a miss counts.
const LASTS: Duration = Duration::from_millis(200);

/// Misses that are remembered; each has one place, where a later one takes its place.
const PLACES: usize = 1024;

/// Ids that the engine did not know a moment ago.
#[derive(Debug)]
pub(super) struct Misses {
    places: Box<[Place]>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    session: SessionDigest,
    until_ms: u64,
}

impl Default for Misses {
    fn default() -> Self {
        let nobody = Place { session: SessionDigest([0; 16]), until_ms: 0 };
        Self { places: vec![nobody; PLACES].into_boxed_slice() }
    }
}

impl Misses {
    /// The engine does not know the session.
    pub(super) fn note(&mut self, session: &SessionDigest, now: Now) {
        if let Some(place) = self.places.get_mut(place(session)) {
            *place = Place { session: *session, until_ms: now.monotonic_ms.saturating_add(millis(LASTS)) };
        }
    }

    /// Whether the engine did not know it a moment ago.
    pub(super) fn has(&self, session: &SessionDigest, now: Now) -> bool {
        let place = self.places.get(place(session));
        place.is_some_and(|place| place.session == *session && now.monotonic_ms < place.until_ms)
    }
}

/// Digests are keyed: nobody can choose to share somebody else's place.
fn place(session: &SessionDigest) -> usize {
    let [.., a, b] = session.0;
    usize::from(u16::from_le_bytes([a, b])) % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { monotonic_ms: 1_000, unix_s: 0 };

    #[test]
    fn a_miss_counts_for_a_moment() {
        let mut misses = Misses::default();
        assert!(!misses.has(&SessionDigest([0; 16]), NOW), "nothing was noted");
        misses.note(&SessionDigest([1; 16]), NOW);
        assert!(misses.has(&SessionDigest([1; 16]), NOW.after(Duration::from_millis(199))));
        assert!(!misses.has(&SessionDigest([1; 16]), NOW.after(Duration::from_millis(200))));
        assert!(!misses.has(&SessionDigest([2; 16]), NOW));
    }

    #[test]
    fn a_later_miss_may_take_the_place_of_an_earlier_one() {
        let mut misses = Misses::default();
        let (mut one, mut two) = ([1; 16], [1; 16]);
        (one[0], two[0]) = (8, 9);
        misses.note(&SessionDigest(one), NOW);
        misses.note(&SessionDigest(two), NOW);
        assert!(!misses.has(&SessionDigest(one), NOW) && misses.has(&SessionDigest(two), NOW));
    }
}
