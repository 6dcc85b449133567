//! A new process takes over.

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::Refusal;
use super::app::Api;
use super::call::Call;
use super::changes::Nothing;
use crate::lifecycle::UpgradeError;

/// Which process serves from now on.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Upgraded {
    /// Its process id.
    pub(crate) pid: u32,
}

/// Lets a new process take over, of the binary and the file that are on the disk now; answers once it serves.
pub(super) fn upgrade(api: &Api, _: &Call<'_>, Nothing {}: Nothing) -> Result<Upgraded, Refusal> {
    api.control.upgrade().map(|pid| Upgraded { pid }).map_err(|error| refused(&error))
}

pub(super) fn refused(error: &UpgradeError) -> Refusal {
    let (code, help) = match error {
        UpgradeError::Busy => ("upgrading", "wait for it; GET /v1/status says which process answers"),
        UpgradeError::Embedded => ("embedded", "start that program anew"),
        UpgradeError::HandedOver => ("handed_over", "ask again: the other process answers"),
        UpgradeError::Start { .. } => ("no_program", "put the binary in its place; this process goes on"),
        UpgradeError::Failed(_) => ("upgrade_failed", "mend what is named; this process goes on"),
        UpgradeError::TooSlow => ("upgrade_too_slow", "the log says how far it came; this process goes on"),
    };
    Refusal::new(StatusCode::CONFLICT, code, error.to_string(), help)
}
