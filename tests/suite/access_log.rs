//! The access log: what stands in it, what never does, and that no line is lost on the way.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use serde_json::Value;
use steadfast::config;
use steadfast::names::LogField;

use crate::support::app::App;
use crate::support::balancer::{Balancer, SHARED, apps, configuration};
use crate::support::eventually::soon;
use crate::support::exchange::{Connection, get, request};
use crate::support::ports::Port;
use crate::support::program::{self, Program};
use crate::support::steadfast::Steadfast;

const PAGE: &str = "docs/access_log.md";
const BEGIN: &str = "<!-- The table is made by `UPDATE_EXPECTED=1 cargo test --test suite access_log`. -->\n";

fn logged(apps: &[App], log: &str) -> (Balancer, PathBuf) {
    let top = format!("{SHARED}access_log: {{ file: {{ path: access.log }}, {log} }}\n");
    let balancer = Balancer::start(apps, &top, "", "");
    let path = balancer.folder().join("access.log");
    (balancer, path)
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The lines, once there are as many.
fn lines(path: &Path, count: usize) -> Vec<String> {
    soon(&format!("{count} lines are written"), || {
        let lines: Vec<_> = text(path).lines().map(str::to_owned).collect();
        assert!(lines.len() <= count, "too many: {lines:?}");
        (lines.len() == count).then_some(lines)
    })
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn table() -> String {
    let mut table = String::from("| field | meaning |\n|---|---|\n");
    for field in LogField::ALL {
        writeln!(table, "| `{}` | {} |", field.as_str(), field.meaning()).unwrap();
    }
    table
}

#[test]
fn the_page_lists_every_field() {
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
fn a_session_can_be_followed_through_the_log() {
    let apps = apps(2);
    let (balancer, path) = logged(&apps, "");
    let first = get(balancer.address, "/start?page=1", &["User-Agent: me", "Referer: http://app.test/x?y"]);
    let cookies = format!("Cookie: {}", first.cookies());
    let mut connection = Connection::open(balancer.address);
    connection.send((request("POST", "/again", &[&cookies, "Content-Length: 5"]) + "hello").as_bytes());
    connection.receive().unwrap();
    let login = get(balancer.address, "/login", &[&cookies]);
    assert_eq!(login.status, 200);
    let lines: Vec<_> = lines(&path, 3).iter().map(|line| json(line)).collect();
    let (one, two, three) = (&lines[0], &lines[1], &lines[2]);
    for (field, expected) in [
        ("listener", "web"),
        ("client", "127.0.0.1"),
        ("peer", "127.0.0.1"),
        ("method", "GET"),
        ("path", "/start"),
        ("protocol", "HTTP/1.1"),
        ("host", "app.test"),
        ("pool", "app"),
        ("backend", first.server()),
        ("reason", "new"),
        ("outcome", "started"),
        ("user_agent", "me"),
        ("referer", "http://app.test/x"),
    ] {
        assert_eq!(one[field], expected, "{field} of {one}");
    }
    assert_eq!(
        (&one["status"], &one["retries"], &one["received"]),
        (&200.into(), &0.into(), &0.into()),
        "{one}"
    );
    assert_eq!(one["sent"], first.body.len(), "{one}");
    assert!(one["took_ms"].as_f64() >= one["first_byte_ms"].as_f64() && one["queue_ms"].is_number(), "{one}");
    assert!(one["connect_ms"].is_number() && one["session"].is_null(), "{one}");
    let time = one["time"].as_str().unwrap();
    assert!(time.len() == 24 && time.starts_with("20") && time.ends_with('Z'), "{time}");
    assert_eq!(
        (&two["reason"], &two["outcome"], &two["received"]),
        (&"lb_cookie".into(), &"kept".into(), &5.into())
    );
    assert!(one["new_session"].is_string(), "{one}");
    assert_eq!((&two["session"], &two["new_session"]), (&one["new_session"], &Value::Null));
    assert_eq!((&three["session"], &three["outcome"]), (&one["new_session"], &"rotated".into()));
    assert!(three["new_session"].is_string() && three["new_session"] != three["session"], "{three}");
}

#[test]
fn secrets_never_appear() {
    for log in [
        "format: json",
        "format: combined",
        "query: true",
        "template: '{path} {host} {referer} {user_agent}'",
    ] {
        let apps = apps(1);
        let (balancer, path) = logged(&apps, log);
        let first = get(balancer.address, "/", &[]);
        let token = first.cookie("steadfast-").unwrap().split_once('=').unwrap().1.to_owned();
        let id = first.cookie("JSESSIONID").unwrap().split_once('=').unwrap().1.to_owned();
        let cookies = format!("Cookie: {}; other=SECRET", first.cookies());
        let target = format!(
            "/a;jsessionid={id};x=SECRET/b%3Bjsessionid={id}?token=SECRET&PHPSESSID={id}&api_key=SECRET"
        );
        let referer = format!("Referer: http://user:SECRET@app.test{target}");
        let fields = [
            cookies.as_str(),
            "Authorization: Basic SECRET",
            "Proxy-Authorization: SECRET",
            "X-Api-Key: SECRET",
            &referer,
        ];
        assert_eq!(get(balancer.address, &target, &fields).status, 200);
        lines(&path, 2);
        let written = text(&path);
        for secret in ["SECRET", id.as_str(), token.as_str()] {
            assert!(!written.contains(secret), "{log}: {secret} in {written}");
        }
        assert!(written.contains("/a;jsessionid=*;x=*/b%3Bjsessionid=*"), "{written}");
    }
}

#[test]
fn a_template_writes_what_it_names_and_clients_cannot_forge_a_line() {
    let apps = apps(1);
    let (balancer, path) =
        logged(&apps, "template: '{method} {path} \"{user_agent}\" {status} {{{backend}}} {connect_ms}'");
    let mut connection = Connection::open(balancer.address);
    connection.send(request("GET", "/\"x", &["User-Agent: a\" 500 {b}\t\u{1b}[0m"]).as_bytes());
    let answer = connection.receive().unwrap();
    if answer.status == 200 {
        let lines = lines(&path, 1);
        assert!(lines[0].starts_with("GET /\\x22x \"a\\x22 500 {b}\\x09"), "{lines:?}");
        assert!(lines[0].contains("\" 200 {app1} "), "{lines:?}");
    } else {
        // The front door may refuse such a head whole; then there is nothing to write.
        assert_eq!(answer.status, 400);
        get(balancer.address, "/x", &["User-Agent: a\" 500 {b}"]);
        let lines = lines(&path, 1);
        assert!(lines[0].starts_with("GET /x \"a\\x22 500 {b}\" 200 {app1} "), "{lines:?}");
    }
}

#[test]
fn conditions_and_samples_keep_what_matters() {
    let apps = apps(2);
    let (balancer, path) = logged(&apps, "only: [errors, lost]");
    get(balancer.address, "/", &[]);
    get(balancer.address, "/", &["Cookie: JSESSIONID=invented"]);
    get(balancer.address, "/reset", &[]);
    let found: Vec<_> = lines(&path, 2).iter().map(|line| json(line)).collect();
    assert_eq!(
        (&found[0]["outcome"], &found[1]["status"]),
        (&"lost_no_proof".into(), &502.into()),
        "{found:?}"
    );
    let (balancer, path) = logged(&apps, "one_of: 10");
    (0..50).for_each(|_| _ = get(balancer.address, "/plain", &[]));
    get(balancer.address, "/", &["Cookie: JSESSIONID=invented"]);
    let found = lines(&path, 6);
    assert_eq!(found.iter().filter(|line| line.contains("lost_no_proof")).count(), 1, "{found:?}");
}

#[test]
fn requests_that_come_to_no_backend_say_why() {
    let apps = apps(1);
    let (balancer, path) = logged(&apps, "");
    apps[0].stop();
    balancer.control.change("app", "app1", &maintenance()).unwrap();
    assert_eq!(get(balancer.address, "/", &[]).status, 503);
    let line = json(&lines(&path, 1)[0]);
    assert_eq!(
        (&line["reason"], &line["status"], &line["pool"]),
        (&"no_backend".into(), &503.into(), &"app".into())
    );
    assert!(line["backend"].is_null(), "{line}");
}

fn maintenance() -> steadfast::lifecycle::BackendChange {
    let state = Some(config::checked::BackendState::Maintenance);
    steadfast::lifecycle::BackendChange { state, ..Default::default() }
}

#[test]
fn a_listener_may_have_its_own_log_or_none() {
    let apps = apps(1);
    for (own, all, one) in
        [("{ enabled: false }", 0, 0), ("{ file: { path: own.log } }", 0, 1), ("null", 1, 0)]
    {
        let top = format!("{SHARED}access_log: {{ file: {{ path: access.log }} }}\n");
        let balancer = Balancer::start(&apps, &top, &format!("    access_log: {own}\n"), "");
        get(balancer.address, "/", &[]);
        soon("the request is counted", || {
            (balancer.current.load().pools[0].traffic().backends[0].total() == 1).then_some(())
        });
        lines(&balancer.folder().join("access.log"), all);
        lines(&balancer.folder().join("own.log"), one);
    }
}

#[test]
fn syslog_and_the_journal_get_a_message_for_each_request() {
    let apps = apps(1);
    let folder = tempfile::tempdir().unwrap();
    let (unix, journal) = (folder.path().join("log"), folder.path().join("journal"));
    let (udp, unix_socket) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UnixDatagram::bind(&unix).unwrap());
    let journal_socket = UnixDatagram::bind(&journal).unwrap();
    let udp_address = udp.local_addr().unwrap();
    for (destination, which) in [
        (format!("syslog: {{ address: 'udp:{udp_address}' }}"), 0),
        (format!("syslog: {{ address: 'unix:{}' }}", unix.display()), 1),
        (format!("journald: {{ socket: '{}' }}", journal.display()), 2),
    ] {
        let top = format!("{SHARED}access_log: {{ {destination}, template: '{{method}} {{path}}' }}\n");
        let balancer = Balancer::start(&apps, &top, "", "");
        get(balancer.address, "/x", &[]);
        let mut buffer = [0; 1000];
        let length = match which {
            0 => udp.recv(&mut buffer),
            1 => unix_socket.recv(&mut buffer),
            _ => journal_socket.recv(&mut buffer),
        };
        let message = std::str::from_utf8(&buffer[..length.unwrap()]).unwrap();
        assert!(message.trim_end().ends_with("GET /x"), "{message}");
        assert!(message.starts_with(if which == 2 { "PRIORITY=6\n" } else { "<134>1 20" }), "{message}");
    }
}

#[test]
fn a_log_that_cannot_be_opened_refuses_start_and_reload() {
    let apps = apps(1);
    let folder = tempfile::tempdir().unwrap();
    let top = |path: &str| format!("{SHARED}access_log: {{ file: {{ path: {path} }} }}\n");
    let parse = |top: &str| {
        let text = configuration(&apps, top, "", "");
        config::parse(&text, &folder.path().join("steadfast.yaml")).unwrap()
    };
    let refused =
        steadfast::Steadfast::from_checked(parse(&top("nowhere/access.log"))).bind().unwrap_err().to_string();
    assert!(refused.contains("nowhere/access.log") && refused.contains("is its folder there"), "{refused}");
    let bound = steadfast::Steadfast::from_checked(parse(&top("access.log"))).bind().unwrap();
    let refused = bound.control().put_in_force(parse(&top("nowhere/access.log"))).unwrap_err().to_string();
    assert!(refused.contains("nowhere/access.log"), "{refused}");
}

#[test]
fn who_moves_the_file_away_sends_sigusr1_and_reload_and_upgrade_lose_no_line() {
    let apps = apps(2);
    let program = Program::start(&apps);
    let address = program.address;
    let log = "access_log: { file: { path: access.log }, template: '{path}' }\n";
    program.reload(&(program::text(address, &apps, "") + log), "configuration reloaded");
    let path = program.file().with_file_name("access.log");
    let mut sent = 0;
    let mut ask = |count: usize| {
        for _ in 0..count {
            assert_eq!(get(address, &format!("/n{sent}"), &[]).status, 200);
            sent += 1;
        }
        sent
    };
    ask(20);
    lines(&path, 20);
    let moved = path.with_file_name("moved.log");
    std::fs::rename(&path, &moved).unwrap();
    kill(program.pid(), Signal::SIGUSR1).unwrap();
    soon("the file is opened anew", || path.exists().then_some(()));
    ask(20);
    lines(&path, 20);
    program.signal(Signal::SIGHUP, "configuration reloaded");
    ask(20);
    program.signal(Signal::SIGUSR2, "upgraded");
    let all = ask(20);
    let written = soon("all lines are there", || {
        let written = format!("{}{}", text(&moved), text(&path));
        (written.lines().count() >= all).then_some(written)
    });
    let mut counts: HashMap<&str, usize> = HashMap::new();
    written.lines().for_each(|line| *counts.entry(line).or_default() += 1);
    for n in 0..all {
        assert_eq!(counts.get(format!("/n{n}").as_str()), Some(&1), "each request has one line: {written}");
    }
}

#[tokio::test]
async fn standard_output_gets_the_lines_and_nothing_else_does() {
    let apps = apps(1);
    let port = Port::reserve();
    let address = port.address();
    let top = format!("{SHARED}access_log: {{ stdout: true, template: 'LINE {{method}} {{path}}' }}\n");
    let yaml = configuration(&apps, &top, "", "").replace("127.0.0.1:0", &address.to_string());
    let steadfast = Steadfast::start(port, &yaml).await;
    assert_eq!(get(address, "/x", &[]).status, 200);
    soon("the line is there", || steadfast.said().contains("LINE GET /x\n").then_some(()));
}
