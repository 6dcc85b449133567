//! Where a new session goes: the pool's algorithm among the backends that take new ones.

use super::backend::Pool;
use super::balance::{Bound, Candidate, least_connections, random};
use super::spec::Algorithm;
use crate::clock::Now;
use crate::names::BackendIndex;

impl Pool {
    /// A backend for a new session, by the pool's algorithm. `draw` is random.
    pub fn place(&self, key: u64, now: Now, draw: u64) -> Option<BackendIndex> {
        match self.algorithm {
            Algorithm::RoundRobin => self.round_robin.next(self.candidates_with_room(now, None)),
            Algorithm::ConsistentHash | Algorithm::Random | Algorithm::LeastConnections => {
                self.would_place(key, now, draw, None)
            }
        }
    }

    /// The backend that a new session would be given, without giving it any; `without`: as if that one were gone.
    pub fn would_place(
        &self,
        key: u64,
        now: Now,
        draw: u64,
        without: Option<BackendIndex>,
    ) -> Option<BackendIndex> {
        match self.algorithm {
            Algorithm::ConsistentHash => self.place_on_ring(key, now, without),
            Algorithm::RoundRobin => self.round_robin.peek(self.candidates_with_room(now, without)),
            Algorithm::Random => random(self.candidates_with_room(now, without), draw),
            Algorithm::LeastConnections => least_connections(self.candidates_with_room(now, without), draw),
        }
    }

    fn place_on_ring(&self, key: u64, now: Now, without: Option<BackendIndex>) -> Option<BackendIndex> {
        let (mut assigned, mut weights) = (0, 0);
        for candidate in self.candidates(now, without) {
            assigned +=
                u64::from(self.backend(candidate.index).map_or(0, |backend| backend.live().assigned()));
            weights += u64::from(candidate.weight);
        }
        let bound = Bound::new(self.load_factor, assigned, weights);
        let takes = |index: BackendIndex| Some(index) != without && self.takes_new(index, now);
        let within = |index: BackendIndex| {
            takes(index)
                && self.has_room(index)
                && self
                    .backend(index)
                    .is_some_and(|backend| bound.allows(backend.live().assigned(), backend.share(now)))
        };
        self.ring.find(key, within).or_else(|| self.ring.find(key, takes))
    }

    pub(super) fn takes_new(&self, index: BackendIndex, now: Now) -> bool {
        self.backend(index).is_some_and(|backend| backend.takes_new(now))
    }

    pub(super) fn has_room(&self, index: BackendIndex) -> bool {
        let Some(limits) = self.limits() else { return true };
        self.backend(index).is_some_and(|backend| backend.live().in_flight() < limits.connections)
    }

    /// Where all are full, all of them: somebody has to be waited for.
    fn candidates_with_room(
        &self,
        now: Now,
        without: Option<BackendIndex>,
    ) -> impl Iterator<Item = Candidate> + Clone {
        let all_full = !self.candidates(now, without).any(|candidate| self.has_room(candidate.index));
        self.candidates(now, without).filter(move |candidate| all_full || self.has_room(candidate.index))
    }

    fn candidates(&self, now: Now, without: Option<BackendIndex>) -> impl Iterator<Item = Candidate> + Clone {
        self.backends()
            .iter()
            .zip((0..=u16::MAX).map(BackendIndex))
            .filter(move |(backend, index)| backend.takes_new(now) && Some(*index) != without)
            .map(move |(backend, index)| Candidate {
                index,
                weight: backend.share(now),
                in_flight: backend.live().in_flight(),
            })
    }
}
