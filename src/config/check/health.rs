//! Health: at most one active check, which ends before the next one starts.

use super::{Surroundings, count};
use crate::config::checked::{Check, DrainOn, Health, HttpCheck, Passive};
use crate::config::collections::OneOrMany;
use crate::config::model::{self, TcpCheck};
use crate::config::network::StatusRange;
use crate::config::read::Spanned;
use crate::config::report::{Code, Place};

/// Checks how a pool's backends are watched.
pub(super) fn health(health: Spanned<model::Health>, around: &Surroundings<'_>) -> Option<Health> {
    let health = health.value?;
    if let (Some(interval), Some(timeout)) = (health.interval.get(), health.timeout.get())
        && timeout.0 > interval.0
    {
        // The one that the file says is the one to correct.
        let place = if health.timeout.given { &health.timeout.place } else { &health.interval.place };
        let (timeout, interval) =
            (humantime::format_duration(timeout.0), humantime::format_duration(interval.0));
        let message = format!("`timeout` ({timeout}) is longer than `interval` ({interval})");
        around.error(Code::Conflict, place, message, "a check has to end before the next one starts");
    }
    let tcp = health.tcp.get().is_some_and(|TcpCheck(on)| *on);
    if tcp && matches!(health.http.get(), Some(Some(_))) {
        let help = "keep `http`, which sees more, or `tcp`";
        around.error(Code::Conflict, &health.tcp.place, "a pool has one check: `http` or `tcp`", help);
    }
    let http = match health.http.value {
        Some(Some(http)) => http_check(http, &health.http.place, around).map(Some),
        Some(None) => Some(None),
        None => None,
    };
    Some(Health {
        check: match http? {
            Some(http) => Some(Check::Http(http)),
            None => health.tcp.value?.0.then_some(Check::Tcp),
        },
        interval: health.interval.value?.0,
        timeout: health.timeout.value?.0,
        rise: count(health.rise.value?),
        fall: count(health.fall.value?),
        try_home: health.existing_sessions.value?.0.0,
        passive: passive(health.passive)?,
        slow_start: health.slow_start.value?.0,
    })
}

fn http_check(http: model::HttpCheck, place: &Place, around: &Surroundings<'_>) -> Option<HttpCheck> {
    let OneOrMany(expect) = http.expect.value?;
    if expect.is_empty() {
        let place = if http.expect.given { &http.expect.place } else { place };
        around.error(
            Code::BadValue,
            place,
            "`expect` is empty: no answer would be good",
            "write `[200-399]`",
        );
        return None;
    }
    let range = |range: Spanned<StatusRange>| range.value.map(|StatusRange(range)| range);
    Some(HttpCheck {
        path: http.path.value?.0,
        host: http.host.value?.map(|host| host.0),
        expect: expect.into_iter().map(range).collect::<Option<_>>()?,
        drain_on: match http.drain_on.value? {
            Some(on) => Some(drain_on(on, &http.drain_on.place, around)?),
            None => None,
        },
    })
}

fn drain_on(on: model::DrainOn, place: &Place, around: &Surroundings<'_>) -> Option<DrainOn> {
    let OneOrMany(status) = on.status.value?;
    let (header, value) = (on.header.value?, on.value.value?);
    if status.is_empty() && header.is_none() {
        let message = "`drain_on` names nothing by which a backend could say that it drains";
        around.error(Code::MissingKey, place, message, "add `status: [503]`, or `header: x-draining`");
        return None;
    }
    if value.is_some() && header.is_none() {
        let help = "name the field: `header: x-draining`";
        around.error(Code::MissingKey, &on.value.place, "`value` has no `header` that it could be of", help);
        return None;
    }
    let range = |range: Spanned<StatusRange>| range.value.map(|StatusRange(range)| range);
    Some(DrainOn {
        status: status.into_iter().map(range).collect::<Option<_>>()?,
        header: header.map(|header| (header.0, value.map(|value| value.0))),
    })
}

fn passive(passive: Spanned<model::Passive>) -> Option<Passive> {
    let passive = passive.value?;
    Some(Passive {
        consecutive_failures: count(passive.consecutive_failures.value?),
        eject: passive.eject.value?.0,
    })
}
