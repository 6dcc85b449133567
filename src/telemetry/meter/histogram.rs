//! How long things took: counts by upper bound, and the sum.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in microseconds, from a local backend's answer to a patient client's wait.
pub const BOUNDS_US: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// Counts of durations; beyond the last bound there is one more.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Counts one.
    pub(super) fn observe(&self, took: Duration) {
        let us = micros(took);
        let place = BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Adds what was counted.
    pub(super) fn add_to(&self, distribution: &mut Distribution) {
        for (to, count) in distribution.counts.iter_mut().zip(&self.counts) {
            *to += count.load(Ordering::Relaxed);
        }
        distribution.sum_us += self.sum_us.load(Ordering::Relaxed);
    }
}

/// A duration in whole microseconds, saturating.
fn micros(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(duration.subsec_micros()))
}

/// How long things took, at one moment. The difference of two tells of the time between.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Distribution {
    /// How many took at most as long as each of [`BOUNDS_US`] and longer than the one before; then those beyond.
    pub counts: [u64; BOUNDS_US.len() + 1],
    /// All of them together, in microseconds.
    pub sum_us: u64,
}

impl Distribution {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What came since an earlier look.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut rest = *self;
        rest.counts
            .iter_mut()
            .zip(earlier.counts)
            .for_each(|(count, before)| *count = count.saturating_sub(before));
        rest.sum_us = rest.sum_us.saturating_sub(earlier.sum_us);
        rest
    }

    /// Both together.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let mut both = *self;
        both.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
        both.sum_us += other.sum_us;
        both
    }

    /// What so many of a thousand took at most: an estimate within the bounds, as Prometheus makes it. `None`: there
    /// were none.
    pub fn quantile(&self, per_mille: u16) -> Option<Duration> {
        let all = self.count();
        if all == 0 {
            return None;
        }
        let rank = u128::from(all) * u128::from(per_mille.min(1000));
        let (mut below, mut lower) = (0_u128, 0);
        for (count, bound) in self.counts.iter().zip(BOUNDS_US) {
            let here = u128::from(*count) * 1000;
            if here > 0 && below + here >= rank {
                let into = u128::from(bound - lower) * (rank - below) / here;
                return Some(Duration::from_micros(lower + u64::try_from(into).unwrap_or(0)));
            }
            (below, lower) = (below + here, bound);
        }
        // Beyond the last bound nothing is known.
        Some(Duration::from_micros(lower))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times_us: &[u64]) -> Distribution {
        let histogram = Histogram::default();
        times_us.iter().for_each(|us| histogram.observe(Duration::from_micros(*us)));
        let mut distribution = Distribution::default();
        histogram.add_to(&mut distribution);
        distribution
    }

    #[test]
    fn a_bound_belongs_to_what_it_bounds() {
        let some = of(&[0, 100, 101, 60_000_000, 60_000_001]);
        assert_eq!((some.counts[0], some.counts[1], some.counts[17], some.counts[18]), (2, 1, 1, 1));
        assert_eq!((some.count(), some.sum_us), (5, 120_000_202));
    }

    #[test]
    fn quantiles_lie_within_their_bounds() {
        assert_eq!(of(&[]).quantile(500), None);
        let some = of(&[80; 90]).with(&of(&[200_000; 10]));
        let at = |per_mille| some.quantile(per_mille).unwrap();
        assert!(at(500) <= Duration::from_micros(100), "{:?}", at(500));
        assert!(at(900) <= Duration::from_micros(100), "{:?}", at(900));
        assert!(
            (Duration::from_millis(100)..=Duration::from_millis(250)).contains(&at(990)),
            "{:?}",
            at(990)
        );
        assert_eq!(of(&[90_000_000]).quantile(500), Some(Duration::from_secs(60)), "no more is known");
    }

    #[test]
    fn two_looks_tell_of_the_time_between() {
        let (before, after) = (of(&[50, 50]), of(&[50, 50, 700]));
        assert_eq!(after.since(&before), of(&[700]));
    }
}
