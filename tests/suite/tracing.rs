//! Traces: whose child a request is, what its backend is told, what a collector is told, and that no collector can hurt a
//! request.

use std::path::Path;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::Value;

use crate::metrics::{Metered, sum};
use crate::support::app::App;
use crate::support::balancer::{Balancer, SHARED, apps, configuration};
use crate::support::collector::{Collector, attribute};
use crate::support::eventually::soon;
use crate::support::exchange::{Connection, Response, get, request};

const TRUSTED: &str = "    trusted_proxies: [127.0.0.0/8]\n";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
const STATE: &str = "tracestate: vendor=what";

/// `telemetry`, at the top.
fn telemetry(collector: &Collector, more: &str) -> String {
    format!("telemetry: {{ otlp: {{ url: \"http://{}\"{more} }} }}\n", collector.address)
}

fn start(apps: &[App], collector: &Collector, more: &str, listener: &str) -> Balancer {
    let log = "access_log: { file: { path: access.log } }\n";
    let top = format!("{SHARED}{log}{}", telemetry(collector, more));
    Balancer::start(apps, &top, listener, "")
}

/// A field as the backend got it.
fn got(answer: &Response, name: &str) -> Vec<String> {
    let lines = answer.body.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The span of the request, and those of its tries in their order.
fn sorted(spans: &[Span]) -> (&Span, Vec<&Span>) {
    let request: Vec<_> = spans.iter().filter(|span| span.kind() == SpanKind::Server).collect();
    assert_eq!(request.len(), 1, "{spans:#?}");
    let mut tries: Vec<_> = spans.iter().filter(|span| span.kind() == SpanKind::Client).collect();
    tries.sort_by_key(|span| span.start_time_unix_nano);
    (request[0], tries)
}

fn log_line(folder: &Path) -> Value {
    soon("it is logged", || {
        let text = std::fs::read_to_string(folder.join("access.log")).unwrap_or_default();
        text.lines().next().map(|line| serde_json::from_str(line).unwrap())
    })
}

#[test]
fn without_a_collector_the_context_passes_as_it_came() {
    let apps = apps(1);
    let balancer = Balancer::start(&apps, SHARED, TRUSTED, "");
    let answer = get(balancer.address, "/echo", &[PARENT, STATE]);
    assert_eq!(got(&answer, "traceparent"), [PARENT.split_once(": ").unwrap().1]);
    assert_eq!(got(&answer, "tracestate"), ["vendor=what"]);
    assert!(got(&get(balancer.address, "/echo", &[]), "traceparent").is_empty());
}

#[test]
fn spans_say_what_became_of_a_request_as_opentelemetry_names_it() {
    let (apps, collector) = (apps(1), Collector::start());
    let listener = format!("{TRUSTED}    headers: {{ request_id: X-Request-Id }}\n");
    let balancer = start(&apps, &collector, ", service_name: front", &listener);
    let first = get(balancer.address, "/start;jsessionid=SECRET?token=SECRET", &[]);
    collector.wait_for(2);
    let before = log_line(balancer.folder());
    let cookies = format!("Cookie: {}", first.cookies());
    let answer = get(
        balancer.address,
        "/echo;jsessionid=SECRET?q=1",
        &[PARENT, STATE, &cookies, "User-Agent: me", "X-Forwarded-For: 192.0.2.7", "X-Request-Id: abc-1"],
    );
    let spans = collector.wait_for(4);
    let of_trace: Vec<_> = spans.into_iter().filter(|span| hex(&span.trace_id) == TRACE).collect();
    let (whole, tries) = sorted(&of_trace);
    assert_eq!(tries.len(), 1, "{of_trace:#?}");
    assert_eq!(
        (hex(&whole.parent_span_id).as_str(), whole.trace_state.as_str()),
        ("00f067aa0ba902b7", "vendor=what")
    );
    assert_eq!((whole.name.as_str(), whole.flags, whole.links.len()), ("GET #1", 0x301, 0));
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("url.path", "/echo;jsessionid=*"),
        ("url.scheme", "http"),
        ("server.address", "app.test"),
        ("client.address", "192.0.2.7"),
        ("user_agent.original", "me"),
        ("network.protocol.version", "1.1"),
        ("steadfast.pool", "app"),
        ("steadfast.backend", "app1"),
        ("steadfast.reason", "lb_cookie"),
        ("steadfast.outcome", "kept"),
        ("steadfast.request_id", "abc-1"),
        ("steadfast.listener", "web"),
    ] {
        assert_eq!(attribute(&whole.attributes, key), value, "{key} of {whole:#?}");
    }
    assert_eq!(attribute(&whole.attributes, "steadfast.session"), before["new_session"], "as the log has it");
    let one = tries[0];
    assert_eq!((&one.parent_span_id, one.flags, one.name.as_str()), (&whole.span_id, 0x101, "GET"));
    let address = apps[0].address;
    assert_eq!(attribute(&one.attributes, "server.address"), address.ip().to_string());
    assert_eq!(attribute(&one.attributes, "server.port"), address.port().to_string());
    assert!(whole.start_time_unix_nano <= one.start_time_unix_nano, "{of_trace:#?}");
    assert!(one.start_time_unix_nano < one.end_time_unix_nano, "{of_trace:#?}");
    assert!(one.end_time_unix_nano <= whole.end_time_unix_nano, "{of_trace:#?}");
    assert!([whole, one].iter().all(|span| span.status.is_none()), "{of_trace:#?}");
    // The backend's own spans are children of the try.
    assert_eq!(got(&answer, "traceparent"), [format!("00-{TRACE}-{}-01", hex(&one.span_id))]);
    assert_eq!(got(&answer, "tracestate"), ["vendor=what"]);
    let resource = collector.resource();
    assert_eq!(attribute(&resource, "service.name"), "front");
    assert_eq!(attribute(&resource, "service.version"), env!("CARGO_PKG_VERSION"));
    let raw = collector.raw();
    let cookie = |name: &str| first.cookie(name).unwrap().split_once('=').unwrap().1.to_owned();
    for secret in ["SECRET".to_owned(), cookie("JSESSIONID"), cookie("steadfast-")] {
        assert!(!raw.contains(&secret), "{secret} is in a span");
    }
}

#[test]
fn strangers_cannot_begin_traces_nor_say_which_are_kept() {
    let (apps, collector) = (apps(1), Collector::start());
    let balancer = start(&apps, &collector, "", "");
    let answer = get(balancer.address, "/echo", &[PARENT, STATE]);
    let spans = collector.wait_for(2);
    let (whole, _) = sorted(&spans);
    let trace = hex(&whole.trace_id);
    assert!(trace != TRACE && whole.parent_span_id.is_empty(), "{whole:#?}");
    assert_eq!(hex(&whole.links[0].trace_id), TRACE, "what they say is a link");
    assert!(got(&answer, "traceparent")[0].starts_with(&format!("00-{trace}-")), "{answer:?}");
    assert!(got(&answer, "tracestate").is_empty(), "it belongs to the other trace");
    assert_eq!(log_line(balancer.folder())["trace_id"], trace.as_str());

    let none = start(&apps, &collector, ", sample: 0%", "");
    for fields in [vec![PARENT, STATE], vec![], vec!["traceparent: what"], vec![PARENT, PARENT]] {
        let answer = get(none.address, "/echo", &fields);
        let told = got(&answer, "traceparent");
        assert!(told.len() == 1 && told[0].ends_with("-00") && !told[0].contains(TRACE), "{told:?}");
    }
    let trusting = start(&apps, &collector, ", sample: 0%", TRUSTED);
    let answer = get(trusting.address, "/echo", &[UNSAMPLED, STATE]);
    assert_eq!(got(&answer, "traceparent"), [UNSAMPLED.split_once(": ").unwrap().1], "as it came");
    assert_eq!(got(&answer, "tracestate"), ["vendor=what"]);
    get(trusting.address, "/plain", &[PARENT]);
    let spans = collector.wait_for(4);
    assert_eq!(hex(&spans[3].trace_id), TRACE, "what a trusted proxy keeps is kept, and nothing else was");
}

#[test]
fn each_try_has_a_span() {
    let (apps, collector) = (apps(2), Collector::start());
    let balancer = start(&apps, &collector, "", "");
    let first = get(balancer.address, "/", &[]);
    collector.wait_for(2);
    let home = apps.iter().find(|app| app.name == first.server()).unwrap();
    home.stop();
    let moved = get(balancer.address, "/", &[&format!("Cookie: {}", first.cookies())]);
    assert_eq!(moved.status, 200);
    let spans = soon("its spans are there", || {
        let spans = collector.spans();
        spans
            .iter()
            .filter(|span| attribute(&span.attributes, "steadfast.reason") == "moved")
            .count()
            .eq(&1)
            .then_some(spans)
    });
    let (whole, tries) = sorted(&spans[2..]);
    assert!(tries.len() >= 2, "{tries:#?}");
    assert_eq!(attribute(&tries[0].attributes, "error.type"), "connect");
    assert_eq!(attribute(&tries[0].attributes, "steadfast.backend"), home.name);
    assert_eq!(tries[0].status.as_ref().unwrap().code(), StatusCode::Error);
    let last = tries.last().unwrap();
    assert_eq!(attribute(&last.attributes, "steadfast.backend"), moved.server());
    assert_eq!(attribute(&last.attributes, "http.response.status_code"), "200");
    assert_eq!(attribute(&last.attributes, "http.request.resend_count"), (tries.len() - 1).to_string());
    assert!(tries.iter().all(|one| one.parent_span_id == whole.span_id && one.trace_id == whole.trace_id));
    assert_eq!(attribute(&whole.attributes, "steadfast.outcome"), "lost_after_move");
}

#[test]
fn no_collector_can_hurt_a_request() {
    let (apps, collector) = (apps(1), Collector::start());
    let start_with = |more: &str| {
        let top = telemetry(&collector, more);
        Metered::start_with(&apps, "{ listen: 127.0.0.1:0 }", &top, "", "")
    };
    let ask = |metered: &Metered, times: usize| {
        let mut connection = Connection::open(metered.address);
        for _ in 0..times {
            connection.send(request("GET", "/plain", &[]).as_bytes());
            assert_eq!(connection.receive().unwrap().status, 200);
        }
    };
    let count = |metered: &Metered, name: &str, label: &[&str]| {
        sum(&metered.samples(), &format!("steadfast_telemetry_spans{name}_total"), label)
    };
    // One that does not answer: what finds no room is dropped, and all of it is counted.
    collector.answers(None);
    let metered = start_with(", queue: 20, timeout: 300ms");
    ask(&metered, 100);
    soon("the queue was full", || (count(&metered, "_dropped", &["full"]) > 0.0).then_some(()));
    // One that refuses for good, and one that does for a while: that is tried again.
    collector.answers(Some("400 Bad Request\r\n"));
    soon("what waited was given up", || {
        (count(&metered, "_dropped", &[]) == 200.0 && count(&metered, "", &[]) == 0.0).then_some(())
    });
    collector.answers(Some("503 Service Unavailable\r\n"));
    ask(&metered, 1);
    soon("it was asked", || collector.raw().matches("/v1/traces").count().gt(&2).then_some(()));
    collector.is_well();
    soon("it was asked again", || (count(&metered, "", &[]) == 2.0).then_some(()));
    collector.wait_for(2);
}

#[test]
fn a_reload_switches_it_on_and_off() {
    let (apps, collector) = (apps(1), Collector::start());
    let balancer = Balancer::plain(&apps);
    assert!(got(&get(balancer.address, "/echo", &[]), "traceparent").is_empty());
    let with = configuration(&apps, &format!("{SHARED}{}", telemetry(&collector, "")), "", "");
    let plan = balancer.put_in_force(&with);
    assert_eq!(plan.changes, ["telemetry"]);
    assert_eq!(got(&get(balancer.address, "/echo", &[]), "traceparent").len(), 1);
    collector.wait_for(2);
    // Also what has not been sent yet when it is switched off.
    get(balancer.address, "/plain", &[]);
    balancer.put_in_force(&configuration(&apps, SHARED, "", ""));
    collector.wait_for(4);
    assert!(got(&get(balancer.address, "/echo", &[]), "traceparent").is_empty());
}

#[test]
fn a_stop_sends_what_is_left() {
    let (apps, collector) = (apps(1), Collector::start());
    let balancer = start(&apps, &collector, "", "");
    get(balancer.address, "/plain", &[]);
    drop(balancer);
    collector.wait_for(2);
}
