//! A real collector of OpenTelemetry takes our spans, and passes on what it has understood.
//!
//! It is rotel from PyPI; `make e2e-deps` installs it into `target/rotel`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use opentelemetry_proto::tonic::trace::v1::Span;

use crate::support::balancer::{Balancer, SHARED, apps};
use crate::support::collector::{Collector, attribute};
use crate::support::eventually::soon;
use crate::support::exchange::get;
use crate::support::ports::Port;

const REQUESTS: usize = 50;

/// The program, stopped when dropped.
struct Rotel(Child);

impl Rotel {
    fn start(folder: &Path, listen: &Port, behind: &Collector) -> Self {
        let log = File::create(folder.join("rotel.log")).unwrap();
        let child = Command::new(program())
            .arg("start")
            .args(["--pid-file".as_ref(), folder.join("rotel.pid").as_os_str()])
            .args(["--otlp-grpc-endpoint", "127.0.0.1:0"])
            .args(["--otlp-http-endpoint", &listen.address().to_string()])
            .args(["--exporter", "otlp", "--otlp-exporter-protocol", "http"])
            .args(["--otlp-exporter-endpoint", &format!("http://{}", behind.address)])
            .args(["--debug-log", "traces", "--debug-log-verbosity", "detailed"])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Rotel {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/rotel/lib");
    let pythons = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let programs = pythons.map(|python| python.path().join("site-packages/rotel/rotel-agent"));
    programs.into_iter().find(|path| path.exists()).expect("rotel is missing: `make e2e-deps` installs it")
}

#[test]
#[ignore = "needs rotel: run `make e2e`"]
fn a_real_collector_understands_our_spans() {
    let (apps, behind, port) = (apps(3), Collector::start(), Port::reserve());
    let folder = tempfile::tempdir().unwrap();
    let _rotel = Rotel::start(folder.path(), &port, &behind);
    soon("rotel listens", || std::net::TcpStream::connect(port.address()).ok());
    let otlp =
        format!("telemetry: {{ otlp: {{ url: \"http://{}\", service_name: front }} }}\n", port.address());
    let balancer = Balancer::start(&apps, &format!("{SHARED}{otlp}"), "", "");
    let first = get(balancer.address, "/", &[]);
    let cookies = format!("Cookie: {}", first.cookies());
    for _ in 1..REQUESTS {
        assert_eq!(get(balancer.address, "/", &[&cookies]).server(), first.server());
    }
    let understood = soon("all spans have passed through it", || {
        let spans = behind.spans();
        (spans.len() >= 2 * REQUESTS).then_some(spans)
    });
    let said = |key: &str, value: &str| {
        let has = |span: &&Span| {
            span.attributes.iter().any(|it| it.key == key) && attribute(&span.attributes, key) == value
        };
        understood.iter().filter(has).count()
    };
    assert_eq!(understood.len(), 2 * REQUESTS, "a request and its try each");
    assert_eq!((said("steadfast.reason", "new"), said("steadfast.reason", "lb_cookie")), (1, REQUESTS - 1));
    assert_eq!(attribute(&behind.resource(), "service.name"), "front");
    let log = std::fs::read_to_string(folder.path().join("rotel.log")).unwrap();
    assert!(log.contains(&format!("Span #{}", 2 * REQUESTS - 1)) && !log.contains("ERROR"), "{log}");
}
