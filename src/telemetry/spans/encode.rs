//! From records to a message of OTLP, named by OpenTelemetry's semantic conventions for HTTP where they have a name.

use std::time::Duration;

use prost::Message as _;

use super::context::{SpanId, TraceId};
use super::proto::{
    AnyValue, ExportRequest, ExportResponse, KeyValue, Link, Resource, ResourceSpans, Scope, ScopeSpans,
    Span, SpanKind, Status, StatusCode, Value,
};
use super::record::{SpanRecord, TryRecord};
use crate::names::BackendAddress;

/// The lower bits are those of `traceparent`; then whether it is known that the parent is another process's, and whether it is.
const SAMPLED: u32 = 1;
const KNOWN: u32 = 0x100;
const REMOTE: u32 = 0x200;

/// The methods that may stand in a span's name: others are a client's own, and without number.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// Who sends spans.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// What the collector knows us by.
    pub service_name: &'a str,
    /// This process, apart from others of the same name.
    pub instance: &'a str,
}

/// A message of OTLP (`ExportTraceServiceRequest`) with the spans of these records.
pub fn encode(sender: Sender<'_>, records: &[SpanRecord]) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let resource = Resource {
        attributes: vec![
            text("service.name", sender.service_name),
            text("service.version", version),
            text("service.instance.id", sender.instance),
        ],
    };
    let scope = Scope { name: "steadfast".to_owned(), version: version.to_owned() };
    let spans = records.iter().flat_map(|record| {
        let tries = record.tries.iter().enumerate().map(|(resent, one)| try_span(record, resent, one));
        std::iter::once(request_span(record)).chain(tries)
    });
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans: spans.collect() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans }];
    ExportRequest { resource_spans }.encode_to_vec()
}

/// How many spans of a message a collector did not want, by its answer (`ExportTraceServiceResponse`).
pub fn rejected(answer: &[u8]) -> u64 {
    let partial = ExportResponse::decode(answer).ok().and_then(|answer| answer.partial_success);
    partial.and_then(|partial| u64::try_from(partial.rejected_spans).ok()).unwrap_or(0)
}

fn request_span(record: &SpanRecord) -> Span {
    let mut attributes = vec![
        text("url.scheme", if record.secure { "https" } else { "http" }),
        text("url.path", &record.path),
        text("client.address", &record.client.to_string()),
        text("network.protocol.version", record.version),
        text("steadfast.listener", record.listener.as_str()),
        text("steadfast.outcome", record.outcome),
    ];
    let method = method(record, &mut attributes);
    if let Some((host, port)) = record.host.as_deref().map(host_and_port) {
        attributes.push(text("server.address", host));
        attributes.extend(port.map(|port| number("server.port", port)));
    }
    attributes.extend(record.status.map(|status| number("http.response.status_code", status)));
    let optional = [
        ("steadfast.route", record.route.as_deref()),
        ("user_agent.original", record.user_agent.as_deref()),
        ("steadfast.pool", record.pool.as_ref().map(|pool| pool.as_str())),
        ("steadfast.backend", record.tries.last().map(|one| one.backend.as_str())),
        ("steadfast.reason", record.reason),
        ("steadfast.request_id", record.request_id.as_deref()),
    ];
    attributes.extend(optional.into_iter().filter_map(|(key, value)| Some(text(key, value?))));
    attributes.extend(record.session.map(|mark| text("steadfast.session", &format!("{mark:016x}"))));
    let failed = record.status.is_none_or(|status| status >= 500);
    let name = match &record.route {
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    };
    let parent = record.parent.map_or(KNOWN, |_| KNOWN | REMOTE);
    Span {
        parent_span_id: record.parent.map(id).unwrap_or_default(),
        trace_state: record.state.as_deref().unwrap_or_default().to_owned(),
        links: record.link.iter().map(|link| linked(link.trace, link.span)).collect(),
        flags: SAMPLED | parent,
        status: failed.then(|| error("")),
        ..span(record, record.span, name, SpanKind::Server, Duration::ZERO, record.took, attributes)
    }
}

/// The span of one try, which the backend's own is a child of.
fn try_span(record: &SpanRecord, resent: usize, one: &TryRecord) -> Span {
    let mut attributes = vec![
        text("steadfast.backend", one.backend.as_str()),
        match &one.address {
            BackendAddress::Ip(address) => text("server.address", &address.ip().to_string()),
            BackendAddress::Unix(path) => text("server.address", &path.to_string_lossy()),
        },
    ];
    attributes.extend(one.address.ip().map(|address| number("server.port", address.port())));
    let method = method(record, &mut attributes);
    if resent > 0 {
        attributes.push(number("http.request.resend_count", u16::try_from(resent).unwrap_or(u16::MAX)));
    }
    // Only the last try can have had an answer, and the client saw that one.
    let is_last = resent + 1 == record.tries.len();
    let status = record.status.filter(|_| is_last && one.failure.is_none());
    attributes.extend(status.map(|status| number("http.response.status_code", status)));
    attributes.extend(one.failure.map(|failure| text("error.type", failure)));
    let failed = one.failure.is_some() || status.is_some_and(|status| status >= 400);
    Span {
        parent_span_id: id(record.span),
        flags: SAMPLED | KNOWN,
        status: failed.then(|| error(one.failure.unwrap_or_default())),
        ..span(record, one.span, method.to_owned(), SpanKind::Client, one.after, one.took, attributes)
    }
}

fn span(
    record: &SpanRecord,
    span: SpanId,
    name: String,
    kind: SpanKind,
    after: Duration,
    took: Duration,
    attributes: Vec<KeyValue>,
) -> Span {
    let start = record.arrived_unix_ns.saturating_add(nanos(after));
    Span {
        trace_id: record.trace.bytes().to_vec(),
        span_id: id(span),
        name,
        kind: kind.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(nanos(took)),
        attributes,
        ..Span::default()
    }
}

/// The method as it may be counted by.
fn method<'a>(record: &'a SpanRecord, attributes: &mut Vec<KeyValue>) -> &'a str {
    if METHODS.contains(&&*record.method) {
        attributes.push(text("http.request.method", &record.method));
        return &record.method;
    }
    attributes.push(text("http.request.method", "_OTHER"));
    attributes.push(text("http.request.method_original", &record.method));
    "HTTP"
}

fn host_and_port(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        // A colon within brackets belongs to the address.
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
        _ => (host, None),
    }
}

fn linked(trace: TraceId, span: SpanId) -> Link {
    Link { trace_id: trace.bytes().to_vec(), span_id: id(span), flags: KNOWN | REMOTE }
}

fn error(message: &str) -> Status {
    Status { message: message.to_owned(), code: StatusCode::Error.into() }
}

fn id(span: SpanId) -> Vec<u8> {
    span.bytes().to_vec()
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::Text(value.to_owned()))
}

fn number(key: &str, value: u16) -> KeyValue {
    attribute(key, Value::Number(i64::from(value)))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}
