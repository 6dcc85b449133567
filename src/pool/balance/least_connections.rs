//! Fewest requests in flight for its weight; ties are drawn.

use super::Candidate;
use crate::names::BackendIndex;

pub(in crate::pool) fn least_connections(
    candidates: impl Iterator<Item = Candidate>,
    draw: u64,
) -> Option<BackendIndex> {
    // Compares in_flight / weight without dividing.
    let busier = |left: &Candidate, right: &Candidate| {
        let cross = |a: &Candidate, b: &Candidate| u64::from(a.in_flight) * u64::from(b.weight);
        cross(left, right).cmp(&cross(right, left))
    };
    let mut best: Option<Candidate> = None;
    let mut ties = 0_u64;
    for candidate in candidates {
        match best.as_ref().map(|best| busier(&candidate, best)) {
            Some(std::cmp::Ordering::Greater) => {}
            Some(std::cmp::Ordering::Equal) => {
                ties += 1;
                // Each of n equals is kept with probability 1/n.
                if draw.rotate_left(u32::try_from(ties % 64).unwrap_or(0)) % (ties + 1) == 0 {
                    best = Some(candidate);
                }
            }
            Some(std::cmp::Ordering::Less) | None => {
                best = Some(candidate);
                ties = 0;
            }
        }
    }
    best.map(|candidate| candidate.index)
}
