//! Which of several pools holds a request's session. Pure.
//!
//! A route may split its requests over pools. A session that lives in one of them stays there, whatever the weights
//! become: so evidence of each pool is read first, and only whoever has none is distributed.

use super::evidence::Evidence;
use super::learned::Origin;
use super::policy::{Mode, Policy};
use crate::clock::Now;

/// How firmly a request's evidence says that its session lives in a pool. Of several pools, the greatest has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Claim {
    proof: Proof,
    /// When the session was last known to be there, in seconds since 1970: a session that moved to another pool was
    /// there later.
    seen_s: u32,
}

/// From the weakest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Proof {
    /// A session id that the pool has served, on a guess.
    Served,
    /// A token of the pool, but for other sessions.
    Conflict,
    /// A token of the pool, in a request without session id or issued without one.
    Token,
    /// The application's route suffix names a backend; two pools may have backends of one id.
    Suffix,
    /// The application has set the id there.
    Learned,
    /// A token of the pool for one of the session ids.
    Proven,
}

/// How firmly the evidence, read for one pool, says that the session lives there; `None`: not at all.
pub fn claim(evidence: &Evidence, policy: &Policy, now: Now) -> Option<Claim> {
    if policy.mode != Mode::Bind {
        return None;
    }
    let tokens = evidence.tokens.iter().map(|token| {
        let proof = match () {
            () if evidence.ids.iter().any(|id| token.vouches_for(&id.digest)) => Proof::Proven,
            () if token.fingerprints.is_empty() || evidence.ids.is_empty() => Proof::Token,
            () => Proof::Conflict,
        };
        Claim { proof, seen_s: token.seen_s }
    });
    let ids = evidence.ids.iter().filter_map(|id| {
        let known = policy.learned.recall(&id.digest, now);
        let proof = match known.map(|known| known.origin) {
            Some(Origin::Application) => Proof::Learned,
            _ if id.route.is_some() => Proof::Suffix,
            Some(Origin::Client) => Proof::Served,
            None => return None,
        };
        Some(Claim { proof, seen_s: known.map_or(0, |known| policy.learned.last_used_s(&known)) })
    });
    tokens.chain(ids).max()
}

/// The order in which pools are asked to serve a request: whoever claims its session, then the one that its weight chose,
/// then, where those have no backend left, the others.
pub fn in_order(claims: &[Option<Claim>], chosen: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..claims.len()).collect();
    let rank = |at: usize| (claims.get(at).copied().flatten(), at == chosen);
    order.sort_by_key(|at| std::cmp::Reverse(rank(*at)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(proof: Proof, seen_s: u32) -> Option<Claim> {
        Some(Claim { proof, seen_s })
    }

    #[test]
    fn the_session_comes_before_the_weight() {
        let table = [
            (vec![None, None, None], 1, [1, 0, 2]),
            (vec![None, None, at(Proof::Served, 9)], 0, [2, 0, 1]),
            (vec![at(Proof::Conflict, 9), at(Proof::Proven, 1), None], 2, [1, 0, 2]),
            (vec![at(Proof::Token, 1), at(Proof::Token, 2), None], 2, [1, 0, 2]),
            (vec![at(Proof::Learned, 9), at(Proof::Suffix, 9), at(Proof::Proven, 0)], 0, [2, 0, 1]),
            (vec![at(Proof::Token, 5), at(Proof::Token, 5), None], 1, [1, 0, 2]),
        ];
        for (claims, chosen, expected) in table {
            assert_eq!(in_order(&claims, chosen), expected, "{claims:?}, chosen {chosen}");
        }
    }
}
