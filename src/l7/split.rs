//! A split: the pool that holds the session serves it, and only who has none is distributed.

use std::sync::Arc;

use super::choose::{self, Settled, Unserved};
use super::context::RequestContext;
use crate::affinity::{self, Claim, Evidence, Refusal};
use crate::clock::Now;
use crate::route::Split;
use crate::snapshot::ServedPool;

/// The pools of a split, and whether each is to get new clients.
pub(super) fn pools(ctx: &RequestContext, split: &Split) -> Vec<(Arc<ServedPool>, bool)> {
    let pool = |part: &crate::route::Part| Some((Arc::clone(ctx.snapshot.pool(part.pool)?), part.weight > 0));
    split.parts().iter().filter_map(pool).collect()
}

/// Decides where a request goes, with the evidence that was read for each of the pools.
///
/// # Errors
/// Nobody can serve the request.
pub(super) async fn settle(
    split: &Split,
    mut pools: Vec<(Arc<ServedPool>, bool, Evidence)>,
    now: Now,
) -> Result<Settled, Unserved> {
    let mut claims = claims(&pools, now);
    if claims.iter().all(Option::is_none) {
        for (served, _, evidence) in &pools {
            // Another replica, or the process before this one, may know where the session lives.
            choose::learn_from_others(served, evidence, now).await;
        }
        claims = self::claims(&pools, Now::read());
    }
    let key = pools.first().map_or(0, |(_, _, evidence)| evidence.contact.key);
    let order = affinity::in_order(&claims, split.choose(key));
    let mut refused = None;
    for at in order {
        let claimed = claims.get(at).is_some_and(Option::is_some);
        let Some((served, _, evidence)) = pools.get(at).filter(|(_, welcomes, _)| *welcomes || claimed)
        else {
            continue;
        };
        match choose::settle(served, evidence, now).await {
            Ok(decision) => {
                let (served, _, evidence) = pools.swap_remove(at);
                return Ok(Settled { served, evidence, decision });
            }
            // The whole pool is gone: its sessions move to another one, as they would to another backend.
            Err(Refusal::NoBackend) => _ = refused.get_or_insert((at, Refusal::NoBackend)),
            Err(refusal) => {
                refused = Some((at, refusal));
                break;
            }
        }
    }
    let (at, refusal) = refused.unwrap_or((0, Refusal::NoBackend));
    let pool = (at < pools.len()).then(|| pools.swap_remove(at));
    Err(Unserved { pool: pool.map(|(served, _, evidence)| (served, evidence)), refusal })
}

fn claims(pools: &[(Arc<ServedPool>, bool, Evidence)], now: Now) -> Vec<Option<Claim>> {
    pools.iter().map(|(served, _, evidence)| affinity::claim(evidence, &served.policy, now)).collect()
}
