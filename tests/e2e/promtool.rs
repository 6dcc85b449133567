//! Prometheus' own tool reads our metrics and alert rules, and random requests add no series.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::app::App;
use crate::support::eventually::soon;
use crate::support::exchange::Connection;
use crate::support::ports::Port;
use crate::support::steadfast::Steadfast;

/// Requests with a host, a path and an agent that nobody has had before.
const REQUESTS: u32 = 100_000;

fn scrape(admin: std::net::SocketAddr, accept: &str) -> String {
    let mut connection = Connection::open(admin);
    connection
        .send(format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n").as_bytes());
    let answer = connection.receive().unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// Runs promtool, which must have nothing to say against it.
fn promtool(arguments: &[&str], input: &str) {
    let mut tool = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is missing: `make e2e-deps` installs it");
    tool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("promtool {}: {said}{complained}", arguments.join(" "));
    assert!(output.status.success(), "{said}{complained}");
    assert!(!arguments.contains(&"metrics") || complained.is_empty(), "{complained}");
}

fn series(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

fn counted(text: &str) -> f64 {
    let lines = text.lines().filter(|line| line.starts_with("steadfast_l7_requests_total{"));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

#[test]
#[ignore = "needs promtool: run `make e2e`"]
fn promtool_accepts_the_alert_rules() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/prometheus/steadfast.rules.yml");
    promtool(&["check", "rules", rules.to_str().unwrap()], "");
}

#[tokio::test]
#[ignore = "needs promtool: run `make e2e`"]
async fn promtool_accepts_the_metrics_and_a_hundred_thousand_random_requests_add_no_series() {
    let apps: Vec<_> = (1..=3).map(|n| App::start(&format!("app{n}"))).collect();
    let (port, admin) = (Port::reserve(), Port::reserve());
    let backends: Vec<_> =
        apps.iter().map(|app| format!("{{ id: {}, address: '{}' }}", app.name, app.address)).collect();
    let yaml = format!(
        "version: 1\nstate_dir: state\nadmin: {{ listen: '{}' }}\nlisteners:\n  - name: web\n    address: '{}'\n    \
         routes: [ {{ pool: app }} ]\npools:\n  app:\n    backends: [ {} ]\n",
        admin.address(),
        port.address(),
        backends.join(", ")
    );
    let (address, admin) = (port.address(), admin.address());
    let _steadfast = Steadfast::start(port, &yaml).await;
    let ask = |from: u32, to: u32| {
        let mut connection = Connection::open(address);
        for n in from..to {
            let random = rand::random::<u64>();
            let cookie = match n % 4 {
                0 => format!("Cookie: JSESSIONID={random}\r\n"),
                1 => format!("Cookie: steadfast-{random}={random}\r\n"),
                _ => String::new(),
            };
            let request = format!(
                "GET /plain/{random}?q={n} HTTP/1.1\r\nHost: h{random}.test\r\nUser-Agent: {random}\r\n{cookie}\r\n"
            );
            connection.send(request.as_bytes());
            assert_eq!(connection.receive().unwrap().status, 200);
        }
    };
    ask(0, 400);
    let settled =
        |all: f64| soon("all are counted", || Some(scrape(admin, "*/*")).filter(|text| counted(text) == all));
    let before = settled(400.0);
    std::thread::scope(|scope| {
        for quarter in 0..4 {
            scope.spawn(move || ask(quarter * REQUESTS / 4, (quarter + 1) * REQUESTS / 4));
        }
    });
    let after = settled(f64::from(400 + REQUESTS));
    assert_eq!(series(&before), series(&after), "{} series", series(&before).len());
    println!("{} series before and after {REQUESTS} random requests", series(&after).len());
    promtool(&["check", "metrics"], &after);
}
