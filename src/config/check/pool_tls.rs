//! TLS towards backends: files that can be read, and keys that make sense together.

use std::sync::Arc;

use super::{Surroundings, tls};
use crate::config::checked::{HttpVersion, PoolTls};
use crate::config::model;
use crate::config::read::Spanned;
use crate::config::report::Code;
use crate::config::text::DnsName;
use crate::config::words::Word;
use crate::tls::Authorities;

/// TLS towards backends; the outer `None` is an error.
#[expect(clippy::option_option, reason = "two different absences")]
pub(super) fn tls(
    given: Spanned<Option<model::PoolTls>>,
    system: Option<&Authorities>,
    around: &Surroundings<'_>,
) -> Option<Option<PoolTls>> {
    let Some(given) = given.value? else { return Some(None) };
    let model::PoolTls { sni, ca, verify, cert, key } = given;
    let verifies = verify.get().is_none_or(|verify| verify.0);
    if !verifies {
        let message = "`verify: false`: whoever is on the way can read and change everything";
        around.warn(Code::Trap, &verify.place, message, "give `ca` the authority of your backends instead");
        if matches!(ca.get(), Some(Some(_))) {
            let message = "`ca` does nothing with `verify: false`";
            around.warn(Code::Unused, &ca.place, message, "remove one of them");
        }
    }
    let place = ca.place;
    let authorities = match ca.value? {
        None => system.cloned(),
        Some(path) => Some(tls::authorities(&path, &place, around)?),
    };
    let (cert_place, key_place) = (cert.place.clone(), key.place.clone());
    let identity = match (cert.value?, key.value?) {
        (None, None) => None,
        (Some(path), Some(key_path)) => {
            let cert = Spanned { place: cert_place, given: true, value: Some(path) };
            let key = Spanned { place: key_place, given: true, value: Some(key_path) };
            Some(Arc::new(tls::identity(cert, key, around)?.1))
        }
        (Some(_), None) => {
            around.error(Code::MissingKey, &cert_place, "`cert` needs its `key`", "add `key: FILE`");
            return None;
        }
        (None, Some(_)) => {
            around.error(Code::MissingKey, &key_place, "`key` needs its `cert`", "add `cert: FILE`");
            return None;
        }
    };
    Some(Some(PoolTls { sni: sni.value?.map(|DnsName(name)| name), authorities, verify: verifies, identity }))
}

/// What is spoken to backends.
pub(super) fn http(
    http: Spanned<model::PoolHttp>,
    encrypted: bool,
    around: &Surroundings<'_>,
) -> Option<HttpVersion> {
    let version = http.value?.version;
    let place = version.place;
    let Word(version) = version.value?;
    if version == HttpVersion::Auto && !encrypted {
        let help = "add `tls`, or write `h1` or `h2`";
        around.error(Code::Conflict, &place, "`auto` needs `tls`: nothing is agreed upon in cleartext", help);
        return None;
    }
    Some(version)
}
