//! One copy of a set of counters for each thread or few: threads that count do not wait for each other's caches.

use std::cell::Cell;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most copies: what a backend's counters take is multiplied by them.
const MOST: usize = 8;

/// As many copies as threads may count at once, rounded up to a power of two.
static COPIES: LazyLock<usize> = LazyLock::new(|| {
    let threads = std::thread::available_parallelism().map_or(MOST, usize::from);
    threads.next_power_of_two().min(MOST)
});

/// The next thread's place.
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread's place; none before it counts for the first time.
    static PLACE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Copies of a set of counters.
#[derive(Debug)]
pub(super) struct Stripes<T>(Box<[Apart<T>]>);

/// Two cache lines, which some processors fetch together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

impl<T: Default> Default for Stripes<T> {
    fn default() -> Self {
        Self((0..*COPIES).map(|_| Apart::default()).collect())
    }
}

impl<T> Stripes<T> {
    /// This thread's copy.
    pub(super) fn mine(&self) -> Option<&T> {
        let place = PLACE.get().unwrap_or_else(|| {
            let place = NEXT.fetch_add(1, Ordering::Relaxed);
            PLACE.set(Some(place));
            place
        });
        // The length is a power of two.
        self.0.get(place & self.0.len().wrapping_sub(1)).map(|Apart(mine)| mine)
    }

    /// All copies, to be added up.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|Apart(one)| one)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn nothing_that_many_threads_count_is_lost() {
        let stripes: Stripes<AtomicU64> = Stripes::default();
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        stripes.mine().unwrap().fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let sum: u64 = stripes.all().map(|one| one.load(Ordering::Relaxed)).sum();
        assert_eq!(sum, 20_000);
    }
}
