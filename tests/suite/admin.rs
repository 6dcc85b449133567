//! The admin API: who is let in, what is answered, and that its own description says so.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use steadfast::lifecycle::Control;
use steadfast::{Running, Steadfast};
use tempfile::TempDir;

use crate::support::app::App;
use crate::support::balancer::{SHARED, apps, checked, configuration};
use crate::support::exchange::get;
use crate::support::schema::faults;

const TOKEN: &str = "0123456789abcdef-SECRET-0123456789";
const JSON: &str = "Content-Type: application/json";

/// A balancer with an admin API, in this process.
pub(crate) struct Administered {
    /// Of its listener.
    pub(crate) address: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) control: Arc<Control>,
    folder: TempDir,
    _running: Running,
}

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl Administered {
    pub(crate) fn start(apps: &[App], admin: &str) -> Self {
        Self::start_with(apps, admin, "")
    }

    /// Starts it with further lines of YAML for the pool.
    pub(crate) fn start_with(apps: &[App], admin: &str, pool: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("admin.token"), TOKEN).unwrap();
        let top = format!("{SHARED}admin: {admin}\n");
        let checked = checked(&configuration(apps, &top, "", pool), folder.path());
        let bound = Steadfast::from_checked(checked).bind().unwrap();
        let (address, admin) = (bound.addresses()[0].1, bound.admin_address());
        let control = Arc::clone(bound.control());
        Self { address, admin, control, folder, _running: bound.spawn().unwrap() }
    }

    pub(crate) fn plain(apps: &[App]) -> Self {
        Self::start(apps, "{ listen: 127.0.0.1:0 }")
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    /// Sends bytes, and reads an answer.
    pub(crate) fn raw(&self, request: &str) -> Option<Answer> {
        match self.admin {
            Some(admin) => exchange(TcpStream::connect(admin).unwrap(), request),
            None => exchange(UnixStream::connect(self.socket()).unwrap(), request),
        }
    }

    /// Sends a request with the right `Host` and these fields.
    pub(crate) fn ask_with(&self, line: &str, fields: &[&str], body: &str) -> Answer {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let length = body.len();
        let request =
            format!("{line} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {length}\r\n\r\n{body}");
        self.raw(&request).unwrap_or_else(|| panic!("no answer to {line}"))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask_with(&format!("GET {path}"), &[], "")
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.ask_with(&format!("{method} {path}"), &[JSON], &body.to_string())
    }
}

fn exchange(mut stream: impl Read + Write, request: &str) -> Option<Answer> {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let head = head.to_lowercase();
    let is_json = head.contains("content-type: application/json");
    let body = match body {
        "" => Value::Null,
        text if is_json => serde_json::from_str(text).unwrap(),
        text => Value::String(text.to_owned()),
    };
    Some(Answer { status, head, body })
}

impl Answer {
    pub(crate) fn code(&self) -> (u16, &str) {
        (self.status, self.body["error"]["code"].as_str().unwrap_or_default())
    }
}

/// The description, and each answer held against it.
struct Description(Value);

impl Description {
    fn of(balancer: &Administered) -> Self {
        Self(balancer.get("/v1/openapi.json").body)
    }

    /// That an answer to a request on this path is one of those that the description names.
    fn covers(&self, method: &str, path: &str, answer: &Answer) {
        let operation = &self.0["paths"][path][method.to_lowercase()];
        assert!(operation.is_object(), "{method} {path} is not described");
        let mut response = &operation["responses"][answer.status.to_string()];
        if response["$ref"] == "#/components/responses/Failure" {
            response = &self.0["components"]["responses"]["Failure"];
        }
        let media = answer.head.split_once("content-type: ").unwrap().1.split([';', '\r']).next().unwrap();
        let schema = &response["content"][media]["schema"];
        assert!(
            schema.is_object() || schema.is_boolean(),
            "{method} {path}: {} is not described",
            answer.status
        );
        let errors = faults(&answer.body, schema, &self.0);
        assert!(errors.is_empty(), "{method} {path}: {errors:?}\n{}", answer.body);
    }
}

#[test]
fn every_endpoint_answers_as_its_description_says() {
    let apps = apps(2);
    let balancer = Administered::plain(&apps);
    let description = Description::of(&balancer);
    let first = get(balancer.address, "/", &[]);
    let id = first.cookie("JSESSIONID").unwrap().split_once('=').unwrap().1.to_owned();
    let other = App::start("app9");
    let new = json!({ "id": "app9", "address": other.address.to_string(), "weight": 2 });
    let session = json!({ "id": id });
    let question =
        json!({ "url": "/", "headers": [{ "name": "Cookie", "value": format!("JSESSIONID={id}") }] });
    let (none, up) = (json!({}), json!({ "state": "up", "weight": 3 }));
    let backend = "/v1/pools/{pool}/backends/{backend}";
    let calls: Vec<(&str, String, Value, u16)> = vec![
        ("GET", "/healthz".into(), Value::Null, 200),
        ("GET", "/readyz".into(), Value::Null, 200),
        ("GET", "/v1/status".into(), Value::Null, 200),
        ("GET", "/v1/pools".into(), Value::Null, 200),
        ("GET", "/v1/pools/{pool}".into(), Value::Null, 200),
        ("GET", "/v1/pools/{pool}/backends".into(), Value::Null, 200),
        ("GET", backend.into(), Value::Null, 200),
        ("GET", "/v1/pools/{pool}/sessions".into(), Value::Null, 200),
        ("POST", "/v1/pools/{pool}/sessions/lookup".into(), session.clone(), 200),
        ("POST", "/v1/explain".into(), question, 200),
        ("POST", "/v1/pools/{pool}/sessions/forget".into(), session, 200),
        ("GET", "/v1/requests".into(), Value::Null, 200),
        ("GET", "/v1/requests/{request}".into(), Value::Null, 200),
        ("GET", "/v1/history".into(), Value::Null, 200),
        ("GET", "/v1/advice".into(), Value::Null, 200),
        ("GET", "/v1/log-level".into(), Value::Null, 200),
        // The log is this test's own.
        ("PUT", "/v1/log-level".into(), json!({ "level": "info" }), 409),
        // The configuration is this test's own, too.
        ("POST", "/v1/reload".into(), none.clone(), 409),
        ("POST", "/v1/pools/{pool}/backends".into(), new.clone(), 201),
        ("POST", "/v1/pools/{pool}/backends".into(), new, 409),
        ("POST", format!("{backend}/drain"), json!({ "deadline": "90s" }), 200),
        ("POST", format!("{backend}/maintain"), none.clone(), 200),
        ("POST", format!("{backend}/ready"), none.clone(), 200),
        ("PATCH", backend.into(), up, 200),
        ("POST", format!("{backend}/reset"), none, 200),
        ("DELETE", backend.into(), Value::Null, 200),
        ("GET", "/metrics".into(), Value::Null, 200),
        ("GET", "/v1/openapi.json".into(), Value::Null, 200),
    ];
    let described: usize = description.0["paths"]
        .as_object()
        .unwrap()
        .values()
        .map(|path| path.as_object().unwrap().len())
        .sum();
    assert_eq!(described + 1, calls.len(), "each endpoint is asked, one of them twice");
    for (method, path, body, status) in calls {
        let real = path.replace("{pool}", "app").replace("{backend}", "app1").replace("{request}", "1");
        let answer = match body {
            Value::Null => balancer.ask_with(&format!("{method} {real}"), &[], ""),
            body => balancer.send(method, &real, &body),
        };
        assert_eq!(answer.status, status, "{method} {real}: {answer:?}");
        description.covers(method, &path, &answer);
        assert!(!answer.body.to_string().contains(&id), "a session id in {answer:?}");
        assert!(!answer.head.contains("access-control"), "no other origin may read: {answer:?}");
        assert!(answer.head.contains("cache-control: no-store"), "{answer:?}");
        if path.contains("{pool}") && method != "DELETE" {
            let nowhere = path.replace("{pool}", "nowhere").replace("{backend}", "app1");
            let body = calls_body(method, &path);
            let answer = match body {
                Value::Null => balancer.ask_with(&format!("{method} {nowhere}"), &[], ""),
                body => balancer.send(method, &nowhere, &body),
            };
            assert_eq!(answer.code(), (404, "unknown_pool"), "{method} {nowhere}: {answer:?}");
            description.covers(method, &path, &answer);
        }
    }
}

/// A body that is good enough to find out that the pool is not there.
fn calls_body(method: &str, path: &str) -> Value {
    match (method, path.rsplit('/').next().unwrap()) {
        ("GET", _) => Value::Null,
        (_, "lookup" | "forget") => json!({ "id": "x" }),
        (_, "backends") => json!({ "id": "x", "address": "127.0.0.1:80" }),
        ("PATCH", _) => json!({ "weight": 1 }),
        _ => json!({}),
    }
}

#[test]
fn what_is_wrong_is_refused_in_json_with_the_right_status() {
    let apps = apps(1);
    let balancer = Administered::plain(&apps);
    let post =
        |path: &str, fields: &[&str], body: &str| balancer.ask_with(&format!("POST {path}"), fields, body);
    let lookup = "/v1/pools/app/sessions/lookup";
    let text = "Content-Type: text/plain";
    let cases = [
        (balancer.get("/"), (404, "unknown_path")),
        (balancer.get("/v1/pools/app/"), (404, "unknown_path")),
        (balancer.get("/v1/pools/app/backends/none"), (404, "unknown_backend")),
        (balancer.get("/v1/status?all=true"), (400, "bad_query")),
        (post("/v1/reload?dry_run=maybe", &[JSON], "{}"), (400, "bad_query")),
        (post("/v1/status", &[JSON], "{}"), (405, "wrong_method")),
        (balancer.get("/v1/reload"), (405, "wrong_method")),
        (post(lookup, &[], "{\"id\":\"x\"}"), (415, "not_json")),
        (post(lookup, &[text], "{\"id\":\"x\"}"), (415, "not_json")),
        (post(lookup, &[JSON], ""), (400, "bad_body")),
        (post(lookup, &[JSON], "{\"id\":7}"), (400, "bad_body")),
        (post(lookup, &[JSON], "{\"id\":\"\"}"), (400, "bad_id")),
        (post(lookup, &[JSON], "{\"id\":\"x\",\"and\":1}"), (400, "bad_body")),
        (post(lookup, &[JSON], &format!("{{\"id\":\"{}\"}}", "x".repeat(70_000))), (413, "too_large")),
        (post("/v1/explain", &[JSON], "{\"url\":\"no url\"}"), (400, "bad_request")),
        (post("/v1/explain", &[JSON], "{\"url\":\"/\",\"listener\":\"none\"}"), (404, "unknown_listener")),
        (
            post("/v1/pools/app/backends", &[JSON], "{\"id\":\"x\",\"address\":\"localhost:80\"}"),
            (400, "bad_address"),
        ),
        (
            post("/v1/pools/app/backends", &[JSON], "{\"id\":\"/\",\"address\":\"127.0.0.1:80\"}"),
            (400, "bad_id"),
        ),
        (
            post("/v1/pools/app/backends/app1/drain", &[JSON], "{\"deadline\":\"soon\"}"),
            (400, "bad_deadline"),
        ),
        (balancer.send("PATCH", "/v1/pools/app/backends/app1", &json!({})), (400, "bad_body")),
        (
            balancer.send("PATCH", "/v1/pools/app/backends/app1", &json!({ "weight": 1001 })),
            (400, "bad_weight"),
        ),
        (balancer.ask_with("DELETE /v1/pools/app/backends/app1", &[], ""), (409, "last_backend")),
    ];
    for (number, (answer, expected)) in cases.iter().enumerate() {
        assert_eq!(answer.code(), *expected, "case {number}: {answer:?}");
        assert!(!answer.body["error"]["help"].as_str().unwrap().is_empty(), "{answer:?}");
        assert!(answer.head.contains("content-type: application/json"), "{answer:?}");
    }
    let head = balancer.ask_with("HEAD /v1/status", &[], "");
    assert_eq!((head.status, &head.body), (200, &Value::Null), "{head:?}");
    assert!(balancer.ask_with("PUT /v1/status", &[], "").head.contains("allow: get, head"));
    let backend = balancer.ask_with("PUT /v1/pools/app/backends/app1", &[], "");
    assert!(backend.head.contains("allow: get, patch, delete, head"), "{backend:?}");
    assert_eq!(balancer.raw("nonsense\r\n\r\n").unwrap().code(), (400, "malformed"));
}

#[test]
fn without_a_token_only_own_names_are_answered() {
    let apps = apps(1);
    let balancer = Administered::plain(&apps);
    let status =
        |host: &str| balancer.raw(&format!("GET /v1/status HTTP/1.1\r\nHost: {host}\r\n\r\n")).unwrap();
    assert_eq!(status(&balancer.admin.unwrap().to_string()).status, 200);
    assert_eq!(status("localhost:1").status, 200);
    for host in ["evil.example", "127.0.0.1.evil.example", "10.1.2.3"] {
        assert_eq!(status(host).code(), (421, "foreign_host"), "{host}");
    }
}

#[test]
fn with_a_token_nothing_but_healthz_answers_without_it() {
    let apps = apps(1);
    let balancer = Administered::start(&apps, "{ listen: 0.0.0.0:0, token_file: admin.token }");
    assert_eq!(balancer.get("/healthz").status, 200);
    let paths = [
        "/readyz",
        "/v1/status",
        "/v1/openapi.json",
        "/",
        "/nothing",
        "/healthz/",
        "//healthz",
        "/healthz%2f",
    ];
    for path in paths {
        for fields in [
            &[][..],
            &["Authorization: Bearer 0123456789abcdef-secret-0123456789"],
            &["Authorization: Basic x"],
        ] {
            let answer = balancer.ask_with(&format!("GET {path}"), fields, "");
            assert_eq!(answer.code(), (401, "unauthorized"), "{path} {fields:?}: {answer:?}");
            assert!(answer.head.contains("www-authenticate: bearer"), "{answer:?}");
        }
    }
    assert_eq!(balancer.ask_with("POST /v1/reload", &[JSON], "{}").status, 401);
    let token = format!("Authorization: Bearer {TOKEN}");
    let status = balancer.ask_with("GET /v1/status", &[&token], "");
    assert_eq!(status.status, 200);
    let description = balancer.ask_with("GET /v1/openapi.json", &[&token], "");
    assert_eq!(description.body["security"], json!([{ "token": [] }]));
    assert_eq!(description.body["paths"]["/healthz"]["get"]["security"], json!([]));
    for answer in [status, description] {
        assert!(!answer.body.to_string().contains("SECRET"), "{answer:?}");
    }
}

#[test]
fn a_reload_puts_another_token_in_force_but_no_other_address() {
    let apps = apps(1);
    let admin = "{ listen: 127.0.0.1:0, token_file: admin.token }";
    let balancer = Administered::start(&apps, admin);
    let status =
        |token: &str| balancer.ask_with("GET /v1/status", &[&format!("Authorization: Bearer {token}")], "");
    assert_eq!(status(TOKEN).status, 200);
    let other = TOKEN.replace("SECRET", "HIDDEN");
    std::fs::write(balancer.folder.path().join("admin.token"), &other).unwrap();
    let file = |admin: &str| {
        let text = configuration(&apps, &format!("{SHARED}{admin}"), "", "");
        checked(&text, balancer.folder.path())
    };
    let plan = balancer.control.put_in_force(file(&format!("admin: {admin}\n"))).unwrap();
    assert_eq!(plan.changes, ["admin: token"]);
    assert_eq!((status(TOKEN).status, status(&other).status), (401, 200));
    for elsewhere in ["", "admin: { listen: 127.0.0.2:0 }\n"] {
        let refused = balancer.control.put_in_force(file(elsewhere)).unwrap_err().to_string();
        assert!(
            refused.contains("the admin API was on 127.0.0.1:0") && refused.contains("SIGUSR2"),
            "{refused}"
        );
    }
    assert_eq!(status(&other).status, 200, "nothing has changed");
}

#[test]
fn a_socket_in_the_file_system_needs_no_token_and_no_name() {
    use std::os::unix::fs::PermissionsExt as _;

    let apps = apps(1);
    let balancer = Administered::start(&apps, "{ listen: 'unix:admin.sock' }");
    let mode = std::fs::metadata(balancer.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "for the own user alone");
    let answer = balancer.raw("GET /v1/status HTTP/1.1\r\nHost: whatever\r\n\r\n").unwrap();
    assert_eq!(answer.body["phase"], "running", "{answer:?}");
}

#[test]
fn too_many_connections_are_closed_and_slow_ones_do_not_stop_others() {
    let apps = apps(1);
    let balancer = Administered::plain(&apps);
    let admin = balancer.admin.unwrap();
    let mut idle: Vec<_> = (0..63).map(|_| TcpStream::connect(admin).unwrap()).collect();
    // Accepted in their order, so this one is answered behind all of them.
    assert_eq!(balancer.get("/healthz").status, 200);
    idle.extend((0..8).map(|_| TcpStream::connect(admin).unwrap()));
    let mut last = idle.pop().unwrap();
    last.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert!(matches!(last.read(&mut [0; 1]), Ok(0) | Err(_)), "closed at once");
}

#[test]
fn a_session_is_found_and_forgotten() {
    let apps = apps(3);
    let balancer = Administered::plain(&apps);
    let first = get(balancer.address, "/", &[]);
    let cookie = first.cookie("JSESSIONID").unwrap();
    let id = json!({ "id": cookie.split_once('=').unwrap().1 });
    let lookup = || balancer.send("POST", "/v1/pools/app/sessions/lookup", &id).body;
    assert_eq!(lookup(), json!({ "backend": first.server(), "known_by": "learned" }));
    let counted = balancer.get("/v1/pools/app/sessions").body;
    assert_eq!((&counted["learned_sessions"], &counted["backends"][first.server()]), (&json!(1), &json!(1)));
    let forget = || balancer.send("POST", "/v1/pools/app/sessions/forget", &id).body;
    assert_eq!(forget(), json!({ "forgotten": true }));
    assert_eq!(forget(), json!({ "forgotten": false }));
    assert_eq!(lookup(), json!({ "backend": null, "known_by": null }));
    assert_eq!(balancer.get("/v1/pools/app/sessions").body["learned_sessions"], 0);
}

#[test]
fn a_drained_backend_keeps_its_sessions_and_status_says_so() {
    let apps = apps(2);
    let balancer = Administered::plain(&apps);
    let first = get(balancer.address, "/", &[]);
    let home = first.server().to_owned();
    let drained =
        balancer.send("POST", &format!("/v1/pools/app/backends/{home}/drain"), &json!({ "deadline": "1h" }));
    assert_eq!(drained.body["state"], "draining", "{drained:?}");
    assert!((3500..=3600).contains(&drained.body["drain_left_s"].as_u64().unwrap()), "{drained:?}");
    let differences = balancer.get("/v1/status").body["differences"].clone();
    assert_eq!(differences, json!([format!("pool app: backend {home}: state up → draining")]));
    let again = get(balancer.address, "/", &[&format!("Cookie: {}", first.cookies())]);
    assert_eq!(again.server(), home, "drained");
    let news: Vec<_> = (0..40).map(|n| get(balancer.address, "/", &[&format!("User-Agent: {n}")])).collect();
    assert!(news.iter().all(|answer| answer.server() != home), "drained");
    let reset = balancer.send("POST", &format!("/v1/pools/app/backends/{home}/reset"), &json!({}));
    assert_eq!(reset.body, json!({ "was_changed": true }));
    assert_eq!(balancer.get("/v1/status").body["differences"], json!([]));
}

#[test]
fn backends_come_and_go_at_run_time() {
    let apps = apps(1);
    let balancer = Administered::plain(&apps);
    let other = App::start("app9");
    let new = json!({ "id": "app9", "address": other.address.to_string() });
    assert_eq!(balancer.send("POST", "/v1/pools/app/backends", &new).status, 201);
    balancer.send("POST", "/v1/pools/app/backends/app1/maintain", &json!({}));
    assert_eq!(get(balancer.address, "/", &[]).server(), "app9");
    assert_eq!(balancer.get("/readyz").status, 200);
    balancer.send("POST", "/v1/pools/app/backends/app9/maintain", &json!({}));
    assert_eq!(balancer.get("/readyz").code(), (503, "not_ready"));
    balancer.send("PATCH", "/v1/pools/app/backends/app1", &json!({ "state": "up", "weight": 7 }));
    let backend = balancer.get("/v1/pools/app/backends/app1").body;
    assert_eq!((&backend["state"], &backend["weight"]), (&json!("up"), &json!(7)));
    let removed = balancer.ask_with("DELETE /v1/pools/app/backends/app9", &[], "");
    assert_eq!(removed.status, 200, "{removed:?}");
}

#[test]
fn explain_asks_the_snapshot_in_force() {
    let apps = apps(3);
    let balancer = Administered::plain(&apps);
    for n in 0..20 {
        let agent = format!("agent {n}");
        let question = json!({
            "url": "http://app.test/",
            "headers": [{ "name": "User-Agent", "value": agent }],
            "from": "127.0.0.1",
        });
        let explained = balancer.send("POST", "/v1/explain", &question).body;
        assert_eq!(explained["reason"], "new");
        let first = get(balancer.address, "/", &[&format!("User-Agent: {agent}")]);
        assert_eq!(explained["backend"], first.server(), "{explained}");
        // Only the balancer that runs has learned it.
        let question =
            json!({ "url": "/", "headers": [{ "name": "Cookie", "value": first.cookie("JSESSIONID") }] });
        let explained = balancer.send("POST", "/v1/explain", &question).body;
        assert_eq!(
            (&explained["backend"], &explained["reason"]),
            (&json!(first.server()), &json!("learned"))
        );
    }
}
