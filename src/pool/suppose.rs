//! What if: the same pool, but for the states of some backends. For `explain`, never for a request.

use std::sync::Arc;

use super::backend::{Backend, Pool};
use super::balance::RoundRobin;
use super::live::Live;
use super::spec::AdminState;
use super::state::State;
use super::word::{Reach, Word};
use crate::names::BackendIndex;

impl Pool {
    /// The pool as it would be if these backends were in these states. Loads and round robin stand as they are; nothing
    /// that happens to it reaches the pool itself.
    pub fn supposing(&self, states: &[(BackendIndex, State)]) -> Self {
        let backends = self.backends.iter().zip((0..=u16::MAX).map(BackendIndex));
        let backends = backends.map(|(backend, index)| {
            let supposed = states.iter().rev().find(|(of, _)| *of == index);
            supposed.map_or_else(|| backend.clone(), |(_, state)| backend.supposed(*state))
        });
        Self {
            name: self.name.clone(),
            backends: backends.collect(),
            by_id: self.by_id.clone(),
            by_tag: self.by_tag.clone(),
            ring: Arc::clone(&self.ring),
            round_robin: RoundRobin::clone(&self.round_robin),
            algorithm: self.algorithm,
            load_factor: self.load_factor,
            ejection: self.ejection,
            limits: self.limits,
            seed: self.seed,
        }
    }
}

impl Backend {
    fn supposed(&self, state: State) -> Self {
        let (admin, reach) = match state {
            State::Up => (AdminState::Up, Reach::Reached),
            State::Suspect => (AdminState::Up, Reach::Suspect),
            State::Draining => (AdminState::Draining, Reach::Reached),
            State::Down => (AdminState::Up, Reach::Lost),
            State::Maintenance => (AdminState::Maintenance, Reach::Reached),
        };
        let word = Word { reach, page_fails: false, until_ms: 0 };
        Self { admin, live: Arc::new(Live::supposed(&self.live, word)), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Now;
    use crate::names::{BackendId, PoolName};
    use crate::pool::{Algorithm, BackendSpec, Ejection, HashSeed, PoolSpec};

    const NOW: Now = Now { monotonic_ms: 10_000, unix_s: 0 };

    fn pool(algorithm: Algorithm) -> Pool {
        let backend = |n: u16| BackendSpec {
            id: BackendId::new(&format!("b{n}")),
            address: ([127, 0, 0, 1], 80).into(),
            weight: 1,
            admin: AdminState::Up,
        };
        let spec = PoolSpec {
            name: PoolName::new("app"),
            backends: (0..3).map(backend).collect(),
            algorithm,
            load_factor: 1.25,
            try_home: true,
            slow_start: Duration::ZERO,
            ejection: Ejection { consecutive_failures: 5, eject: Duration::from_secs(10) },
            limits: None,
            seed: HashSeed([1; 16]),
        };
        Pool::new(spec, |_| None)
    }

    #[test]
    fn a_supposed_state_is_shown_and_the_pool_itself_stays_as_it_is() {
        let pool = pool(Algorithm::ConsistentHash);
        pool.note_assigned(BackendIndex(1));
        let states = [State::Up, State::Suspect, State::Draining, State::Down, State::Maintenance];
        for state in states {
            let supposed = pool.supposing(&[(BackendIndex(1), state)]);
            let backend = supposed.backend(BackendIndex(1)).unwrap();
            assert_eq!((backend.state(NOW), backend.live().assigned()), (state, 1));
            assert_eq!(backend.takes_new(NOW), state == State::Up, "{state:?}");
            supposed.note_assigned(BackendIndex(1));
        }
        assert_eq!(pool.backends()[1].state(NOW), State::Up);
        assert_eq!(pool.backends()[1].live().assigned(), 1);
    }

    #[test]
    fn who_would_be_placed_is_who_is_placed_next() {
        for algorithm in
            [Algorithm::ConsistentHash, Algorithm::RoundRobin, Algorithm::Random, Algorithm::LeastConnections]
        {
            let pool = pool(algorithm);
            for n in 0..100_u64 {
                let foreseen = pool.would_place(n << 32, NOW, n, None);
                assert_eq!(pool.would_place(n << 32, NOW, n, None), foreseen, "looking changes nothing");
                let other = pool.would_place(n << 32, NOW, n, foreseen);
                assert!(other.is_some() && other != foreseen, "{algorithm:?}");
                assert_eq!(pool.place(n << 32, NOW, n), foreseen, "{algorithm:?}");
            }
        }
    }
}
