//! The gaps after which sessions come back: how many were still there, how many the application had given up, and how many
//! this table. Constant memory.

use std::sync::atomic::{AtomicU64, Ordering};

/// Where gaps begin to be told apart, in seconds; shorter ones than the first are no gaps, but use.
pub const GAPS_S: [u32; 14] =
    [60, 120, 300, 600, 900, 1200, 1800, 2700, 3600, 5400, 7200, 14_400, 28_800, 86_400];

/// Sessions that came back, by how long they had been away.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    kept: [AtomicU64; GAPS_S.len()],
    replaced: [AtomicU64; GAPS_S.len()],
    forgotten: [AtomicU64; GAPS_S.len()],
}

/// Sessions that came back after so long, up to the next gap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Gap {
    /// At least so many seconds.
    pub from_s: u32,
    /// Less than that; `None`: however long.
    pub to_s: Option<u32>,
    /// The application still knew them.
    pub kept: u64,
    /// The application gave them another id: it had given them up, or they logged in.
    pub replaced: u64,
    /// The learned table had forgotten them.
    pub forgotten: u64,
}

/// What became of a session that was away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Return {
    Kept,
    Replaced,
    Forgotten,
}

impl Gaps {
    pub(super) fn note(&self, gap_s: u32, what: Return) {
        let [shortest, ..] = GAPS_S;
        if gap_s < shortest {
            return;
        }
        let counts = match what {
            Return::Kept => &self.kept,
            Return::Replaced => &self.replaced,
            Return::Forgotten => &self.forgotten,
        };
        let place = GAPS_S.iter().rposition(|from_s| *from_s <= gap_s);
        if let Some(count) = place.and_then(|place| counts.get(place)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn report(&self) -> Vec<Gap> {
        let counts = self.kept.iter().zip(&self.replaced).zip(&self.forgotten);
        let bounds = GAPS_S.iter().zip(GAPS_S.iter().skip(1).copied().map(Some).chain([None]));
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        bounds
            .zip(counts)
            .map(|((from_s, to_s), ((kept, replaced), forgotten))| Gap {
                from_s: *from_s,
                to_s,
                kept: read(kept),
                replaced: read(replaced),
                forgotten: read(forgotten),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::affinity::learned::tests::session;
    use crate::affinity::{Learned, Origin};
    use crate::clock::Now;
    use crate::names::BackendTag;

    const START: Now = Now { monotonic_ms: 0, unix_s: 1_700_000_000 };

    fn of(table: &Learned, from_s: u32) -> (u64, u64, u64) {
        let gap = table.gaps().into_iter().find(|gap| gap.from_s == from_s).unwrap();
        (gap.kept, gap.replaced, gap.forgotten)
    }

    #[test]
    fn a_gap_is_the_time_since_the_last_use() {
        let table = Learned::new(100, Duration::from_secs(1800));
        let at = |minutes: u64| START.after(Duration::from_secs(60 * minutes));
        (1..=4).for_each(|n| table.learn(&session(n), BackendTag(1), Origin::Application, START));
        // In use, which is no gap; then away for twelve minutes.
        assert!(table.find(&session(1), START.after(Duration::from_secs(59))).is_some());
        assert!(table.find(&session(1), at(13)).is_some());
        assert_eq!(of(&table, 600), (1, 0, 0));
        // Renamed after a quarter of an hour; what it was named before is no session that comes back.
        table.retire(&session(2), at(16));
        table.find(&session(2), at(16));
        assert_eq!(of(&table, 900), (0, 1, 0));
        // Forgotten here; whether its application knows it shows where only a token has led it home.
        assert_eq!(table.find(&session(3), at(31)), None);
        assert!(!table.used(&session(4), BackendTag(1), at(31)));
        assert_eq!(of(&table, 1800), (1, 0, 1));
        let resized = table.resized(200, Duration::from_secs(60), at(31));
        assert_eq!(of(&resized, 600), (1, 0, 0), "they outlive another size");
        let all: u64 = table.gaps().iter().map(|gap| gap.kept + gap.replaced + gap.forgotten).sum();
        assert_eq!(all, 4);
    }
}
