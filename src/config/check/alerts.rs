//! `alerts`: a web hook that can be reached.

use super::{Surroundings, endpoint};
use crate::config::checked::Endpoint;
use crate::config::model;
use crate::config::read::Spanned;
use crate::config::units::Time;

/// The web hook, if there is one. The outer `None` is an error.
#[expect(clippy::option_option, reason = "two different absences")]
pub(super) fn webhook(
    alerts: Spanned<Option<model::Alerts>>,
    around: &Surroundings<'_>,
) -> Option<Option<Endpoint>> {
    let Some(model::Alerts { webhook }) = alerts.value? else { return Some(None) };
    let Some(model::Webhook { url, token_file, timeout }) = webhook.value? else { return Some(None) };
    let timeout = timeout.value.map(|Time(timeout)| timeout);
    Some(Some(endpoint::endpoint(url, token_file, timeout, "/", around)?))
}
