//! Metrics: what is served is what the table and its page say, and no request can add a label.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use steadfast::lifecycle::Control;
use steadfast::snapshot::Current;
use steadfast::telemetry::{Kind, families};
use steadfast::{Running, Steadfast};
use tempfile::TempDir;

use crate::support::app::App;
use crate::support::balancer::{SHARED, apps, checked, configuration};
use crate::support::eventually::soon;
use crate::support::exchange::{Connection, Response, get};

const PAGE: &str = "docs/metrics.md";
const BEGIN: &str = "<!-- The table is made by `UPDATE_EXPECTED=1 cargo test --test suite metrics`. -->\n";

/// A balancer that is asked for its metrics.
pub(crate) struct Metered {
    pub(crate) address: SocketAddr,
    pub(crate) control: Arc<Control>,
    /// The snapshot in force.
    pub(crate) current: Arc<Current>,
    admin: SocketAddr,
    _running: Running,
    folder: TempDir,
}

/// Values by name and labels, as a scrape gives them.
pub(crate) type Samples = BTreeMap<String, f64>;

impl Metered {
    fn start(apps: &[App], admin: &str) -> Self {
        Self::start_with(apps, admin, "", "", "")
    }

    /// With further lines for the top level, the listener and the pool.
    pub(crate) fn start_with(apps: &[App], admin: &str, top: &str, listener: &str, pool: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("admin.token"), "0123456789abcdef-SECRET-0123456789").unwrap();
        let top = format!("{SHARED}admin: {admin}\n{top}");
        let checked = checked(&configuration(apps, &top, listener, pool), folder.path());
        let bound = Steadfast::from_checked(checked).bind().unwrap();
        let (address, admin) = (bound.addresses()[0].1, bound.admin_address().unwrap());
        let (control, current) = (Arc::clone(bound.control()), Arc::clone(bound.current()));
        Self { address, control, current, admin, _running: bound.spawn().unwrap(), folder }
    }

    /// The folder that relative paths begin at.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn plain(apps: &[App]) -> Self {
        Self::start(apps, "{ listen: 127.0.0.1:0 }")
    }

    fn ask(&self, fields: &[&str]) -> Response {
        self.ask_for("/metrics", fields)
    }

    fn ask_for(&self, path: &str, fields: &[&str]) -> Response {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let mut connection = Connection::open(self.admin);
        connection.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").as_bytes());
        connection.receive().unwrap()
    }

    /// What the admin API answers; `None`: it is not there.
    pub(crate) fn get_json(&self, path: &str) -> Option<serde_json::Value> {
        let answer = self.ask_for(path, &[]);
        (answer.status == 200).then(|| serde_json::from_str(&answer.body).unwrap())
    }

    pub(crate) fn samples(&self) -> Samples {
        let lines = self.ask(&[]).body;
        let lines = lines.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| line.rsplit_once(' ').unwrap())
            .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
            .collect()
    }
}

/// The values of all series of a family, whose labels contain these.
pub(crate) fn sum(samples: &Samples, name: &str, labels: &[&str]) -> f64 {
    let of_name = |key: &str| key == name || key.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'));
    let matching =
        samples.iter().filter(|(key, _)| of_name(key) && labels.iter().all(|label| key.contains(label)));
    matching.map(|(_, value)| value).sum()
}

fn table() -> String {
    let mut table = String::from("| name | kind | unit | labels | meaning |\n|---|---|---|---|---|\n");
    for family in families() {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, unit, help) = (family.full_name(), family.unit, family.help);
        writeln!(table, "| `{name}` | {kind} | {unit} | {} | {help} |", labels.join(", ")).unwrap();
    }
    table
}

#[test]
fn the_page_lists_every_metric_with_meaning_and_unit() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let (words, listed) = page.split_once(BEGIN).expect("the page has a table");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, format!("{words}{BEGIN}{}", table())).unwrap();
        return;
    }
    assert_eq!(listed, table(), "run with UPDATE_EXPECTED=1, and read the difference");
}

#[test]
fn what_is_served_is_what_the_table_says() {
    let apps = apps(2);
    let metered = Metered::plain(&apps);
    assert_eq!(get(metered.address, "/", &[]).status, 200);
    let served = soon("the request is counted", || {
        let samples = metered.samples();
        (sum(&samples, "steadfast_l7_requests_total", &["code=\"2xx\"", "reason=\"new\""]) == 1.0)
            .then_some(samples)
    });
    for family in families() {
        let (name, histogram) = (family.full_name(), family.kind == Kind::Histogram);
        let series = if histogram { format!("{name}_count") } else { name.clone() };
        let is_it = |key: &&String| key.split('{').next() == Some(series.as_str());
        let found: Vec<_> = served.keys().filter(is_it).collect();
        // Only a pool that shares its learned table or has a waiting room, a listener with TLS, one of UDP, a route with limits and an access log have
        // these.
        let elsewhere = [
            "steadfast_store_shared_",
            "steadfast_pool_waiting_room_",
            "steadfast_listen_certificate_",
            "steadfast_listen_datagrams",
            "steadfast_telemetry_log_",
            "steadfast_l7_route_limited_",
        ];
        if elsewhere.iter().any(|begin| name.starts_with(begin)) {
            assert!(found.is_empty(), "{found:?}");
            continue;
        }
        assert!(!found.is_empty(), "{name} is not served");
        for key in found {
            let labels = key.split_once('{').map(|(_, rest)| rest.trim_end_matches('}')).unwrap_or_default();
            let names: Vec<_> =
                labels.split("\",").filter_map(|label| Some(label.split_once('=')?.0)).collect();
            assert_eq!(names, family.labels, "{key}");
        }
    }
    let known: BTreeSet<_> = families().map(|family| family.full_name()).collect();
    for key in served.keys() {
        let name = key.split('{').next().unwrap();
        let parts = ["_bucket", "_sum", "_count"];
        let whole =
            parts.iter().find_map(|part| name.strip_suffix(part)).filter(|whole| known.contains(*whole));
        assert!(known.contains(whole.unwrap_or(name)), "{key} is in no table");
    }
    assert_eq!(sum(&served, "steadfast_pool_backend_state", &["state=\"up\""]), 2.0);
    assert_eq!(sum(&served, "steadfast_affinity_sessions_live", &["known_by=\"table\""]), 1.0);
    assert_eq!(sum(&served, "steadfast_affinity_sessions_created_total", &[]), 1.0);
    assert!(sum(&served, "steadfast_listen_connections_accepted_total", &["listener=\"web\""]) >= 1.0);
    assert!(sum(&served, "process_resident_memory_bytes", &[]) > 1e6);
}

#[test]
fn whoever_is_kept_out_is_counted() {
    let apps = apps(1);
    let limits = "    limits:\n      connections_per_client: 3\n      requests:\n        - { requests: 1, per: 1h, burst: 4 }\n        - { by: header, header: X-Key, requests: 1, per: 1h }\n        - { by: session, requests: 1, per: 1h }\n";
    let room = "    waiting_room: { sessions: 1, length: 5 }\n";
    let metered = Metered::start_with(&apps, "{ listen: 127.0.0.1:0 }", "", limits, room);
    let first = get(metered.address, "/", &[]);
    let cookie = format!("Cookie: {}", first.cookies());
    let ask = |field: &str| get(metered.address, "/plain", &[field]).status;
    assert_eq!((ask(&cookie), ask(&cookie)), (200, 429), "by its session");
    assert_eq!(ask("X-Key: a"), 503, "it waits");
    assert_eq!((ask("X-Key: a"), ask("X-Key: b")), (429, 429), "by the client, which is asked first");
    let limited = |by: &str| {
        let samples = metered.samples();
        sum(&samples, "steadfast_l7_limited_total", &["listener=\"web\"", &format!("by=\"{by}\"")])
    };
    assert_eq!((limited("client"), limited("session"), limited("header")), (2.0, 1.0, 0.0));
    let waiting = || sum(&metered.samples(), "steadfast_pool_waiting_room_visitors", &["pool=\"app\""]);
    assert_eq!(waiting(), 1.0);
    soon("earlier connections have ended", || {
        (sum(&metered.samples(), "steadfast_listen_connections", &["listener=\"web\""]) == 0.0).then_some(())
    });
    let held: Vec<_> = (0..5).map(|_| Connection::open(metered.address)).collect();
    soon("two of five are too many", || {
        let samples = metered.samples();
        let refused = sum(&samples, "steadfast_listen_connections_over_client_limit_total", &[]);
        (refused == 2.0).then_some(())
    });
    drop(held);
}

#[test]
fn the_format_is_the_one_that_is_accepted() {
    let apps = apps(1);
    let metered = Metered::plain(&apps);
    let text = metered.ask(&[]);
    assert_eq!(text.all("content-type"), ["text/plain; version=0.0.4; charset=utf-8"]);
    assert!(text.body.contains("# TYPE steadfast_l7_retries_total counter\n"), "{text:?}");
    let open = metered.ask(&["Accept: application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1"]);
    assert_eq!(open.all("content-type"), ["application/openmetrics-text; version=1.0.0; charset=utf-8"]);
    assert!(open.body.contains("# TYPE steadfast_l7_retries counter\n") && open.body.ends_with("# EOF\n"));
}

#[test]
fn metrics_are_behind_the_same_guard_as_the_api() {
    let apps = apps(1);
    let metered = Metered::start(&apps, "{ listen: 127.0.0.1:0, token_file: admin.token }");
    assert_eq!(metered.ask(&[]).status, 401);
    let answer = metered.ask(&["Authorization: Bearer 0123456789abcdef-SECRET-0123456789"]);
    assert!(answer.status == 200 && !answer.body.contains("SECRET"), "{answer:?}");
}

#[test]
fn no_request_adds_a_label() {
    let apps = apps(2);
    let metered = Metered::plain(&apps);
    let mut connection = Connection::open(metered.address);
    let mut ask = |n: u32, round: u32| {
        // Both rounds have all that a request may make of itself; only what it is about differs.
        let (path, host) = (format!("/plain/{round}/{n}"), format!("h{n}.r{round}.test"));
        let method = ["GET", "PUT", "BREW", "OPTIONS"][n as usize % 4];
        let cookies = [String::new(), format!("JSESSIONID=i{round}x{n}"), format!("steadfast-{n}=x{round}")];
        let cookie = &cookies[n as usize % 3];
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {n}\r\nCookie: {cookie}\r\n\r\n"
        );
        connection.send(request.as_bytes());
        assert_eq!(connection.receive().unwrap().status, 200, "{request}");
    };
    let series = || metered.samples().into_keys().collect::<BTreeSet<_>>();
    let counted = |count: f64| {
        let all =
            || Some(sum(&metered.samples(), "steadfast_l7_requests_total", &[])).filter(|n| *n == count);
        soon("all are counted", all);
    };
    (0..240).for_each(|n| ask(n, 1));
    counted(240.0);
    let before = series();
    (0..1200).for_each(|n| ask(n, 2));
    counted(1440.0);
    assert_eq!(series(), before, "the series are those of the configuration");
    let names = before.iter().any(|key| key.contains(".test") || key.contains("/plain"));
    assert!(!names, "nothing of a request is in a label");
}

/// Words of a query that look like the name of a metric of ours.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = words.filter(|word| word.starts_with("steadfast_") || word.starts_with("process_"));
    ours.map(|word| word.trim_end_matches("_bucket").to_owned()).collect()
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let known: BTreeSet<_> = families().map(|family| family.full_name()).collect();
    for (file, least) in [("prometheus/steadfast.rules.yml", 12), ("grafana/steadfast.json", 20)] {
        let named = named(&std::fs::read_to_string(root.join(file)).unwrap());
        assert!(named.len() >= least, "{file}: {named:?}");
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{file} asks for {unknown:?}");
    }
    let dashboard = std::fs::read_to_string(root.join("grafana/steadfast.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 15);
}
