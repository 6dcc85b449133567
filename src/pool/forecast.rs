//! When will a drain have ended? Told from how its sessions end.
//!
//! Sessions of a backend that takes no new ones end ever more slowly, because the short ones end first. What the last half of the
//! drain so far shows is therefore the best word on those that are left: a line is laid through the logarithms of its
//! counts (a constant rate of endings, as of a process without memory), and goes on to the twentieth that counts as
//! the end. Visits of two kinds, such as short looks and long shifts, are met well while the long ones are no
//! small minority.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::millis;

/// Points that are kept; beyond that every other one goes.
const MOST: usize = 240;
/// A drain counts as over when a twentieth of its sessions is left: 95 % are gone.
const REST: u64 = 20;
/// Fewer points in the last half say nothing.
const FEWEST_POINTS: usize = 4;
/// So many sessions must have ended, or a tenth of all.
const FEWEST_ENDED: u64 = 5;

/// How many sessions were left, over the time of a drain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Curve {
    points: Vec<Point>,
    spacing_ms: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Point {
    age_ms: u64,
    left: u64,
}

impl Default for Curve {
    fn default() -> Self {
        Self { points: Vec::new(), spacing_ms: 900 }
    }
}

impl Curve {
    /// Whether it has room for a point of this age: points are spaced ever wider.
    pub(super) fn wants(&self, age: Duration) -> bool {
        self.points.last().is_none_or(|last| millis(age) >= last.age_ms.saturating_add(self.spacing_ms))
    }

    /// So many sessions were left when the drain had lasted for `age`.
    pub(super) fn note(&mut self, age: Duration, left: u64) {
        if self.points.len() >= MOST {
            let mut odd = false;
            self.points.retain(|_| {
                odd = !odd;
                odd
            });
            self.spacing_ms *= 2;
        }
        self.points.push(Point { age_ms: millis(age), left });
    }

    /// The age of the drain at which 95 % of the sessions that it began with are gone; `None`: nothing can be said yet.
    pub(super) fn forecast(&self) -> Option<Duration> {
        let (first, last) = (self.points.first()?, self.points.last()?);
        let rest = first.left / REST;
        if let Some(end) = self.points.iter().find(|point| point.left <= rest) {
            return Some(Duration::from_millis(end.age_ms));
        }
        let ended = first.left.saturating_sub(last.left);
        let half: Vec<_> = self.points.iter().filter(|point| point.age_ms * 2 >= last.age_ms).collect();
        if half.len() < FEWEST_POINTS || ended < FEWEST_ENDED.max(first.left / 10) {
            return None;
        }
        let rate = -slope(half.iter().map(|point| (float(point.age_ms), float(point.left).ln())));
        let target = float(first.left) / float(REST);
        let more_ms = (float(last.left) / target).ln() / rate;
        // An endless drain, or none at all.
        let is_time = more_ms.is_finite() && (0.0..1e12).contains(&more_ms);
        is_time.then(|| Duration::from_millis(last.age_ms) + Duration::from_secs_f64(more_ms / 1000.0))
    }
}

/// Of the straight line that comes nearest to the points, by least squares.
fn slope(points: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let count: f64 = points.clone().map(|_| 1.0).sum();
    let (x, y) = points.clone().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (along, square) = points.fold((0.0, 0.0), |(along, square), point| {
        (along + (point.0 - x) * (point.1 - y), square + (point.0 - x).powi(2))
    });
    along / square
}

/// Ages and counts are far below 2^52.
fn float(number: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let float = number as f64;
    float
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    /// How long sessions last, in seconds.
    type Length = fn(&mut StdRng) -> f64;

    fn exponential(random: &mut StdRng) -> f64 {
        -1200.0 * random.random::<f64>().max(1e-12).ln()
    }

    fn normal(random: &mut StdRng, mean: f64, spread: f64) -> f64 {
        let sum: f64 = (0..12).map(|_| random.random::<f64>()).sum();
        (mean + (sum - 6.0) * spread).max(1.0)
    }

    /// Looks of five minutes and shifts of forty.
    fn bimodal(random: &mut StdRng) -> f64 {
        if random.random_bool(0.5) { normal(random, 300.0, 60.0) } else { normal(random, 2400.0, 480.0) }
    }

    /// For how long each of the sessions that a backend has at some moment will last from then on: long ones are met more often,
    /// somewhere in their middle.
    fn remaining(length: Length, count: usize, random: &mut StdRng) -> Vec<f64> {
        let lengths: Vec<f64> = (0..count * 20).map(|_| length(random)).collect();
        let longest = lengths.iter().copied().fold(0.0, f64::max);
        let mut live = Vec::with_capacity(count);
        while live.len() < count {
            let length = lengths[random.random_range(0..lengths.len())];
            if random.random_bool(length / longest) {
                live.push(length * random.random::<f64>());
            }
        }
        live.sort_by(f64::total_cmp);
        live
    }

    /// Relative errors after three half-lives, of many drains.
    fn errors(length: Length) -> Vec<f64> {
        let mut random = StdRng::seed_from_u64(7);
        let error = |_| {
            let live = remaining(length, 1000, &mut random);
            let (half, end) = (live[live.len() / 2], live[live.len() * 95 / 100]);
            let mut curve = Curve::default();
            let mut age = 0.0;
            while age <= 3.0 * half {
                let at = Duration::from_secs_f64(age);
                if curve.wants(at) {
                    let gone = live.partition_point(|length| *length <= age);
                    curve.note(at, u64::try_from(live.len() - gone).unwrap());
                }
                age += 1.0;
            }
            let told = curve.forecast().unwrap().as_secs_f64();
            (told - end).abs() / end
        };
        let mut errors: Vec<f64> = (0..50).map(error).collect();
        errors.sort_by(f64::total_cmp);
        errors
    }

    #[test]
    fn after_three_half_lives_it_is_less_than_a_fifth_off() {
        for (name, length) in [("exponential", exponential as Length), ("bimodal", bimodal)] {
            let errors = errors(length);
            assert!(errors.iter().all(|error| *error < 0.2), "{name}: {errors:?}");
        }
    }

    #[test]
    fn it_says_nothing_rather_than_anything() {
        let mut curve = Curve::default();
        assert_eq!(curve.forecast(), None);
        for second in 0..100 {
            let age = Duration::from_secs(second);
            assert!(
                curve.wants(age) && !curve.wants(age.saturating_sub(Duration::from_secs(1))) || second == 0
            );
            curve.note(age, 1000);
        }
        assert_eq!(curve.forecast(), None, "nobody has left");
        curve.note(Duration::from_secs(100), 50);
        assert_eq!(curve.forecast(), Some(Duration::from_secs(100)), "95 % are gone");
        let mut none = Curve::default();
        none.note(Duration::ZERO, 0);
        assert_eq!(none.forecast(), Some(Duration::ZERO), "there were none");
    }

    #[test]
    fn a_long_drain_takes_no_more_memory() {
        let mut curve = Curve::default();
        for second in 0..100_000 {
            let age = Duration::from_secs(second);
            if curve.wants(age) {
                curve.note(age, 100_000 - second);
            }
        }
        assert!(curve.points.len() <= MOST && curve.points[0].left == 100_000);
        assert_eq!(curve.forecast().unwrap().as_secs() / 1000, 95);
    }
}
