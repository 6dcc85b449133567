//! The last hour of each pool's sessions: how many live, moved and were lost. Constant memory for each pool.

use std::collections::VecDeque;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::PoolName;

/// From one point to the next, in seconds.
pub const HISTORY_STEP_S: u64 = 15;
/// An hour of points.
const POINTS: usize = 240;

/// The last hour of all pools.
#[derive(Debug, Default)]
pub struct History(Mutex<Vec<(PoolName, Line)>>);

#[derive(Debug, Default)]
struct Line {
    points: VecDeque<Point>,
    /// Moved and lost since the process began, at the last point.
    before: Option<(u64, u64)>,
}

/// One point.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// Its end, in seconds since 1970.
    pub at_s: u64,
    /// Sessions that lived then.
    pub live: u64,
    /// Sessions that moved since the point before.
    pub moved: u64,
    /// Sessions that were lost since the point before.
    pub lost: u64,
}

/// The last hour of one pool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolHistory {
    /// The pool.
    pub pool: PoolName,
    /// Its points, the latest last.
    pub points: Vec<Point>,
    /// Sessions that had moved since the process began, at the last point.
    pub moved: u64,
    /// Sessions that had been lost since the process began, at the last point.
    pub lost: u64,
}

impl History {
    /// Enters a point for each pool: its live sessions, and those moved and lost since the process began. Pools that are
    /// not among them are forgotten.
    pub fn enter(&self, at_s: u64, pools: Vec<(PoolName, u64, u64, u64)>) {
        let mut lines = self.0.lock();
        lines.retain(|(known, _)| pools.iter().any(|(name, ..)| name == known));
        for (name, live, moved, lost) in pools {
            let place = lines.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
                lines.push((name, Line::default()));
                lines.len() - 1
            });
            let Some((_, line)) = lines.get_mut(place) else { continue };
            let (moved_before, lost_before) = line.before.unwrap_or((moved, lost));
            line.before = Some((moved, lost));
            if line.points.len() >= POINTS {
                line.points.pop_front();
            }
            // Counts go down when a backend leaves with its own.
            let (moved, lost) = (moved.saturating_sub(moved_before), lost.saturating_sub(lost_before));
            line.points.push_back(Point { at_s, live, moved, lost });
        }
    }

    /// The last hour of each pool.
    pub fn lines(&self) -> Vec<PoolHistory> {
        let lines = self.0.lock();
        let line = |(pool, line): &(PoolName, Line)| {
            let (moved, lost) = line.before.unwrap_or_default();
            PoolHistory { pool: pool.clone(), points: line.points.iter().copied().collect(), moved, lost }
        };
        lines.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_differences_and_an_hour_of_them_is_kept() {
        let history = History::default();
        let app = PoolName::new("app");
        history.enter(15, vec![(app.clone(), 10, 3, 1), (PoolName::new("gone"), 1, 0, 0)]);
        history.enter(30, vec![(app.clone(), 12, 5, 1)]);
        history.enter(45, vec![(app.clone(), 9, 5, 4)]);
        let lines = history.lines();
        assert_eq!((lines.len(), &lines[0].pool, lines[0].moved, lines[0].lost), (1, &app, 5, 4));
        let seen: Vec<_> =
            lines[0].points.iter().map(|point| (point.live, point.moved, point.lost)).collect();
        assert_eq!(seen, [(10, 0, 0), (12, 2, 0), (9, 0, 3)]);
        (0..1000).for_each(|n| history.enter(60 + n, vec![(app.clone(), n, 5, 4)]));
        assert_eq!(history.lines()[0].points.len(), POINTS);
    }
}
