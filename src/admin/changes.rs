//! The write side: reload, and changes of backends at run time.

use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::Refusal;
use super::app::Api;
use super::call::Call;
use super::state;
use super::view::{BackendView, Wanted};
use crate::config::checked::BackendState;
use crate::lifecycle::{Applied, BackendChange, ChangeError, ReloadError};

/// IP address and port: IPv4, or IPv6 in its common forms.
const ADDRESS: &str = concat!(
    r"^(((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])",
    r"|\[(([0-9a-f]{1,4}:){7}|([0-9a-f]{1,4}:){1,6}:|::)[0-9a-f]{1,4}\])",
    r":(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})$"
);

/// The most that a weight may be, as in the configuration.
const MAX_WEIGHT: u16 = 1000;

/// Nothing: `{}`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// What is changed of a backend; at least one of them.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub(crate) struct BackendPatch {
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Wanted")]
    pub(crate) state: Option<Wanted>,
    /// Share of new sessions, relative to the others; 0: none.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "u16", range(min = 0, max = 1000))]
    pub(crate) weight: Option<f64>,
}

/// A backend to add.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBackend {
    /// Its stable id, unique in the pool.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))]
    pub(crate) id: String,
    /// IP address and port.
    #[schemars(regex(pattern = ADDRESS))]
    pub(crate) address: String,
    /// Share of new sessions, relative to the others; 0: none.
    #[serde(default = "one")]
    #[schemars(with = "u16", range(min = 0, max = 1000))]
    pub(crate) weight: f64,
}

/// How to drain.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drain {
    /// How long sessions are kept, such as `30m`; absent: as the pool has it.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = r"^[0-9]{1,6}(s|m|h)$"))]
    pub(crate) deadline: Option<String>,
}

/// What became of a backend that was taken out.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Removed {
    /// The backend while it drains; null: it is gone.
    pub(crate) draining: Option<BackendView>,
}

/// Whether there was a change to take back.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Reset {
    /// False: nothing was changed by hand.
    pub(crate) was_changed: bool,
}

/// What another configuration changes.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PlanView {
    /// Each change, in words.
    pub(crate) changes: Vec<String>,
    /// Learned sessions that leave their backend.
    pub(crate) moving_sessions: u64,
    /// What only another process can put in force, which a reload then starts; null: nothing.
    pub(crate) needs_another_process: Option<String>,
    /// The process that serves from now on, because a reload alone could not do it; null: this one still does.
    pub(crate) upgraded_to: Option<u32>,
}

/// Puts the configuration file in force, or tells what that would change.
pub(super) fn reload(api: &Api, call: &Call<'_>, Nothing {}: Nothing) -> Result<PlanView, Refusal> {
    let control = &api.control;
    let applied =
        if call.dry_run { control.plan().map(Applied::Reloaded) } else { control.reload_or_upgrade() };
    match applied.map_err(not_reloaded)? {
        Applied::Upgraded { pid } => Ok(PlanView { upgraded_to: Some(pid), ..PlanView::default() }),
        Applied::Reloaded(plan) => {
            if !call.dry_run {
                log::info!("configuration reloaded: {}", plan.summary());
            }
            Ok(PlanView {
                changes: plan.changes,
                moving_sessions: plan.moving_sessions,
                needs_another_process: plan.needs_another_process,
                upgraded_to: None,
            })
        }
    }
}

fn not_reloaded(error: ReloadError) -> Refusal {
    let (code, help) = match &error {
        ReloadError::Configuration(_) => {
            ("bad_configuration", "mend the file; the configuration before stays")
        }
        ReloadError::NeedsAnotherProcess(_) => {
            ("needs_another_process", "start the program anew, or take it out of the file")
        }
        ReloadError::Upgrade { .. } => {
            ("upgrade_failed", "mend what is named; the configuration before stays")
        }
        ReloadError::HandedOver => ("handed_over", "ask again: the other process answers"),
        ReloadError::NoFile => ("no_file", "change backends one by one"),
        ReloadError::Tls(_) => ("tls", "mend `tls` of the listeners; the configuration before stays"),
        ReloadError::Log(_) => ("access_log", "mend what is named; the configuration before stays"),
        ReloadError::Secrets(_) => ("secrets", "mend what is named; the configuration before stays"),
    };
    Refusal::new(StatusCode::CONFLICT, code, error.to_string(), help)
}

/// Changes a backend.
pub(super) fn patch(api: &Api, call: &Call<'_>, patch: BackendPatch) -> Result<BackendView, Refusal> {
    if patch.state.is_none() && patch.weight.is_none() {
        return Err(Refusal::bad("bad_body", "nothing is changed", "give `state`, `weight`, or both"));
    }
    let weight = patch.weight.map(legal_weight).transpose()?;
    change(api, call, BackendChange { state: patch.state.map(Into::into), deadline: None, weight })
}

/// Lets a backend drain.
pub(super) fn drain(api: &Api, call: &Call<'_>, drain: Drain) -> Result<BackendView, Refusal> {
    let deadline = drain.deadline.as_deref().map(legal_deadline).transpose()?;
    change(api, call, BackendChange { state: Some(BackendState::Draining), deadline, weight: None })
}

/// Lets a backend take everything.
pub(super) fn ready(api: &Api, call: &Call<'_>, Nothing {}: Nothing) -> Result<BackendView, Refusal> {
    change(api, call, BackendChange { state: Some(BackendState::Up), ..BackendChange::default() })
}

/// Lets a backend take nothing.
pub(super) fn maintain(api: &Api, call: &Call<'_>, Nothing {}: Nothing) -> Result<BackendView, Refusal> {
    change(api, call, BackendChange { state: Some(BackendState::Maintenance), ..BackendChange::default() })
}

/// Takes a backend's changes back.
pub(super) fn reset(api: &Api, call: &Call<'_>, Nothing {}: Nothing) -> Result<Reset, Refusal> {
    state::backend(api, call)?;
    let (pool, backend) = names(call);
    Ok(Reset { was_changed: api.control.forget_change(pool, backend).map_err(refused)? })
}

/// Adds a backend.
pub(super) fn add(api: &Api, call: &Call<'_>, new: NewBackend) -> Result<BackendView, Refusal> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let starts_well = new.id.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !starts_well || new.id.len() > 64 || !new.id.chars().all(legal) {
        let help = "use up to 64 letters, digits, `_`, `-` and `.`, a letter or digit first";
        return Err(Refusal::bad("bad_id", "`id` is no name", help));
    }
    let address = new.address.parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
    let Some(address) = address else {
        let help = "write IP address and port, such as 10.0.0.11:8080 or [fd00::11]:8080";
        return Err(Refusal::bad("bad_address", "`address` is no address", help));
    };
    let (pool, _) = names(call);
    api.control.add(pool, &new.id, address, legal_weight(new.weight)?).map_err(refused)?;
    state::backend(api, &Call { backend: Some(&new.id), ..*call })
}

/// Takes a backend out.
pub(super) fn remove(api: &Api, call: &Call<'_>) -> Result<Removed, Refusal> {
    let (pool, backend) = names(call);
    api.control.remove(pool, backend).map_err(refused)?;
    Ok(Removed { draining: state::backend(api, call).ok() })
}

fn change(api: &Api, call: &Call<'_>, change: BackendChange) -> Result<BackendView, Refusal> {
    let (pool, backend) = names(call);
    api.control.change(pool, backend, &change).map_err(refused)?;
    state::backend(api, call)
}

fn names<'a>(call: &Call<'a>) -> (&'a str, &'a str) {
    (call.pool.unwrap_or_default(), call.backend.unwrap_or_default())
}

fn refused(error: ChangeError) -> Refusal {
    let (status, code, help) = match error {
        ChangeError::UnknownPool(_) => (StatusCode::NOT_FOUND, "unknown_pool", "GET /v1/pools names them"),
        ChangeError::UnknownBackend { .. } => {
            (StatusCode::NOT_FOUND, "unknown_backend", "GET /v1/pools/POOL/backends names them")
        }
        ChangeError::KnownBackend { .. } => {
            (StatusCode::CONFLICT, "known_backend", "PATCH changes one that is there")
        }
        ChangeError::HandedOver => {
            (StatusCode::CONFLICT, "handed_over", "ask again: the other process answers")
        }
        ChangeError::BadId(_) => (StatusCode::BAD_REQUEST, "bad_id", "choose another"),
        ChangeError::Leaving(_) => (StatusCode::CONFLICT, "leaving", "POST to backends adds it again"),
        ChangeError::LastBackend(_) => (StatusCode::CONFLICT, "last_backend", "add another one first"),
    };
    Refusal::new(status, code, error.to_string(), help)
}

/// A weight as JSON has it: `2.0` is as whole as `2`.
fn legal_weight(weight: f64) -> Result<u16, Refusal> {
    let whole = (0..=MAX_WEIGHT).find(|whole| f64::from(*whole) == weight);
    whole.ok_or_else(|| {
        Refusal::bad(
            "bad_weight",
            "`weight` is no weight",
            format!("it is a whole number from 0 to {MAX_WEIGHT}"),
        )
    })
}

/// A deadline as the schema has it: whole seconds, minutes or hours.
fn legal_deadline(text: &str) -> Result<Duration, Refusal> {
    let parsed = text.char_indices().next_back().and_then(|(end, unit)| {
        let digits = text.get(..end)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return None,
        };
        let plain = (1..=6).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit());
        Some(Duration::from_secs(digits.parse::<u64>().ok().filter(|_| plain)? * seconds))
    });
    parsed.ok_or_else(|| {
        Refusal::bad("bad_deadline", "`deadline` is no duration", "write it such as 90s, 30m or 12h")
    })
}

impl From<Wanted> for BackendState {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Up => Self::Up,
            Wanted::Draining => Self::Draining,
            Wanted::Maintenance => Self::Maintenance,
        }
    }
}

/// A field that may be absent, but not null.
fn given<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

fn one() -> f64 {
    1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_have_one_unit() {
        let seconds = |text| legal_deadline(text).map(|deadline| deadline.as_secs()).ok();
        assert_eq!([seconds("90s"), seconds("30m"), seconds("12h")], [Some(90), Some(1800), Some(43_200)]);
        for bad in ["", "s", "90", "1h 30m", "-1s", "+1s", "1234567s", "9d", "1.5h", "٣s", "5µ"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
