//! A place at the chosen backend: at once, after a wait in its queue, or not at all.

use super::choose::settle;
use crate::affinity::{Decision, Evidence, Refusal};
use crate::clock::Now;
use crate::pool::{Admission, Patience, Permit};
use crate::snapshot::ServedPool;

/// Waits for a place. A backend that goes down meanwhile is decided upon anew; one that is merely full keeps
/// its sessions waiting.
///
/// # Errors
/// The queue is full, the wait was too long, or nobody can serve the request any more.
pub(super) async fn admit(
    served: &ServedPool,
    evidence: &Evidence,
    mut decision: Decision,
) -> Result<(Decision, Option<Permit>), Refusal> {
    let mut patience = Patience::default();
    while let Some(backend) = served.pool.backend(decision.backend) {
        match served.pool.admit(backend, decision.reason.into(), &mut patience).await {
            Admission::Granted(permit) => return Ok((decision, Some(permit))),
            Admission::Undecided => decision = settle(served, evidence, Now::read()).await?,
            Admission::Full => return Err(Refusal::Full),
        }
    }
    Ok((decision, None))
}
