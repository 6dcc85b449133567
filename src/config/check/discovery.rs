//! Discovery: one source, with what it needs.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Surroundings, all};
use crate::config::checked::{BackendFile, Discovery, Dns, DnsRecord};
use crate::config::model;
use crate::config::network::Address;
use crate::config::read::Spanned;
use crate::config::report::{Code, Place};
use crate::config::text::DnsName;
use crate::config::words::{self, OnEmpty, Word};

/// No name is asked for more often.
const SHORTEST: Duration = Duration::from_secs(1);

/// Checks where a pool's backends come from. The outer `None` is an error; the inner one is none.
#[expect(clippy::option_option, reason = "two different absences")]
pub(super) fn discovery(
    discovery: Spanned<Option<model::Discovery>>,
    around: &Surroundings<'_>,
) -> Option<Option<Discovery>> {
    let place = discovery.place;
    let Some(discovery) = discovery.value? else { return Some(None) };
    // Both are looked at, so that each reports its problems.
    let (dns, file) = (discovery.dns, discovery.file);
    let (dns_place, file_place) = (dns.place.clone(), file.place.clone());
    let dns = dns.value.map(|dns| dns.map(|dns| self::dns(dns, &dns_place, around)));
    let file = file.value.map(|file| file.map(|file| self::file(file, around)));
    match (dns?, file?) {
        (Some(_), Some(_)) => {
            let help = "keep one of them; a pool has one source, beside `backends`";
            around.error(Code::Conflict, &file_place, "`discovery` has both `dns` and `file`", help);
            None
        }
        (None, None) => {
            let help = "add `dns: { name: app.internal, port: 8080 }` or `file: { path: backends }`";
            around.error(Code::MissingKey, &place, "`discovery` has neither `dns` nor `file`", help);
            None
        }
        (Some(dns), None) => Some(Some(Discovery::Dns(dns?))),
        (None, Some(file)) => Some(Some(Discovery::File(file?))),
    }
}

fn dns(dns: model::Dns, place: &Place, around: &Surroundings<'_>) -> Option<Dns> {
    if !cfg!(feature = "dns") {
        let help = "use a build with the feature `dns`, or `file`";
        around.error(Code::NotSupported, place, "this build of Steadfast has no DNS", help);
        return None;
    }
    let record = record(&dns, around);
    let resolvers = resolvers(dns.resolvers, around);
    if dns.refresh_minimum.get().is_some_and(|minimum| minimum.0 < SHORTEST) {
        let message = "`refresh_minimum` must be at least one second";
        let help = "write `1s`: resolvers are not to be asked without pause";
        around.error(Code::OutOfRange, &dns.refresh_minimum.place, message, help);
    }
    if let (Some(refresh), Some(minimum)) = (dns.refresh.get(), dns.refresh_minimum.get())
        && refresh.0 < minimum.0
    {
        // The one that the file says is the one to correct.
        let place = if dns.refresh_minimum.given { &dns.refresh_minimum.place } else { &dns.refresh.place };
        let (refresh, minimum) =
            (humantime::format_duration(refresh.0), humantime::format_duration(minimum.0));
        let message = format!("`refresh` ({refresh}) is shorter than `refresh_minimum` ({minimum})");
        around.error(Code::Conflict, place, message, "the time between two looks lies between them");
    }
    Some(Dns {
        name: dns.name.value?.0,
        record: record?,
        refresh: dns.refresh.value?.0,
        refresh_minimum: dns.refresh_minimum.value?.0,
        timeout: dns.timeout.value?.0,
        resolvers: resolvers?,
        remove_when_empty: removes(dns.on_empty.value?),
    })
}

fn record(dns: &model::Dns, around: &Surroundings<'_>) -> Option<DnsRecord> {
    let DnsName(name) = dns.name.get()?;
    let Word(record) = dns.record.get()?;
    let is_srv = match record {
        words::DnsRecord::Auto => name.starts_with('_'),
        words::DnsRecord::Address => false,
        words::DnsRecord::Srv => true,
    };
    match (is_srv, dns.port.get()?) {
        (true, None) => Some(DnsRecord::Srv),
        (true, Some(_)) => {
            let message = "`port` does not go with SRV records, which say the port themselves";
            let help = "remove it; or write `record: address`, if the name has A or AAAA records";
            around.error(Code::Conflict, &dns.port.place, message, help);
            None
        }
        (false, Some(port)) => u16::try_from(port.0).ok().map(|port| DnsRecord::Address { port }),
        (false, None) => {
            let help = "add `port: 8080`; or write `record: srv`, if the name has SRV records";
            around.error(Code::MissingKey, &dns.name.place, "`port` is missing in `dns`", help);
            None
        }
    }
}

fn resolvers(
    resolvers: Spanned<Option<Vec<Spanned<Address>>>>,
    around: &Surroundings<'_>,
) -> Option<Vec<SocketAddr>> {
    let Some(addresses) = resolvers.value? else { return Some(Vec::new()) };
    if addresses.is_empty() {
        let help = "name one, such as `[10.0.0.2:53]`; or write null for the system's";
        around.error(Code::MissingKey, &resolvers.place, "`resolvers` is empty", help);
        return None;
    }
    all(addresses.into_iter().map(|address| address.value.map(|Address(address)| address)))
}

fn file(file: model::BackendFile, around: &Surroundings<'_>) -> Option<BackendFile> {
    Some(BackendFile {
        path: around.path(file.path.get()?),
        refresh: file.refresh.value?.0,
        remove_when_empty: removes(file.on_empty.value?),
    })
}

fn removes(Word(on_empty): Word<OnEmpty>) -> bool {
    match on_empty {
        OnEmpty::Keep => false,
        OnEmpty::Remove => true,
    }
}
