//! Health: at most one active check, which ends before the next one starts.

use super::exchange::{dialogue, dns as dns_query, tls_dialogue, udp_dialogue};
use super::{Surroundings, count};
use crate::config::checked::{Ask, Check, DrainOn, Exchange, Health, HttpCheck, Over, Passive};
use crate::config::collections::OneOrMany;
use crate::config::model::{self, Switched};
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
    let check = check(health.http, health.tcp, health.tls, health.udp, health.dns, around);
    Some(Health {
        check: check?,
        interval: health.interval.value?.0,
        timeout: health.timeout.value?.0,
        rise: count(health.rise.value?),
        fall: count(health.fall.value?),
        try_home: health.existing_sessions.value?.0.0,
        passive: passive(health.passive)?,
        slow_start: health.slow_start.value?.0,
    })
}

/// The one check of a pool, if it has one.
#[expect(clippy::option_option, reason = "two different absences")]
fn check(
    http: Spanned<Option<model::HttpCheck>>,
    tcp: Spanned<Switched<model::Dialogue>>,
    tls: Spanned<Switched<model::TlsDialogue>>,
    udp: Spanned<Option<model::Dialogue>>,
    dns: Spanned<Option<model::DnsCheck>>,
    around: &Surroundings<'_>,
) -> Option<Option<Check>> {
    let kinds = [
        (matches!(http.get(), Some(Some(_))), &http.place),
        (matches!(tcp.get(), Some(Switched::On | Switched::Keys(_))), &tcp.place),
        (matches!(tls.get(), Some(Switched::On | Switched::Keys(_))), &tls.place),
        (matches!(udp.get(), Some(Some(_))), &udp.place),
        (matches!(dns.get(), Some(Some(_))), &dns.place),
    ];
    let mut said = kinds.iter().filter(|(said, _)| *said).map(|(_, place)| *place);
    if let (Some(first), Some(second)) = (said.next(), said.next()) {
        let message = format!("a pool has one check: `{}` or `{}`", first.name(), second.name());
        let help = "keep the one that sees more of what clients need";
        around.error(Code::Conflict, second, message, help);
    }
    let exchange = |over, ask| Check::Exchange(Exchange { over, ask });
    let http = match http.value? {
        Some(check) => Some(Check::Http(http_check(check, &http.place, around)?)),
        None => None,
    };
    let tcp = match tcp.value? {
        Switched::Off => None,
        Switched::On => Some(Check::Tcp),
        Switched::Keys(keys) => match dialogue(keys, &tcp.place, around)? {
            None => Some(Check::Tcp),
            Some(ask) => Some(exchange(Over::Tcp, ask)),
        },
    };
    let tls = match tls.value? {
        Switched::Off => None,
        Switched::On => Some(exchange(Over::Tls { server_name: None }, Ask::Nothing)),
        Switched::Keys(keys) => Some(Check::Exchange(tls_dialogue(keys, &tls.place, around)?)),
    };
    let udp = match udp.value? {
        Some(keys) => Some(exchange(Over::Udp, udp_dialogue(keys, &udp.place, around)?)),
        None => None,
    };
    let dns = match dns.value? {
        Some(query) => Some(exchange(Over::Udp, dns_query(query, around)?)),
        None => None,
    };
    Some(http.or(tcp).or(tls).or(udp).or(dns))
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
