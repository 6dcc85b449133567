//! How a line looks: JSON, Common, Combined, or a template.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use super::record::LogRecord;
use super::{date, escape, path};
use crate::names::LogField;
use crate::telemetry::TraceId;

/// How a line looks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Format {
    /// A JSON object. What a request does not have is left out.
    Json,
    /// The Common Log Format of NCSA and Apache.
    Common,
    /// The same with referer and user agent.
    Combined,
    /// The operator's own.
    Template(Vec<Piece>),
}

/// A piece of a template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// As it is.
    Text(String),
    /// A field; `-` where the request does not have it.
    Field(LogField),
}

impl Format {
    /// Writes a line, without its end.
    pub(super) fn write(&self, record: &LogRecord<'_>, query: bool, to: &mut Vec<u8>) {
        match self {
            Self::Json => json(record, query, to),
            Self::Common => common(record, query, to),
            Self::Combined => {
                common(record, query, to);
                to.extend_from_slice(b" \"");
                field(LogField::Referer, record, query, to);
                to.extend_from_slice(b"\" \"");
                field(LogField::UserAgent, record, query, to);
                to.push(b'"');
            }
            Self::Template(pieces) => {
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => to.extend_from_slice(text.as_bytes()),
                        Piece::Field(name) => field(*name, record, query, to),
                    }
                }
            }
        }
    }
}

/// `client - - [time] "method path protocol" status sent`. The two blanks are for identities that we do not know.
fn common(record: &LogRecord<'_>, query: bool, to: &mut Vec<u8>) {
    address(record.client, to);
    to.extend_from_slice(b" - - [");
    date::common(record.arrived_unix_ms, to);
    to.extend_from_slice(b"] \"");
    field(LogField::Method, record, query, to);
    to.push(b' ');
    field(LogField::Path, record, query, to);
    to.push(b' ');
    field(LogField::Protocol, record, query, to);
    to.extend_from_slice(b"\" ");
    field(LogField::Status, record, query, to);
    to.push(b' ');
    field(LogField::Sent, record, query, to);
}

/// A field of a text, escaped; `-`: the request does not have it.
fn field(name: LogField, record: &LogRecord<'_>, query: bool, to: &mut Vec<u8>) {
    let before = to.len();
    match value(name, record) {
        Value::None => {}
        Value::Word(word) => to.extend_from_slice(word.as_bytes()),
        Value::Foreign(bytes) => escape::text(bytes, to),
        Value::Url(url, with_query) => foreign_url(url, with_query && query, to, escape::text),
        other => other.write(to),
    }
    if to.len() == before {
        to.push(b'-');
    }
}

fn json(record: &LogRecord<'_>, query: bool, to: &mut Vec<u8>) {
    let begin = to.len();
    for name in LogField::ALL {
        let value = value(name, record);
        if matches!(value, Value::None) {
            continue;
        }
        to.extend_from_slice(key(name).as_bytes());
        match value {
            Value::None => {}
            Value::Word(word) => to.extend_from_slice(word.as_bytes()),
            Value::Foreign(bytes) => escape::json(bytes, to),
            Value::Url(url, with_query) => foreign_url(url, with_query && query, to, escape::json),
            Value::Number(_) | Value::Time(_) => {
                value.write(to);
                continue;
            }
            Value::Moment(_) | Value::Address(_) | Value::Mark(_) | Value::Trace(_) => value.write(to),
        }
        to.push(b'"');
    }
    // There is always a time, so there is always a comma in front.
    if let Some(first) = to.get_mut(begin) {
        *first = b'{';
    }
    to.push(b'}');
}

/// A field's name in a JSON line, with all that stands before its value.
#[inline]
fn key(name: LogField) -> &'static str {
    match name {
        LogField::Time => ",\"time\":\"",
        LogField::Listener => ",\"listener\":\"",
        LogField::Client => ",\"client\":\"",
        LogField::Peer => ",\"peer\":\"",
        LogField::Method => ",\"method\":\"",
        LogField::Path => ",\"path\":\"",
        LogField::Protocol => ",\"protocol\":\"",
        LogField::TlsVersion => ",\"tls_version\":\"",
        LogField::TlsCipher => ",\"tls_cipher\":\"",
        LogField::Host => ",\"host\":\"",
        LogField::Status => ",\"status\":",
        LogField::Received => ",\"received\":",
        LogField::Sent => ",\"sent\":",
        LogField::Took => ",\"took_ms\":",
        LogField::Queue => ",\"queue_ms\":",
        LogField::Connect => ",\"connect_ms\":",
        LogField::FirstByte => ",\"first_byte_ms\":",
        LogField::Route => ",\"route\":\"",
        LogField::Pool => ",\"pool\":\"",
        LogField::Backend => ",\"backend\":\"",
        LogField::Reason => ",\"reason\":\"",
        LogField::Outcome => ",\"outcome\":\"",
        LogField::Retries => ",\"retries\":",
        LogField::Session => ",\"session\":\"",
        LogField::NewSession => ",\"new_session\":\"",
        LogField::RequestId => ",\"request_id\":\"",
        LogField::TraceId => ",\"trace_id\":\"",
        LogField::UserAgent => ",\"user_agent\":\"",
        LogField::Referer => ",\"referer\":\"",
    }
}

/// The value of a field.
enum Value<'a> {
    /// The request does not have it.
    None,
    /// A word of ours, or a name of the configuration: nothing to escape.
    Word(&'a str),
    /// Bytes of a client's.
    Foreign(&'a [u8]),
    /// A URL of a client's, and whether its query may be shown.
    Url(&'a [u8], bool),
    Number(u64),
    Time(Duration),
    Moment(u64),
    Address(IpAddr),
    Mark(u64),
    Trace(TraceId),
}

#[inline]
fn value<'a>(name: LogField, record: &LogRecord<'a>) -> Value<'a> {
    let request = &record.request;
    let foreign = |bytes: Option<&'a [u8]>| bytes.map_or(Value::None, Value::Foreign);
    let word = |word: Option<&'a str>| word.map_or(Value::None, Value::Word);
    let time = |time: Option<Duration>| time.map_or(Value::None, Value::Time);
    let mark = |mark: Option<u64>| mark.map_or(Value::None, Value::Mark);
    match name {
        LogField::Time => Value::Moment(record.arrived_unix_ms),
        LogField::Listener => Value::Word(record.listener.as_str()),
        LogField::Client => Value::Address(record.client),
        LogField::Peer => Value::Address(record.peer),
        LogField::Method => Value::Foreign(request.method.as_bytes()),
        LogField::Path => Value::Url(request.target, true),
        LogField::Protocol => Value::Word(request.protocol),
        LogField::TlsVersion => word(record.tls.map(|(version, _)| version)),
        LogField::TlsCipher => word(record.tls.map(|(_, cipher)| cipher)),
        LogField::Host => foreign(request.host),
        LogField::Status => Value::Number(record.status.map_or(0, u64::from)),
        LogField::Received => Value::Number(record.received),
        LogField::Sent => Value::Number(record.sent),
        LogField::Took => Value::Time(record.times.whole),
        LogField::Queue => time(record.times.queue),
        LogField::Connect => time(record.times.connect),
        LogField::FirstByte => time(record.times.first_byte),
        LogField::Route => foreign(record.route.map(str::as_bytes)),
        LogField::Pool => word(record.pool.map(|pool| pool.as_str())),
        LogField::Backend => word(record.backend.map(|backend| backend.as_str())),
        LogField::Reason => word(record.reason),
        LogField::Outcome => Value::Word(record.outcome.as_str()),
        LogField::Retries => Value::Number(u64::from(record.retries)),
        LogField::Session => mark(record.session),
        LogField::NewSession => mark(record.new_session),
        LogField::RequestId => foreign(record.request_id),
        LogField::TraceId => record.trace.map_or(Value::None, Value::Trace),
        LogField::UserAgent => foreign(request.user_agent),
        LogField::Referer => request.referer.map_or(Value::None, |url| Value::Url(url, false)),
    }
}

impl Value<'_> {
    /// What needs no escaping.
    fn write(self, to: &mut Vec<u8>) {
        match self {
            Self::Number(number) => integer(number, to),
            Self::Time(time) => milliseconds(time, to),
            Self::Moment(unix_ms) => date::rfc3339(unix_ms, to),
            Self::Address(ip) => address(ip, to),
            Self::Mark(mark) => escape::hex(mark, to),
            Self::Trace(trace) => to.extend_from_slice(&trace.digits()),
            // Written where it is known what is around them.
            Self::None | Self::Word(_) | Self::Foreign(_) | Self::Url(..) => {}
        }
    }
}

fn foreign_url(url: &[u8], query: bool, to: &mut Vec<u8>, escape: fn(&[u8], &mut Vec<u8>)) {
    // Nearly all have nothing to hide but the query.
    if let Some(harmless) = path::harmless(url, query)
        && escape::is_short_and_plain(harmless)
    {
        return to.extend_from_slice(harmless);
    }
    let mut shown = Vec::with_capacity(url.len());
    path::without_secrets(url, query, &mut shown);
    escape(&shown, to);
}

fn integer(number: u64, to: &mut Vec<u8>) {
    to.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// With three digits behind the point.
fn milliseconds(time: Duration, to: &mut Vec<u8>) {
    integer(crate::clock::millis(time), to);
    let us = time.subsec_micros() % 1000;
    to.push(b'.');
    if us < 100 {
        to.push(b'0');
    }
    if us < 10 {
        to.push(b'0');
    }
    integer(u64::from(us), to);
}

fn address(ip: IpAddr, to: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(v4) => {
            // The last point is cut away.
            let mut text = [b'.'; 16];
            let (mut places, mut length) = (text.iter_mut(), 0);
            for part in v4.octets() {
                let digits = [b'0' + part / 100, b'0' + part / 10 % 10, b'0' + part % 10];
                let zeros = usize::from(part < 100) + usize::from(part < 10);
                for (digit, place) in digits.iter().skip(zeros).zip(&mut places) {
                    *place = *digit;
                }
                places.next();
                length += digits.len() - zeros + 1;
            }
            to.extend_from_slice(text.get(..length - 1).unwrap_or_default());
        }
        // Writing into a vector does not fail.
        IpAddr::V6(v6) => _ = write!(to, "{v6}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::access_log::record::tests::record;

    fn line(format: &Format, record: &LogRecord<'_>, query: bool) -> String {
        let mut line = Vec::new();
        format.write(record, query, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_json_line_has_every_field_that_the_request_has() {
        let line = line(&Format::Json, &record(), false);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({
            "time": "2025-11-25T14:02:11.042Z", "listener": "web", "client": "203.0.113.9", "peer": "10.0.0.1",
            "method": "GET", "path": "/a;jsessionid=*", "protocol": "HTTP/1.1", "host": "app.test", "status": 200,
            "received": 0, "sent": 1234, "took_ms": 12.345, "queue_ms": 0.042, "first_byte_ms": 12.005,
            "route": "reports", "pool": "app", "backend": "app1", "reason": "lb_cookie", "outcome": "kept", "retries": 0,
            "session": "000000000000abcd", "request_id": "abc-1",
            "trace_id": "0000000000000000000000000000feed", "user_agent": "say \"hi\"\n", "referer": "https://app.test/b;jsessionid=*",
        });
        assert_eq!(read, expected, "{line}");
        assert!(!line.contains("SECRET") && !line.contains('\n'), "{line}");
    }

    #[test]
    fn common_and_combined_are_as_other_programs_read_them() {
        let record = record();
        let common = "203.0.113.9 - - [25/Nov/2025:14:02:11 +0000] \"GET /a;jsessionid=* HTTP/1.1\" 200 1234";
        assert_eq!(line(&Format::Common, &record, false), common);
        let rest = " \"https://app.test/b;jsessionid=*\" \"say \\x22hi\\x22\\x0a\"";
        assert_eq!(line(&Format::Combined, &record, false), format!("{common}{rest}"));
        let with_query = line(&Format::Common, &record, true);
        assert!(with_query.contains("GET /a;jsessionid=*?page=2&token=* HTTP"), "{with_query}");
        let mut bare = record;
        (bare.request.referer, bare.request.user_agent) = (None, None);
        assert!(line(&Format::Combined, &bare, false).ends_with(" \"-\" \"-\""));
    }

    #[test]
    fn a_template_has_each_field() {
        let pieces = LogField::ALL.into_iter().flat_map(|field| {
            [Piece::Text(format!("{}=", field.as_str())), Piece::Field(field), Piece::Text(" ".to_owned())]
        });
        let line = line(&Format::Template(pieces.collect()), &record(), false);
        for part in
            ["took_ms=12.345 ", "connect_ms=- ", "path=/a;jsessionid=* ", "new_session=- ", "status=200 "]
        {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert!(!line.contains("SECRET"), "{line}");
    }

    #[test]
    fn names_are_found_again() {
        for field in LogField::ALL {
            assert_eq!(key(field).trim_matches([',', ':', '"']), field.as_str());
        }
        assert!(LogField::ALL.into_iter().all(|field| LogField::from_name(field.as_str()) == Some(field)));
    }
}
