//! Smooth weighted round robin, as NGINX has it: each turn everybody gains its weight, the richest is chosen
//! and pays the sum.

use parking_lot::Mutex;

use super::Candidate;
use crate::names::BackendIndex;

/// Everybody's credit, by index.
#[derive(Debug, Default)]
pub(in crate::pool) struct RoundRobin {
    credit: Mutex<Vec<i64>>,
}

impl RoundRobin {
    /// The next one; its turn is over.
    pub(in crate::pool) fn next(&self, candidates: impl Iterator<Item = Candidate>) -> Option<BackendIndex> {
        turn(&mut self.credit.lock(), candidates)
    }

    /// The next one; its turn still comes.
    pub(in crate::pool) fn peek(&self, candidates: impl Iterator<Item = Candidate>) -> Option<BackendIndex> {
        let mut credit = self.credit.lock().clone();
        turn(&mut credit, candidates)
    }
}

impl Clone for RoundRobin {
    fn clone(&self) -> Self {
        Self { credit: Mutex::new(self.credit.lock().clone()) }
    }
}

fn turn(credit: &mut Vec<i64>, candidates: impl Iterator<Item = Candidate>) -> Option<BackendIndex> {
    let mut total = 0;
    let mut best: Option<(BackendIndex, i64)> = None;
    for candidate in candidates {
        let position = candidate.index.position();
        if credit.len() <= position {
            credit.resize(position + 1, 0);
        }
        let Some(own) = credit.get_mut(position) else { continue };
        *own += i64::from(candidate.weight);
        total += i64::from(candidate.weight);
        if best.is_none_or(|(_, richest)| *own > richest) {
            best = Some((candidate.index, *own));
        }
    }
    let (chosen, _) = best?;
    if let Some(own) = credit.get_mut(chosen.position()) {
        *own -= total;
    }
    Some(chosen)
}
