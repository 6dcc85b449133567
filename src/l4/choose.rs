//! The backend of a client, and a place there: decided by `affinity`, carried out here.

use tokio::time::timeout;

use crate::affinity::{Circumstance, Decision, Flow, Refusal, Verdict};
use crate::clock::Now;
use crate::names::Reason;
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
/// clients waiting, while a new one goes wherever there is a place first.
///
/// # Errors
/// The queue is full, the wait was too long, or nobody can serve the client any more.
pub(super) async fn admit(
    served: &ServedPool,
    flow: &Flow,
    mut decision: Decision,
) -> Result<(Decision, Option<Permit>), Refusal> {
    let mut patience = Patience::default();
    while served.pool.backend(decision.backend).is_some() {
        match served.pool.admit(decision.backend, decision.reason.into(), &mut patience).await {
            Admission::Granted(backend, permit) => {
                decision.backend = backend;
                if decision.reason != Reason::New || !patience.was_needed() || fits(served, flow, &decision) {
                    return Ok((decision, Some(permit)));
                }
                drop(permit);
                decision = Box::pin(settle(served, flow, Now::read())).await?;
            }
            Admission::Undecided => decision = Box::pin(settle(served, flow, Now::read())).await?,
            Admission::Full => return Err(Refusal::Full),
        }
    }
    Ok((decision, None))
}

/// Whether a client that was new when it began to wait may go there. Meanwhile another connection of the same client may have come
/// to stand elsewhere.
fn fits(served: &ServedPool, flow: &Flow, decision: &Decision) -> bool {
    let now = Now::read();
    let home = served.policy.learned.peek(flow.digest(), now);
    let fits = home.is_none_or(|home| served.pool.find_tag(home) == Some(decision.backend));
    if fits {
        flow.chosen(decision, &served.policy, now);
    }
    fits
}
