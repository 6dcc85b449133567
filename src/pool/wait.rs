//! A wait for a place at a backend, as layer 4 and layer 7 both have it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::backend::Pool;
use super::gate::{Asker, Entry, Limits, Permit, Place};
use crate::clock::Now;
use crate::names::BackendIndex;

/// What the wait came to.
#[derive(Debug)]
pub enum Admission {
    /// Go there. Somebody new may have got a place elsewhere.
    Granted(BackendIndex, Permit),
    /// The backend changed meanwhile: decide anew.
    Undecided,
    /// The queue is full, or the wait was too long.
    Full,
}

/// How long one request waits in all, whatever number of queues it stands in.
#[derive(Debug, Default)]
pub struct Patience(Option<Instant>);

impl Patience {
    /// Whether there was anything to wait for.
    pub fn was_needed(&self) -> bool {
        self.0.is_some()
    }
}

impl Pool {
    /// Waits for a place at the chosen backend, as the pool's limits have it. Where that one is full, somebody new goes
    /// wherever there is a place first.
    pub async fn admit(&self, chosen: BackendIndex, asker: Asker, patience: &mut Patience) -> Admission {
        let Some(backend) = self.backend(chosen) else { return Admission::Undecided };
        let limits = self.limits();
        let (at, entry) = match backend.live().ask(limits, asker, chosen) {
            Entry::Go(permit) => return Admission::Granted(chosen, permit),
            entry => match limits {
                Some(limits) if asker == Asker::New => self.anywhere(chosen, entry, limits),
                Some(_) | None => (chosen, entry),
            },
        };
        let mut waiting = match entry {
            Entry::Go(permit) => return Admission::Granted(at, permit),
            Entry::Wait(waiting) => waiting,
            Entry::Full => return Admission::Full,
        };
        let wait = limits.map_or(Duration::ZERO, |limits| limits.queue_wait);
        let deadline = *patience.0.get_or_insert_with(|| Instant::now() + wait);
        let live = Arc::clone(backend.live());
        let event = timeout_at(deadline, async {
            tokio::select! {
                biased;
                place = waiting.place() => place,
                () = live.changed() => None,
            }
        });
        match event.await {
            // It may have begun to drain meanwhile.
            Ok(Some(Place { at, permit })) if at == chosen || self.takes_new(at, Now::read()) => {
                Admission::Granted(at, permit)
            }
            Ok(_) => Admission::Undecided,
            Err(_) => Admission::Full,
        }
    }

    /// What comes of asking all backends that take new sessions, where the chosen one is full: a place at one of them, or a wait for
    /// whichever has one first. The wait counts in the first queue that has room.
    fn anywhere(&self, chosen: BackendIndex, entry: Entry, limits: &Limits) -> (BackendIndex, Entry) {
        let now = Now::read();
        let others = || {
            let (behind, before) = (self.indexes(), self.indexes());
            let others = behind.filter(|index| *index > chosen).chain(before.filter(|index| *index < chosen));
            others.filter(|index| self.takes_new(*index, now))
        };
        let live = |index| self.backend(index).map(|backend| backend.live());
        let ask = |index| Some((index, live(index)?.ask(Some(limits), Asker::New, index)));
        let (home, entry) = match entry {
            Entry::Full => {
                let found = others().filter_map(ask).find(|(_, entry)| !matches!(entry, Entry::Full));
                found.unwrap_or((chosen, Entry::Full))
            }
            entry => (chosen, entry),
        };
        let Entry::Wait(waiting) = entry else { return (home, entry) };
        let besides = std::iter::once(chosen).chain(others()).filter(|index| *index != home);
        let mut asked =
            besides.filter_map(|index| Some((index, live(index)?.ask_besides(limits, &waiting, index)?)));
        match asked.next() {
            Some((index, permit)) => (index, Entry::Go(permit)),
            None => (home, Entry::Wait(waiting)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand::RngExt as _;

    use super::*;
    use crate::names::{BackendId, PoolName};
    use crate::pool::{AdminState, Algorithm, BackendSpec, CheckVerdict, Ejection, HashSeed, PoolSpec};

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A pool whose backends have two places each.
    fn pool(backends: usize, queue_length: usize) -> Pool {
        let backend = |n| BackendSpec {
            id: BackendId::new(&format!("b{n}")),
            address: "127.0.0.1:80".parse().unwrap(),
            weight: 1,
            admin: AdminState::Up,
        };
        let limits =
            Limits { connections: 2, queue_length, queue_wait: PATIENCE, existing_sessions_first: true };
        let spec = PoolSpec {
            name: PoolName::new("app"),
            backends: (0..backends).map(backend).collect(),
            algorithm: Algorithm::ConsistentHash,
            load_factor: 1.25,
            try_home: true,
            slow_start: Duration::ZERO,
            ejection: Ejection { consecutive_failures: 5, eject: Duration::from_secs(10) },
            limits: Some(limits),
            seed: HashSeed([1; 16]),
        };
        Pool::new(spec, |_| None)
    }

    async fn granted(pool: &Pool, chosen: u16, asker: Asker) -> (u16, Permit) {
        match pool.admit(BackendIndex(chosen), asker, &mut Patience::default()).await {
            Admission::Granted(at, permit) => (at.0, permit),
            other => panic!("{other:?}"),
        }
    }

    async fn fill(pool: &Pool) -> Vec<Vec<Permit>> {
        let mut inside = Vec::new();
        for index in pool.indexes() {
            let two = [(); 2].map(|()| granted(pool, index.0, Asker::Existing));
            let [one, other] = two;
            inside.push(vec![one.await.1, other.await.1]);
        }
        inside
    }

    /// Lets all that wait come as far as they can.
    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn somebody_new_goes_wherever_there_is_a_place_first_and_whoever_was_led_stays() {
        let pool = Arc::new(pool(3, 10));
        let mut inside = fill(&pool).await;
        let waiting = [Asker::Led, Asker::Existing, Asker::New].map(|asker| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { granted(&pool, 0, asker).await })
        });
        settle().await;
        drop(inside[2].pop());
        let [led, existing, new] = waiting;
        assert_eq!(new.await.unwrap().0, 2);
        settle().await;
        assert!(!led.is_finished() && !existing.is_finished(), "they wait for their own");
        drop(inside.remove(0));
        assert_eq!((existing.await.unwrap().0, led.await.unwrap().0), (0, 0));
    }

    #[tokio::test]
    async fn a_full_queue_turns_nobody_new_away_while_another_has_room() {
        let pool = Arc::new(pool(2, 1));
        let mut inside = fill(&pool).await;
        let ask = |asker| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { granted(&pool, 0, asker).await.0 })
        };
        let first = ask(Asker::Existing);
        settle().await;
        let second = ask(Asker::New);
        settle().await;
        let waiting = pool.backends().iter().map(|backend| backend.live().waiting());
        assert_eq!(waiting.collect::<Vec<_>>(), [1, 1]);
        for asker in [Asker::New, Asker::Led, Asker::Existing] {
            let answer = pool.admit(BackendIndex(0), asker, &mut Patience::default()).await;
            assert!(matches!(answer, Admission::Full), "{asker:?}: bounded");
        }
        drop(inside[0].pop());
        assert_eq!(first.await.unwrap(), 0, "running sessions first");
        drop(inside[0].pop());
        assert_eq!(second.await.unwrap(), 0, "it has waited for both");
    }

    #[tokio::test]
    async fn a_place_at_a_backend_that_went_away_meanwhile_is_none_for_somebody_new() {
        let pool = Arc::new(pool(2, 10));
        let mut inside = fill(&pool).await;
        let asking = Arc::clone(&pool);
        let new =
            tokio::spawn(
                async move { asking.admit(BackendIndex(0), Asker::New, &mut Patience::default()).await },
            );
        settle().await;
        pool.backends()[1].live().check_verdict(CheckVerdict::Unhealthy, Now::read());
        drop(inside.pop());
        assert!(matches!(new.await.unwrap(), Admission::Undecided));
        assert_eq!(pool.backends()[1].live().in_flight(), 0, "it is given back");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn every_patient_one_gets_a_place_however_many_give_up() {
        let pool = Arc::new(pool(3, 1000));
        let tasks: Vec<_> = (0..64_u16)
            .map(|n| {
                let pool = Arc::clone(&pool);
                tokio::spawn(async move {
                    for _ in 0..300 {
                        let draw = rand::rng().random_range(0..1000);
                        let asker = [Asker::New, Asker::New, Asker::Led, Asker::Existing][draw % 4];
                        let asking = granted(&pool, n % 3, asker);
                        let inside = if draw % 3 == 0 {
                            // Gives up, at any moment.
                            let patience = Duration::from_micros(u64::try_from(draw).unwrap());
                            tokio::time::timeout(patience, asking).await.ok()
                        } else {
                            Some(asking.await)
                        };
                        if let Some((at, permit)) = inside {
                            let there = pool.backends()[usize::from(at)].live().in_flight();
                            assert!(there <= 2, "bounded: {there}");
                            if draw % 2 == 0 {
                                tokio::task::yield_now().await;
                            }
                            drop(permit);
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            // Whoever was forgotten would be told `Full` when its patience ends.
            task.await.unwrap();
        }
        for backend in pool.backends() {
            assert_eq!((backend.live().in_flight(), backend.live().waiting()), (0, 0));
        }
    }
}
