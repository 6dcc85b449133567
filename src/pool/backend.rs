//! A pool, its backends, and the questions that others ask of them.

use std::sync::Arc;

use hashbrown::HashMap;
use siphasher::sip::SipHasher24;

use super::balance::RoundRobin;
use super::gate::Limits;
use super::live::Live;
use super::ring::Ring;
use super::spec::{AdminState, Algorithm, BackendSpec, Ejection, HashSeed, PoolSpec};
use super::state::{Cause, Health, State};
use crate::clock::{Now, millis};
use crate::names::{BackendAddress, BackendId, BackendIndex, BackendTag, Epoch, PoolName};

/// Backends that serve the same application.
#[derive(Debug)]
pub struct Pool {
    pub(super) name: PoolName,
    pub(super) backends: Vec<Backend>,
    pub(super) by_id: HashMap<BackendId, BackendIndex, std::hash::RandomState>,
    pub(super) by_tag: HashMap<BackendTag, BackendIndex, std::hash::RandomState>,
    pub(super) ring: Arc<Ring>,
    pub(super) round_robin: RoundRobin,
    pub(super) algorithm: Algorithm,
    pub(super) load_factor: f64,
    pub(super) ejection: Ejection,
    pub(super) limits: Option<Limits>,
    pub(super) seed: HashSeed,
}

/// One server.
#[derive(Clone, Debug)]
pub struct Backend {
    pub(super) id: BackendId,
    pub(super) tag: BackendTag,
    pub(super) address: BackendAddress,
    pub(super) weight: u16,
    pub(super) admin: AdminState,
    pub(super) try_home: bool,
    pub(super) slow_start_ms: u64,
    pub(super) live: Arc<Live>,
}

impl Pool {
    /// Makes a pool; `carried` gives the live state of a backend that an earlier pool had under the same id.
    pub fn new(spec: PoolSpec, carried: impl Fn(&BackendId) -> Option<Arc<Live>>) -> Self {
        let (try_home, slow_start_ms) = (spec.try_home, millis(spec.slow_start));
        let backend = |spec: BackendSpec| Backend {
            tag: tag(&spec.id),
            live: carried(&spec.id).unwrap_or_default(),
            id: spec.id,
            address: spec.address,
            weight: spec.weight,
            admin: spec.admin,
            try_home,
            slow_start_ms,
        };
        let backends: Vec<_> = spec.backends.into_iter().map(backend).collect();
        let indexed = || backends.iter().zip((0..=u16::MAX).map(BackendIndex));
        Self {
            name: spec.name,
            by_id: indexed().map(|(backend, index)| (backend.id.clone(), index)).collect(),
            by_tag: indexed().map(|(backend, index)| (backend.tag, index)).collect(),
            ring: Arc::new(Ring::new(backends.iter().map(|backend| (&backend.id, backend.weight)))),
            round_robin: RoundRobin::default(),
            algorithm: spec.algorithm,
            load_factor: spec.load_factor,
            ejection: spec.ejection,
            limits: spec.limits,
            seed: spec.seed,
            backends,
        }
    }

    /// Its name.
    pub fn name(&self) -> &PoolName {
        &self.name
    }

    /// Its backends, in the order of the configuration.
    pub fn backends(&self) -> &[Backend] {
        &self.backends
    }

    /// The backend at a place of this very pool.
    pub fn backend(&self, index: BackendIndex) -> Option<&Backend> {
        self.backends.get(index.position())
    }

    /// All places.
    pub fn indexes(&self) -> impl Iterator<Item = BackendIndex> + Clone + use<> {
        (0..u16::try_from(self.backends.len()).unwrap_or(u16::MAX)).map(BackendIndex)
    }

    /// The backend of that id.
    pub fn find(&self, id: &str) -> Option<BackendIndex> {
        self.by_id.get(id).copied()
    }

    /// The backend that a token or the learned table names.
    pub fn find_tag(&self, tag: BackendTag) -> Option<BackendIndex> {
        self.by_tag.get(&tag).copied()
    }

    /// How a new session finds its backend.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The secret of every hash.
    pub fn seed(&self) -> &HashSeed {
        &self.seed
    }

    /// When real requests take a backend out.
    pub fn ejection(&self) -> &Ejection {
        &self.ejection
    }

    /// Bounds on the requests in flight at each backend, if any.
    pub fn limits(&self) -> Option<&Limits> {
        self.limits.as_ref()
    }

    /// Whether a new session may be given to the backend now: it takes new ones, and has room.
    pub fn welcomes(&self, index: BackendIndex, now: Now) -> bool {
        self.takes_new(index, now) && self.has_room(index)
    }

    /// The one successor of a session: the first backend from `key` on that takes what has moved, whatever its
    /// load, so that all replicas choose the same. It may be suspect: then the session has to wait for the probe.
    pub fn successor(&self, key: u64, now: Now) -> Option<BackendIndex> {
        self.ring.find(key, |index| self.takes_moved(index, now))
    }

    /// The successor if `gone` were gone, too.
    pub fn successor_without(&self, gone: BackendIndex, key: u64, now: Now) -> Option<BackendIndex> {
        self.ring.find(key, |index| index != gone && self.takes_moved(index, now))
    }

    fn takes_moved(&self, index: BackendIndex, now: Now) -> bool {
        self.backend(index).is_some_and(|backend| backend.takes_moved(now))
    }

    /// The first backend from `key` on that takes new sessions and has room; where none has, one that does not, to be
    /// waited for.
    pub fn first_with_room(&self, key: u64, now: Now) -> Option<BackendIndex> {
        let full = || self.ring.find(key, |index| self.takes_new(index, now));
        self.ring.find(key, |index| self.welcomes(index, now)).or_else(full)
    }

    /// Counts a new session.
    pub fn note_assigned(&self, index: BackendIndex) {
        if let Some(backend) = self.backend(index) {
            backend.live.note_assigned();
        }
    }

    /// Lets loads fade; called once a second.
    pub fn decay_loads(&self) {
        self.backends.iter().for_each(|backend| backend.live.decay());
    }
}

/// What a full weight of 1 counts in shares, so that slow start can be a fraction of it.
const SHARES_PER_WEIGHT: u32 = 100;

impl Backend {
    /// Its id.
    pub fn id(&self) -> &BackendId {
        &self.id
    }

    /// What tokens and the learned table call it.
    pub fn tag(&self) -> BackendTag {
        self.tag
    }

    /// Where it is reached.
    pub fn address(&self) -> &BackendAddress {
        &self.address
    }

    /// Its share of new sessions.
    pub fn weight(&self) -> u16 {
        self.weight
    }

    /// What the operator wants of it.
    pub fn admin(&self) -> AdminState {
        self.admin
    }

    /// What is wanted of it: by the operator, and by its own health page, which may say that it drains.
    pub fn wanted(&self) -> AdminState {
        match self.admin {
            AdminState::Up if self.live.asks_to_drain() => AdminState::Draining,
            wanted => wanted,
        }
    }

    /// Its live state.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// How often it is known to have lost its memory.
    pub fn epoch(&self) -> Epoch {
        self.live.epoch()
    }

    /// Its state, as it is shown.
    pub fn state(&self, now: Now) -> State {
        match (self.wanted(), self.live.health(now)) {
            (AdminState::Maintenance, _) => State::Maintenance,
            (AdminState::Draining, _) if self.live.drain().is_over(now) => State::Maintenance,
            (AdminState::Up | AdminState::Draining, Health::Down(_)) => State::Down,
            (AdminState::Draining, Health::Up | Health::Suspect) => State::Draining,
            (AdminState::Up, Health::Suspect) => State::Suspect,
            (AdminState::Up, Health::Up) => State::Up,
        }
    }

    /// Whether a connection failed and a probe is deciding.
    pub fn is_suspect(&self, now: Now) -> bool {
        self.live.health(now) == Health::Suspect
    }

    /// Whether new sessions may be given to it.
    pub fn takes_new(&self, now: Now) -> bool {
        self.weight > 0 && self.wanted() == AdminState::Up && self.live.health(now) == Health::Up
    }

    /// Whether sessions of other backends may move to it, once it is no longer suspect. One replica's suspicion must not
    /// lead a session elsewhere than the others do.
    pub fn takes_moved(&self, now: Now) -> bool {
        self.weight > 0
            && self.wanted() == AdminState::Up
            && matches!(self.live.health(now), Health::Up | Health::Suspect)
    }

    /// Whether its own sessions may be sent to it; `held`: they have waited for the probe.
    pub fn takes_existing(&self, now: Now, held: bool) -> bool {
        let wanted = match self.wanted() {
            AdminState::Up => true,
            AdminState::Draining => !self.live.drain().is_over(now),
            AdminState::Maintenance => false,
        };
        wanted
            && match self.live.health(now) {
                Health::Up => true,
                Health::Suspect => held,
                Health::Down(Cause::Unhealthy) => self.try_home,
                Health::Down(Cause::Unreachable) => false,
            }
    }

    /// Its weight in shares: a tenth at first after it came up, all after the slow start.
    pub(super) fn share(&self, now: Now) -> u32 {
        let full = u32::from(self.weight) * SHARES_PER_WEIGHT;
        let Some(up_since) = self.live.up_since_ms() else { return full };
        let age = now.ms_since(up_since);
        if age >= self.slow_start_ms {
            return full;
        }
        let ramp = u64::from(full) * (100 + 900 * age / self.slow_start_ms.max(1)) / 1000;
        u32::try_from(ramp).unwrap_or(full).max(1)
    }
}

/// 48 bits: what a token has room for, and plenty among the backends of a pool.
fn tag(id: &BackendId) -> BackendTag {
    BackendTag(SipHasher24::new_with_key(b"steadfast tag 01").hash(id.as_str().as_bytes()) >> 16)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pool::{Asker, CheckVerdict, Ejection};

    const NOW: Now = Now { monotonic_ms: 10_000, unix_s: 0 };

    fn pool_with(algorithm: Algorithm, weights: &[u16], slow_start: Duration) -> Pool {
        let backend = |(n, weight): (usize, &u16)| BackendSpec {
            id: BackendId::new(&format!("b{n}")),
            address: "127.0.0.1:80".parse().unwrap(),
            weight: *weight,
            admin: AdminState::Up,
        };
        let spec = PoolSpec {
            name: PoolName::new("app"),
            backends: weights.iter().enumerate().map(backend).collect(),
            algorithm,
            load_factor: 1.25,
            try_home: true,
            slow_start,
            ejection: Ejection { consecutive_failures: 5, eject: Duration::from_secs(10) },
            limits: None,
            seed: HashSeed([1; 16]),
        };
        Pool::new(spec, |_| None)
    }

    fn counts(pool: &Pool, sessions: u64, key: impl Fn(u64) -> u64, now: Now) -> Vec<f64> {
        let mut counts = vec![0; pool.backends().len()];
        for n in 0..sessions {
            let draw = SipHasher24::new_with_key(&[3; 16]).hash(&n.to_le_bytes());
            let index = pool.place(key(n), now, draw).unwrap();
            pool.note_assigned(index);
            counts[index.position()] += 1;
        }
        counts.into_iter().map(|count| count as f64 / sessions as f64).collect()
    }

    fn spread(n: u64) -> u64 {
        SipHasher24::new_with_key(&[9; 16]).hash(&n.to_le_bytes())
    }

    #[test]
    fn ten_thousand_sessions_from_one_address_stay_within_the_load_factor() {
        let pool = pool_with(Algorithm::ConsistentHash, &[1, 1, 2], Duration::ZERO);
        let shares = counts(&pool, 10_000, |_| 42, NOW);
        for (share, weight) in shares.iter().zip([0.25, 0.25, 0.5]) {
            assert!(*share <= weight * 1.25 + 0.002, "{shares:?}");
        }
    }

    #[test]
    fn every_algorithm_follows_the_weights() {
        for algorithm in [Algorithm::RoundRobin, Algorithm::Random] {
            let pool = pool_with(algorithm, &[1, 2, 5], Duration::ZERO);
            let shares = counts(&pool, 16_000, spread, NOW);
            for (share, weight) in shares.iter().zip([0.125, 0.25, 0.625]) {
                assert!((share / weight - 1.0).abs() < 0.1, "{algorithm:?}: {shares:?}");
            }
        }
    }

    #[test]
    fn least_connections_takes_the_least_busy_for_its_weight() {
        let pool = pool_with(Algorithm::LeastConnections, &[1, 4], Duration::ZERO);
        let _busy: Vec<_> =
            (0..3).map(|_| pool.backends()[1].live().ask(None, Asker::New, BackendIndex(0))).collect();
        let _one = pool.backends()[0].live().ask(None, Asker::New, BackendIndex(0));
        assert_eq!(pool.place(0, NOW, 0), Some(BackendIndex(1)));
        let free = pool_with(Algorithm::LeastConnections, &[1, 1, 1], Duration::ZERO);
        let shares = counts(&free, 9_000, spread, NOW);
        assert!(shares.iter().all(|share| (0.28..0.39).contains(share)), "ties are drawn: {shares:?}");
    }

    #[test]
    fn a_backend_that_came_up_starts_slowly() {
        let pool = pool_with(Algorithm::Random, &[1, 1], Duration::from_secs(60));
        pool.backends()[0].live().check_verdict(CheckVerdict::Unreachable, NOW);
        pool.backends()[0].live().check_verdict(CheckVerdict::Up, NOW);
        let at_first = counts(&pool, 10_000, spread, NOW)[0];
        let half = counts(&pool, 10_000, spread, NOW.after(Duration::from_secs(30)))[0];
        let full = counts(&pool, 10_000, spread, NOW.after(Duration::from_secs(60)))[0];
        assert!(
            (0.05..0.15).contains(&at_first) && (0.3..0.4).contains(&half) && (0.45..0.55).contains(&full)
        );
    }

    #[test]
    fn states_admit_as_the_design_says() {
        let pool = pool_with(Algorithm::ConsistentHash, &[1], Duration::ZERO);
        let backend = &pool.backends()[0];
        let takes = |now| {
            (
                backend.state(now),
                backend.takes_new(now),
                backend.takes_existing(now, false),
                backend.takes_existing(now, true),
            )
        };
        assert_eq!(takes(NOW), (State::Up, true, true, true));
        backend.live().connection_failed(NOW, pool.ejection());
        assert_eq!(takes(NOW), (State::Suspect, false, false, true));
        backend.live().check_verdict(CheckVerdict::Unhealthy, NOW);
        assert_eq!(takes(NOW), (State::Suspect, false, false, true), "a page is no answer to a reset");
        backend.live().probe_result(true, NOW, pool.ejection());
        assert_eq!(takes(NOW), (State::Down, false, true, true), "tried at home");
        backend.live().check_verdict(CheckVerdict::Unreachable, NOW);
        assert_eq!(takes(NOW), (State::Down, false, false, false));
    }

    #[test]
    fn live_state_is_carried_over_by_id() {
        let first = pool_with(Algorithm::ConsistentHash, &[1, 1], Duration::ZERO);
        first.backends()[1].live().check_verdict(CheckVerdict::Unreachable, NOW);
        let spec = |id: &str| BackendSpec {
            id: BackendId::new(id),
            address: "127.0.0.9:99".parse().unwrap(),
            weight: 1,
            admin: AdminState::Up,
        };
        let second = Pool::new(
            PoolSpec {
                name: PoolName::new("app"),
                backends: vec![spec("b1"), spec("b7")],
                algorithm: Algorithm::ConsistentHash,
                load_factor: 1.25,
                try_home: true,
                slow_start: Duration::ZERO,
                ejection: Ejection { consecutive_failures: 5, eject: Duration::ZERO },
                limits: None,
                seed: HashSeed([1; 16]),
            },
            |id| {
                first
                    .find(id.as_str())
                    .and_then(|index| first.backend(index))
                    .map(|old| Arc::clone(old.live()))
            },
        );
        assert_eq!(second.backends()[0].state(NOW), State::Down);
        assert_eq!(second.backends()[1].state(NOW), State::Up);
        assert_eq!(second.backends()[0].tag(), first.backends()[1].tag());
    }
}
