//! Checks that say something and expect something.

use super::{Surroundings, all};
use crate::config::checked::{Ask, Exchange, Expect, Over};
use crate::config::collections::OneOrMany;
use crate::config::model;
use crate::config::patterns::Pattern;
use crate::config::payload::Payload;
use crate::config::read::Spanned;
use crate::config::report::{Code, Place};
use crate::config::text::Text;
use crate::config::words::{DnsCode, DnsType, Word};

/// What is said over TCP; `Some(None)`: nothing, and a connection is enough.
#[expect(clippy::option_option, reason = "two different absences")]
pub(super) fn dialogue(
    keys: model::Dialogue,
    place: &Place,
    around: &Surroundings<'_>,
) -> Option<Option<Ask>> {
    ask(keys.send, keys.expect, keys.regex, place, around)
}

/// What is said over TLS.
pub(super) fn tls_dialogue(
    keys: model::TlsDialogue,
    place: &Place,
    around: &Surroundings<'_>,
) -> Option<Exchange> {
    let server_name = keys.server_name.value?.map(|name| name.0);
    let ask = ask(keys.send, keys.expect, keys.regex, place, around)?.unwrap_or(Ask::Nothing);
    Some(Exchange { over: Over::Tls { server_name }, ask })
}

/// What is said over UDP: something, or there would be no answer.
pub(super) fn udp_dialogue(keys: model::Dialogue, place: &Place, around: &Surroundings<'_>) -> Option<Ask> {
    if matches!(keys.send.get(), Some(None)) {
        let help = "write what is answered there: `send: ping`, or `send: \"hex:0d0a\"`";
        around.error(Code::MissingKey, place, "nothing is sent, so nothing would be answered", help);
        return None;
    }
    // An empty text is in any answer.
    let anything = Expect::Bytes(Vec::new());
    let send = keys.send.value?.map(|Payload(bytes)| bytes).unwrap_or_default();
    Some(Ask::Bytes { send, expect: expect(keys.expect, keys.regex, around)?.unwrap_or(anything) })
}

#[expect(clippy::option_option, reason = "two different absences")]
fn ask(
    send: Spanned<Option<Payload>>,
    expected: Spanned<Option<Payload>>,
    regex: Spanned<Option<Pattern>>,
    place: &Place,
    around: &Surroundings<'_>,
) -> Option<Option<Ask>> {
    let send = send.value?.map(|Payload(bytes)| bytes);
    match (send, expect(expected, regex, around)?) {
        (None, None) => Some(None),
        (send, Some(expect)) => Some(Some(Ask::Bytes { send: send.unwrap_or_default(), expect })),
        (Some(_), None) => {
            let help = "add `expect: …` or `regex: …`: what is only sent says nothing";
            around.error(Code::MissingKey, place, "nothing is expected in return", help);
            None
        }
    }
}

#[expect(clippy::option_option, reason = "two different absences")]
fn expect(
    expected: Spanned<Option<Payload>>,
    regex: Spanned<Option<Pattern>>,
    around: &Surroundings<'_>,
) -> Option<Option<Expect>> {
    let place = regex.place;
    match (expected.value?, regex.value?) {
        (Some(_), Some(_)) => {
            let message = "`expect` and `regex` say twice what has to come";
            around.error(Code::Conflict, &place, message, "keep one of them");
            None
        }
        (Some(Payload(bytes)), None) => Some(Some(Expect::Bytes(bytes))),
        (None, Some(Pattern(pattern))) => Some(Some(Expect::Regex(pattern))),
        (None, None) => Some(None),
    }
}

/// A query of DNS.
pub(super) fn dns(query: model::DnsCheck, around: &Surroundings<'_>) -> Option<Ask> {
    let place = query.name.place;
    let Text(name) = query.name.value?;
    let labels = name.trim_end_matches('.').split('.');
    let right =
        name == "." || name.len() <= 253 && labels.clone().all(|label| (1..=63).contains(&label.len()));
    if !right {
        let message = format!("`{name}` is no name of DNS");
        around.error(Code::BadValue, &place, message, "write it such as `example.com`, or `.` for the root");
        return None;
    }
    let Word(DnsType(record)) = query.record.value?;
    let OneOrMany(codes) = query.expect.value?;
    let codes = all(codes.into_iter().map(|code| code.value.map(|Word(DnsCode(code))| code)));
    Some(Ask::Dns { name, record, codes: codes? })
}
