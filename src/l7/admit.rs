//! A place at the chosen backend: at once, after a wait in its queue, or not at all.

use super::choose::settle;
use crate::affinity::{Decision, Evidence, Refusal};
use crate::clock::Now;
use crate::pool::{Admission, Asker, Patience, Permit};
use crate::snapshot::ServedPool;

/// Waits for a place. A backend that goes down meanwhile is decided upon anew; one that is merely full keeps
/// its sessions waiting, while somebody new goes wherever there is a place first, unless a hook has `named` the backend.
///
/// # Errors
/// The queue is full, the wait was too long, or nobody can serve the request any more.
pub(super) async fn admit(
    served: &ServedPool,
    evidence: &Evidence,
    mut decision: Decision,
    named: bool,
) -> Result<(Decision, Option<Permit>), Refusal> {
    let mut patience = Patience::default();
    let mut asker = match decision.reason.into() {
        Asker::New if named => Asker::Led,
        asker => asker,
    };
    while served.pool.backend(decision.backend).is_some() {
        match served.pool.admit(decision.backend, asker, &mut patience).await {
            Admission::Granted(backend, permit) => {
                return Ok((Decision { backend, ..decision }, Some(permit)));
            }
            Admission::Undecided => decision = settle(served, evidence, Now::read()).await?,
            Admission::Full => return Err(Refusal::Full),
        }
        asker = decision.reason.into();
    }
    Ok((decision, None))
}
