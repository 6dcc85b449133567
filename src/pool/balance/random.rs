//! Weighted random.

use super::Candidate;
use crate::names::BackendIndex;

pub(in crate::pool) fn random(
    candidates: impl Iterator<Item = Candidate> + Clone,
    draw: u64,
) -> Option<BackendIndex> {
    let total: u64 = candidates.clone().map(|candidate| u64::from(candidate.weight)).sum();
    let mut left = draw.checked_rem(total)?;
    for candidate in candidates {
        match left.checked_sub(u64::from(candidate.weight)) {
            Some(rest) => left = rest,
            None => return Some(candidate.index),
        }
    }
    None
}
