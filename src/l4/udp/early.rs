//! Datagrams that are here before the sessions that they belong to, which another process still hands over.

use std::collections::HashMap;

use super::batch::Datagrams;
use super::session::{Kept, Waiting};
use super::sessions::Key;

/// What may wait in all, besides what may wait for one session.
const BYTES: usize = 16 << 20;
const CLIENTS: usize = 1 << 16;

/// Datagrams that wait for their sessions.
#[derive(Default)]
pub(super) struct Early {
    by_key: HashMap<Key, Waiting>,
    bytes: usize,
}

impl Early {
    /// Keeps datagrams; gives how many found no room.
    pub(super) fn add(&mut self, key: Key, datagrams: Datagrams<'_>) -> u64 {
        let known = self.by_key.contains_key(&key);
        if self.bytes >= BYTES || !known && self.by_key.len() >= CLIENTS {
            return u64::try_from(datagrams.count()).unwrap_or(u64::MAX);
        }
        let waiting = self.by_key.entry(key).or_default();
        let before = waiting.bytes();
        let lost = waiting.add(datagrams);
        self.bytes += waiting.bytes() - before;
        lost
    }

    /// What waits for a session, oldest first.
    pub(super) fn take(&mut self, key: &Key) -> impl Iterator<Item = Kept> + use<> {
        let waiting = self.by_key.remove(key).unwrap_or_default();
        self.bytes -= waiting.bytes();
        waiting.into_datagrams()
    }

    /// Everything that is left.
    pub(super) fn into_all(self) -> impl Iterator<Item = (Key, Kept)> {
        self.by_key
            .into_iter()
            .flat_map(|(key, waiting)| waiting.into_datagrams().map(move |kept| (key, kept)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(port: u16) -> Key {
        Key { client: ([192, 0, 2, 1], port).into(), local: None, named: None }
    }

    fn bytes(all: impl Iterator<Item = Kept>) -> Vec<Vec<u8>> {
        all.map(|kept| kept.bytes).collect()
    }

    #[test]
    fn each_session_gets_its_own_in_their_order_and_what_is_left_is_not_lost() {
        let mut early = Early::default();
        for (port, datagram) in [(1, b"a"), (2, b"b"), (1, b"c"), (3, b"d")] {
            assert_eq!(early.add(key(port), Datagrams::one(datagram, None)), 0);
        }
        assert_eq!(bytes(early.take(&key(1))), [b"a", b"c"]);
        assert_eq!(early.take(&key(1)).count(), 0);
        let mut rest: Vec<_> = early.into_all().map(|(key, kept)| (key.client.port(), kept.bytes)).collect();
        rest.sort_unstable();
        assert_eq!(rest, [(2, b"b".to_vec()), (3, b"d".to_vec())]);
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_in_clients() {
        let mut early = Early::default();
        let long = vec![0; 60_000];
        let lost: u64 = (0..400).map(|port| early.add(key(port), Datagrams::one(&long, None))).sum();
        assert_eq!((lost, early.bytes <= BYTES + long.len()), (400 - 280, true));
        assert_eq!(early.take(&key(0)).count(), 1);
        assert_eq!(early.add(key(0), Datagrams::one(b"x", None)), 0, "there is room again");
        let mut early = Early::default();
        let all = 0..=u16::MAX;
        assert_eq!(all.map(|port| early.add(key(port), Datagrams::one(b"", None))).sum::<u64>(), 0);
        let other = Key { local: Some([192, 0, 2, 2].into()), ..key(0) };
        assert_eq!(early.add(other, Datagrams::one(b"", None)), 1);
        assert_eq!(early.add(key(0), Datagrams::one(b"", None)), 0, "one that waits already");
    }
}
