//! The backend of a client, and a place there: decided by `affinity`, carried out here.

use tokio::time::timeout;

use crate::affinity::{Circumstance, Decision, Flow, Refusal, Verdict};
use crate::clock::Now;
use crate::pool::{Admission, Patience, Permit};
use crate::snapshot::ServedPool;

/// Decides, and waits once for a suspect backend where the client is at home. Asks the other replicas first, where they
/// share and nothing here leads home for sure.
///
/// # Errors
/// Nobody can serve the client.
pub(super) async fn settle(served: &ServedPool, flow: &Flow, now: Now) -> Result<Decision, Refusal> {
    let (policy, pool) = (&served.policy, &served.pool);
    let mut at = Circumstance { now, draw: rand::random(), held: false };
    loop {
        if let Some(shared) = &served.shared
            && let Some(unsure) = flow.unsure(policy, pool, at.now)
        {
            // In boxes, what is seldom waited for: it would make every connection's wait larger.
            Box::pin(shared.ask(&unsure)).await;
        }
        match flow.decide(policy, pool, at) {
            Verdict::To(decision) => {
                flow.chosen(&decision, policy, at.now);
                return Ok(decision);
            }
            Verdict::Refuse(refusal) => return Err(refusal),
            // Cannot happen twice: whoever was held is not held again.
            Verdict::Hold(_) if at.held => return Err(Refusal::NoBackend),
            Verdict::Hold(home) => {
                if let Some(backend) = pool.backend(home) {
                    let _ = timeout(policy.suspect_hold, backend.live().suspicion_resolved()).await;
                }
                at = Circumstance { now: Now::read(), held: true, ..at };
            }
        }
    }
}

/// Waits for a place. A backend that goes down meanwhile is decided upon anew; one that is merely full keeps its own
/// clients waiting.
///
/// # Errors
/// The queue is full, the wait was too long, or nobody can serve the client any more.
pub(super) async fn admit(
    served: &ServedPool,
    flow: &Flow,
    mut decision: Decision,
) -> Result<(Decision, Option<Permit>), Refusal> {
    let mut patience = Patience::default();
    while let Some(backend) = served.pool.backend(decision.backend) {
        match served.pool.admit(backend, decision.reason.into(), &mut patience).await {
            Admission::Granted(permit) => return Ok((decision, Some(permit))),
            Admission::Undecided => decision = Box::pin(settle(served, flow, Now::read())).await?,
            Admission::Full => return Err(Refusal::Full),
        }
    }
    Ok((decision, None))
}
