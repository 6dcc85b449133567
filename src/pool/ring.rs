//! The weighted Ketama ring, keyed by backend id.
//!
//! Pingora's ring hashes the text of an address. It is given one made from a digest of the backend's id, so
//! that a backend keeps its place when it moves, and the backend's index rides along in the flow label, which
//! is not hashed. Keys come in as keyed hashes already: a client cannot aim at a point of the ring.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use pingora_ketama::{Bucket, Continuum};
use siphasher::sip128::SipHasher24;

use crate::names::{BackendId, BackendIndex};

/// 160 points each; 5 MB of ring and some tens of milliseconds to build it.
const MAX_UNITS: u64 = 4096;

/// The weighted Ketama ring of one pool.
pub(super) struct Ring {
    continuum: Continuum,
    points: usize,
    members: usize,
}

impl Ring {
    /// Builds the ring of `backends`: their ids and weights, in the pool's order. Weight 0 has no points.
    pub(super) fn new<'b>(backends: impl Iterator<Item = (&'b BackendId, u16)>) -> Self {
        let mut members: Vec<_> = backends
            .enumerate()
            .filter(|(_, (_, weight))| *weight > 0)
            .filter_map(|(index, (id, weight))| Some((id, weight, u16::try_from(index).ok()?)))
            .collect();
        // The order of the configuration must not decide who wins where two points coincide.
        members.sort_by_key(|(id, ..)| *id);
        let units = units(&members.iter().map(|(_, weight, _)| *weight).collect::<Vec<_>>());
        let buckets: Vec<_> = members
            .iter()
            .zip(&units)
            .map(|((id, _, index), units)| Bucket::new(place(id, *index), *units))
            .collect();
        let points = units.iter().sum::<u32>().saturating_mul(pingora_ketama::DEFAULT_POINT_MULTIPLE);
        Self {
            continuum: Continuum::new(&buckets),
            points: usize::try_from(points).unwrap_or(usize::MAX),
            members: members.len(),
        }
    }

    /// The first backend from `key` on that is `admissible`, each asked at most once.
    pub(super) fn find(
        &self,
        key: u64,
        mut admissible: impl FnMut(BackendIndex) -> bool,
    ) -> Option<BackendIndex> {
        let mut asked = Asked::default();
        for address in self.continuum.node_iter(&key.to_le_bytes()).take(self.points) {
            let Some(index) = index_of(address) else { continue };
            if !asked.first_time(index) {
                continue;
            }
            if admissible(index) {
                return Some(index);
            }
            if asked.count == self.members {
                return None;
            }
        }
        None
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").field("members", &self.members).field("points", &self.points).finish()
    }
}

/// Weights as units of 160 points. A weight counts as it stands, whatever the others are: a scale made from all
/// of them would change with one of them, and move the sessions of all. Only where the ring would grow too
/// large are all weights halved, as often as needed; one above zero keeps at least one unit.
fn units(weights: &[u16]) -> Vec<u32> {
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let halvings = (0..u16::BITS).find(|halvings| total >> halvings <= MAX_UNITS).unwrap_or(u16::BITS - 1);
    weights.iter().map(|weight| u32::from(weight >> halvings).max(1)).collect()
}

fn place(id: &BackendId, index: u16) -> SocketAddr {
    let digest = SipHasher24::new_with_key(b"steadfast ring 1").hash(id.as_str().as_bytes());
    SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(digest.as_bytes()), 0, u32::from(index), 0))
}

fn index_of(address: &SocketAddr) -> Option<BackendIndex> {
    match address {
        SocketAddr::V6(place) => u16::try_from(place.flowinfo()).ok().map(BackendIndex),
        SocketAddr::V4(_) => None,
    }
}

/// Which backends were asked; on the stack for the first 128.
#[derive(Default)]
struct Asked {
    few: u128,
    many: Vec<BackendIndex>,
    count: usize,
}

impl Asked {
    fn first_time(&mut self, index: BackendIndex) -> bool {
        let fresh = if index.0 < 128 {
            let bit = 1_u128 << index.0;
            let fresh = self.few & bit == 0;
            self.few |= bit;
            fresh
        } else {
            let fresh = !self.many.contains(&index);
            if fresh {
                self.many.push(index);
            }
            fresh
        };
        self.count += usize::from(fresh);
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> u64 {
        siphasher::sip::SipHasher24::new_with_key(&[7; 16]).hash(&n.to_le_bytes())
    }

    fn ring(backends: &[(&str, u16)]) -> (Ring, Vec<BackendId>) {
        let ids: Vec<_> = backends.iter().map(|(id, _)| BackendId::new(id)).collect();
        (Ring::new(ids.iter().zip(backends).map(|(id, (_, weight))| (id, *weight))), ids)
    }

    fn owners(backends: &[(&str, u16)]) -> Vec<String> {
        let (ring, ids) = ring(backends);
        let owner = |n| ids[ring.find(key(n), |_| true).unwrap().position()].to_string();
        (0..20_000).map(owner).collect()
    }

    #[test]
    fn shares_follow_the_weights() {
        let owners = owners(&[("a", 100), ("b", 200), ("c", 300)]);
        for (id, share) in [("a", 1.0 / 6.0), ("b", 2.0 / 6.0), ("c", 3.0 / 6.0)] {
            let got = owners.iter().filter(|owner| *owner == id).count() as f64 / owners.len() as f64;
            assert!((got / share - 1.0).abs() < 0.2, "{id}: {got} instead of {share}");
        }
    }

    #[test]
    fn the_order_of_the_configuration_does_not_matter() {
        assert_eq!(owners(&[("a", 1), ("b", 2), ("c", 1)]), owners(&[("c", 1), ("a", 1), ("b", 2)]));
    }

    #[test]
    fn one_backend_more_moves_only_its_own_share() {
        let before = owners(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]);
        let after = owners(&[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)]);
        let moved: Vec<_> = before.iter().zip(&after).filter(|(was, is)| was != is).collect();
        assert!(moved.iter().all(|(_, is)| *is == "e"), "nobody moves between old backends");
        assert!((moved.len() as f64 / 20_000.0) < 0.3, "{}", moved.len());
    }

    #[test]
    fn a_new_weight_moves_only_the_share_that_it_changes() {
        let moved = |before: &[(&str, u16)], after: &[(&str, u16)]| {
            let (before, after) = (owners(before), owners(after));
            before.iter().zip(&after).filter(|(was, is)| was != is).count() as f64 / 20_000.0
        };
        let four = [("a", 2), ("b", 2), ("c", 2), ("d", 2)];
        let fifth = moved(&four, &[("a", 2), ("b", 2), ("c", 2), ("d", 2), ("e", 1)]);
        assert!(fifth < 0.16, "a ninth is due, {fifth} moved");
        let heavier = moved(&four, &[("a", 2), ("b", 2), ("c", 2), ("d", 3)]);
        assert!(heavier < 0.16, "a twelfth is due, {heavier} moved");
        let (hundred, fifty) = ([("a", 100), ("b", 100)], [("a", 100), ("b", 50)]);
        let lighter = moved(&hundred, &fifty);
        assert!(lighter < 0.22, "a sixth is due, {lighter} moved");
        let largest = moved(&[("a", 100), ("b", 100), ("c", 100)], &[("a", 100), ("b", 100), ("c", 130)]);
        assert!(largest < 0.12, "a sixteenth is due, {largest} moved");
    }

    #[test]
    fn the_last_one_of_many_is_found_and_nobody_is_asked_twice() {
        let ids: Vec<String> = (0..300).map(|n| format!("b{n}")).collect();
        let backends: Vec<_> = ids.iter().map(|id| (id.as_str(), 1)).collect();
        let (ring, _) = ring(&backends);
        let mut asked = Vec::new();
        let found = ring.find(key(1), |index| {
            asked.push(index);
            index.0 == 299
        });
        assert_eq!(found, Some(BackendIndex(299)));
        asked.sort();
        asked.dedup();
        let mut count = 0;
        assert_eq!(
            ring.find(key(1), |_| {
                count += 1;
                false
            }),
            None
        );
        assert_eq!(count, 300);
    }

    #[test]
    fn empty_and_weightless_rings_find_nobody() {
        assert_eq!(ring(&[]).0.find(1, |_| true), None);
        assert_eq!(ring(&[("a", 0)]).0.find(1, |_| true), None);
        let (ring, _) = ring(&[("a", 0), ("b", 1)]);
        assert!((0..100).all(|n| ring.find(key(n), |_| true) == Some(BackendIndex(1))));
    }

    #[test]
    fn large_weights_are_scaled() {
        assert_eq!(units(&[100, 200, 1]), [100, 200, 1]);
        assert_eq!(units(&[2048, 2048]), [2048, 2048]);
        assert_eq!(units(&[2048, 2048, 2]), [1024, 1024, 1]);
        assert_eq!(units(&[65_535, 1, 32_768]), [2047, 1, 1024]);
        assert!(units(&[65_535; 5_000]).iter().all(|units| *units == 1));
    }
}
