//! Which backend's sessions are lost, and under which paths. Counted where the session lived, as far as that is known: the
//! session book counts a loss where it was noticed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::book::Lost;
use crate::clock::Now;
use crate::names::{BackendId, BackendIndex, Outcome};

/// First segments of paths that are told apart for one backend; a client can invent any number of them.
const MOST_PATHS: usize = 32;
/// What stands for all others.
const OTHERS: &str = "/…";

/// The losses of one pool. Counts outlive a reload by backend id.
#[derive(Debug)]
pub struct LossBook {
    /// In the pool's order.
    pages: Vec<(BackendId, Arc<Page>)>,
}

#[derive(Debug, Default)]
struct Page {
    after_move: AtomicU64,
    no_proof: AtomicU64,
    at_home: AtomicU64,
    restarts: AtomicU64,
    /// When the first session of the last restart was lost, in seconds since 1970.
    restarted_s: AtomicU64,
    paths: Mutex<HashMap<Box<str>, u64>>,
}

/// The losses of one backend since the process began.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Losses {
    /// The backend.
    pub backend: BackendId,
    /// How many, by class.
    pub lost: Lost,
    /// Restarts that no check saw.
    pub restarts: u64,
    /// When the first session of the last of them was lost, in seconds since 1970.
    pub restarted_s: u64,
}

impl LossBook {
    /// A book for these backends; counts are carried over from `before`.
    pub fn new(backends: impl Iterator<Item = BackendId>, before: Option<&Self>) -> Self {
        let page = |backend: BackendId| {
            let known = before.and_then(|before| before.pages.iter().find(|(id, _)| *id == backend));
            let page = known.map(|(_, page)| Arc::clone(page)).unwrap_or_default();
            (backend, page)
        };
        Self { pages: backends.map(page).collect() }
    }

    /// Enters sessions that were lost with a backend, under a path.
    pub fn enter(&self, backend: BackendIndex, outcome: Outcome, sessions: u32, path: &str) {
        let Some((_, page)) = self.pages.get(backend.position()) else { return };
        let count = match outcome {
            Outcome::LostAfterMove => &page.after_move,
            Outcome::LostNoProof => &page.no_proof,
            Outcome::LostAtHome => &page.at_home,
            Outcome::Kept
            | Outcome::Started
            | Outcome::Bound
            | Outcome::Rotated
            | Outcome::Moved
            | Outcome::Released => return,
        };
        count.fetch_add(u64::from(sessions), Ordering::Relaxed);
        let mut paths = page.paths.lock();
        let path = if paths.len() < MOST_PATHS || paths.contains_key(path) { path } else { OTHERS };
        match paths.get_mut(path) {
            Some(count) => *count += u64::from(sessions),
            None => _ = paths.insert(path.into(), sessions.into()),
        }
    }

    /// Enters that a backend has restarted without a failed check; its first session was lost `within_s` ago.
    pub fn restarted(&self, backend: BackendIndex, within_s: u32, now: Now) {
        let Some((_, page)) = self.pages.get(backend.position()) else { return };
        page.restarted_s.store(now.unix_s.saturating_sub(within_s.into()), Ordering::Relaxed);
        page.restarts.fetch_add(1, Ordering::Release);
    }

    /// The losses of each backend.
    pub fn all(&self) -> Vec<Losses> {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let losses = |(backend, page): &(BackendId, Arc<Page>)| Losses {
            backend: backend.clone(),
            lost: Lost {
                after_move: read(&page.after_move),
                no_proof: read(&page.no_proof),
                at_home: read(&page.at_home),
            },
            restarts: page.restarts.load(Ordering::Acquire),
            restarted_s: read(&page.restarted_s),
        };
        self.pages.iter().map(losses).collect()
    }

    /// The losses of one backend by path, most first.
    pub fn paths(&self, backend: &BackendId) -> Vec<(String, u64)> {
        let page = self.pages.iter().find(|(id, _)| id == backend);
        let paths = page.map(|(_, page)| page.paths.lock().clone()).unwrap_or_default();
        let mut paths: Vec<_> = paths.into_iter().map(|(path, count)| (path.into_string(), count)).collect();
        paths.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
        paths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { monotonic_ms: 5_000, unix_s: 100 };

    fn book(before: Option<&LossBook>) -> LossBook {
        LossBook::new(["app1", "app2"].into_iter().map(BackendId::new), before)
    }

    #[test]
    fn losses_are_counted_by_class_and_path_and_outlive_a_reload() {
        let first = book(None);
        first.enter(BackendIndex(1), Outcome::LostAtHome, 5, "/shop");
        first.enter(BackendIndex(1), Outcome::LostAfterMove, 1, "/wiki");
        first.enter(BackendIndex(1), Outcome::LostAtHome, 1, "/wiki");
        first.enter(BackendIndex(1), Outcome::Rotated, 1, "/wiki");
        first.restarted(BackendIndex(1), 3, NOW);
        let second = book(Some(&first));
        second.enter(BackendIndex(1), Outcome::LostNoProof, 1, "/");
        let losses = second.all();
        let lost = Lost { after_move: 1, no_proof: 1, at_home: 6 };
        assert_eq!((losses[1].lost, losses[1].restarts, losses[1].restarted_s), (lost, 1, 97));
        assert_eq!(losses[0].lost, Lost::default());
        let paths = second.paths(&BackendId::new("app2"));
        assert_eq!(paths, [("/shop".to_owned(), 5), ("/wiki".to_owned(), 2), ("/".to_owned(), 1)]);
    }

    #[test]
    fn invented_paths_take_no_room() {
        let book = book(None);
        (0..10_000).for_each(|n| book.enter(BackendIndex(0), Outcome::LostNoProof, 1, &format!("/{n}")));
        let paths = book.paths(&BackendId::new("app1"));
        assert_eq!((paths.len(), &*paths[0].0, paths[0].1), (MOST_PATHS + 1, OTHERS, 10_000 - 32));
    }
}
