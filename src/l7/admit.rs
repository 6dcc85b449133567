//! A place at the chosen backend: at once, after a wait in its queue, or not at all.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::choose::settle;
use crate::affinity::{Decision, Evidence, Refusal};
use crate::clock::Now;
use crate::pool::{Entry, Permit};
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
    let limits = served.pool.limits();
    let mut deadline = None;
    loop {
        let Some(backend) = served.pool.backend(decision.backend) else { return Ok((decision, None)) };
        let waiting = match backend.live().ask(limits, decision.reason.into()) {
            Entry::Go(permit) => return Ok((decision, Some(permit))),
            Entry::Wait(waiting) => waiting,
            Entry::Full => return Err(Refusal::Full),
        };
        let wait = limits.map(|limits| limits.queue_wait).unwrap_or_default();
        let deadline = *deadline.get_or_insert_with(|| Instant::now() + wait);
        let live = Arc::clone(backend.live());
        let event = timeout_at(deadline, async {
            tokio::select! {
                biased;
                permit = waiting => permit.ok(),
                () = live.changed() => None,
            }
        });
        match event.await {
            Ok(Some(permit)) => return Ok((decision, Some(permit))),
            Ok(None) => decision = settle(served, evidence, Now::read()).await?,
            Err(_) => return Err(Refusal::Full),
        }
    }
}
