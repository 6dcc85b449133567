//! Keys of the load-balancer cookie.

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::Refusal;
use super::app::Api;
use super::call::Call;
use super::changes::Nothing;
use crate::lifecycle::RotateError;
use crate::snapshot::SecretsError;

/// That there is a new key.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Rotated {
    pub(crate) rotated: bool,
}

/// Makes a new key that seals from now on.
pub(super) fn rotate(api: &Api, _: &Call<'_>, Nothing {}: Nothing) -> Result<Rotated, Refusal> {
    match api.control.rotate_key() {
        Ok(()) => Ok(Rotated { rotated: true }),
        Err(error) => {
            let (code, help) = match &error {
                RotateError::Secrets(SecretsError::Configured) => {
                    ("keys_are_configured", "then POST /v1/reload puts it in force")
                }
                RotateError::Secrets(SecretsError::TooMany(_)) => ("too_many_keys", "then ask again"),
                RotateError::Secrets(_) => ("secrets", "mend what is named; the key before goes on sealing"),
                RotateError::HandedOver(_) => ("handed_over", "ask again: the other process answers"),
            };
            Err(Refusal::new(StatusCode::CONFLICT, code, error.to_string(), help))
        }
    }
}
