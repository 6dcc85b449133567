//! Events as they happen, alerts, and the dashboard's files.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::admin::Administered;
use crate::support::app::App;
use crate::support::balancer::{SHARED, apps, checked, configuration};
use crate::support::eventually::soon;
use crate::support::exchange::get;

const TOKEN: &str = "Authorization: Bearer 0123456789abcdef-SECRET-0123456789";

/// Somebody who listens to events.
struct Listener(BufReader<TcpStream>);

impl Listener {
    fn begin(balancer: &Administered) -> Self {
        let mut stream = TcpStream::connect(balancer.admin.unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut listener = Self(BufReader::new(stream));
        let head = listener.until_blank().join("\n").to_lowercase();
        assert!(
            head.starts_with("http/1.1 200") && head.contains("content-type: text/event-stream"),
            "{head}"
        );
        listener
    }

    fn until_blank(&mut self) -> Vec<String> {
        let lines = self.0.by_ref().lines().map(Result::unwrap);
        lines.take_while(|line| !line.is_empty()).collect()
    }

    /// The next message of that name that is as wanted.
    fn next(&mut self, name: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..10_000 {
            let lines = self.until_blank();
            if lines[0] == format!("event: {name}") {
                let data = serde_json::from_str(lines[1].strip_prefix("data: ").unwrap()).unwrap();
                if is_it(&data) {
                    return data;
                }
            }
        }
        panic!("no such {name}");
    }

    fn happened(&mut self, kind: &str, text: &str) -> Value {
        self.next("happened", |event| event["kind"] == kind && event["text"].as_str().unwrap().contains(text))
    }
}

#[test]
fn what_happens_is_told_to_whoever_listens() {
    let apps: Vec<App> = apps(3);
    let balancer = Administered::plain(&apps);
    let mut listener = Listener::begin(&balancer);
    let first = get(balancer.address, "/shop", &[]);
    let home = apps.iter().find(|app| app.name == first.server()).unwrap();
    let numbers = listener.next("sample", |sample| {
        let backends = sample["pools"][0]["backends"].as_array().unwrap();
        backends.iter().any(|backend| backend["requests"] == 1)
    });
    let backends = numbers["pools"][0]["backends"].as_array().unwrap();
    let backend = backends.iter().find(|backend| backend["id"] == home.name.as_str()).unwrap();
    assert_eq!((&backend["state"], &backend["sessions"]["live"]), (&json!("up"), &json!(1)), "{numbers:#}");
    balancer.send("POST", &format!("/v1/pools/app/backends/{}/drain", home.name), &json!({}));
    let drain = listener.happened("drain", "up → draining");
    assert_eq!((&drain["pool"], &drain["backend"]), (&json!("app"), &json!(home.name)));
    listener.next("sample", |sample| sample["differences"].as_array().unwrap().len() == 1);
    home.stop();
    get(balancer.address, "/shop", &[&format!("Cookie: {}", first.cookies())]);
    let lost = listener.happened("lost", "was gone");
    assert_eq!(lost["backend"], home.name.as_str(), "{lost:#}");
    let request = balancer.get(&format!("/v1/requests/{}", lost["request"])).body;
    assert_eq!(request["request"]["outcome"], "lost_after_move", "{request:#}");
    let top = format!("{SHARED}admin: {{ listen: 127.0.0.1:0 }}\n");
    let text = configuration(&apps, &top, "", "    balance: { load_factor: 2 }\n");
    balancer.control.put_in_force(checked(&text, balancer.folder())).unwrap();
    listener.happened("configuration", "configuration reloaded: pool app: settings");
    // Whoever comes late hears what was.
    let mut late = Listener::begin(&balancer);
    assert_eq!(late.happened("lost", "")["number"], lost["number"]);
}

#[test]
fn a_backend_that_loses_its_sessions_at_once_raises_one_alert() {
    let apps: Vec<App> = apps(2);
    let balancer = Administered::plain(&apps);
    let mut users = Vec::new();
    for n in 0.. {
        let first = get(balancer.address, "/shop/cart", &[&format!("User-Agent: {n}")]);
        if first.server() == "app1" {
            users.push(first.cookies());
        }
        if users.len() == 12 {
            break;
        }
    }
    let mut listener = Listener::begin(&balancer);
    apps[0].stop();
    for cookies in &users {
        get(balancer.address, "/shop/cart", &[&format!("Cookie: {cookies}")]);
    }
    let alert = listener.happened("alert", "12 sessions of app1 were lost");
    assert!(alert["text"].as_str().unwrap().contains(", all under /shop: it is down"), "{alert:#}");
    let incident = soon("it is over", || {
        let advice = balancer.get("/v1/advice").body;
        let incidents = advice["incidents"].as_array().unwrap().clone();
        assert!(incidents.len() <= 1, "one incident: {incidents:#?}");
        incidents.into_iter().find(|incident| incident["is_over"] == true)
    });
    assert_eq!(
        (&incident["backend"], &incident["lost_after_move"]),
        (&json!("app1"), &json!(12)),
        "{incident:#}"
    );
    assert_eq!(
        (&incident["lost_at_home"], &incident["restarted"]),
        (&json!(0), &json!(false)),
        "{incident:#}"
    );
    assert_eq!(incident["paths"], json!([{ "path": "/shop", "lost": 12 }]), "{incident:#}");
}

#[test]
fn only_so_many_listen_and_nobody_without_the_token() {
    let apps = apps(1);
    let guarded = Administered::start(&apps, "{ listen: 127.0.0.1:0, token_file: admin.token }");
    assert_eq!(guarded.get("/v1/events").code(), (401, "unauthorized"));
    let balancer = Administered::plain(&apps);
    assert_eq!(balancer.get("/v1/events?all").code(), (400, "bad_query"));
    assert_eq!(balancer.ask_with("DELETE /v1/events", &[], "").code(), (405, "wrong_method"));
    let mut listeners: Vec<_> = (0..16).map(|_| Listener::begin(&balancer)).collect();
    assert_eq!(balancer.get("/v1/events").code(), (503, "too_many"));
    assert_eq!(balancer.get("/v1/status").status, 200, "others are answered");
    for listener in &mut listeners {
        listener.next("sample", |_| true);
    }
    drop(listeners);
    soon("their places are free again", || {
        let mut stream = TcpStream::connect(balancer.admin.unwrap()).unwrap();
        stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        (&status == b"HTTP/1.1 200").then_some(())
    });
}

/// Status, head and body of a file.
fn file(balancer: &Administered, path: &str, host: &str) -> (String, String) {
    let mut stream = TcpStream::connect(balancer.admin.unwrap()).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[test]
fn the_dashboard_is_there_where_it_is_switched_on_and_loads_nothing_from_elsewhere() {
    let apps = apps(1);
    let off = Administered::plain(&apps);
    assert_eq!(off.get("/").code(), (404, "unknown_path"));
    let on = Administered::start(&apps, "{ listen: 127.0.0.1:0, dashboard: true }");
    let (head, page) = file(&on, "/", "localhost");
    assert!(head.starts_with("http/1.1 200") && head.contains("content-type: text/html"), "{head}");
    for word in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
        assert!(head.contains(word), "{head}");
    }
    assert!(
        head.contains("x-content-type-options: nosniff") && head.contains("referrer-policy: no-referrer")
    );
    let named = page.split(['"', '\'']).filter(|word| word.starts_with("dashboard/"));
    let named = named.chain(["dashboard/parts.js", "dashboard/chart.js"]);
    let mut seen = 0;
    for path in named {
        let (head, body) = file(&on, &format!("/{path}"), "localhost");
        assert!(head.starts_with("http/1.1 200"), "{path}: {head}");
        let elsewhere = ["http://", "https://", "@import", "innerHTML", "eval(", "style=\"", "onclick"];
        let found =
            elsewhere.iter().find(|word| body.replace("http://www.w3.org/2000/svg", "").contains(**word));
        assert_eq!(found, None, "{path}");
        seen += 1;
    }
    assert!(seen >= 6, "{page}");
    assert!(!page.contains("style=\"") && !page.contains("http://") && !page.contains("https://"), "{page}");
    let (head, _) = file(&on, "/", "evil.example");
    assert!(head.starts_with("http/1.1 421"), "a page of another name reads nothing: {head}");
    // With a token, the page itself is the same for everybody; the numbers are not.
    let guarded =
        Administered::start(&apps, "{ listen: 127.0.0.1:0, token_file: admin.token, dashboard: true }");
    assert!(file(&guarded, "/", "balancer.internal").0.starts_with("http/1.1 200"));
    assert_eq!(guarded.get("/v1/history").code(), (401, "unauthorized"));
    assert_eq!(guarded.get("/dashboard/").code(), (401, "unauthorized"));
    assert_eq!(guarded.ask_with("GET /v1/history", &[TOKEN], "").status, 200);
}

/// A web hook that answers a first try with 503, and keeps what is posted.
fn web_hook() -> (std::net::SocketAddr, std::sync::mpsc::Receiver<(String, Value)>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, (sender, posted)) = (listener.local_addr().unwrap(), std::sync::mpsc::channel());
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut reader = BufReader::new(stream.unwrap());
            let lines = reader.by_ref().lines().map(Result::unwrap);
            let head = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
            let length = head.to_lowercase().split("content-length: ").nth(1).unwrap().to_owned();
            let mut body = vec![0; length.lines().next().unwrap().parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            let status = if number == 0 { "503 Not Now" } else { "204 No Content" };
            reader
                .get_mut()
                .write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes())
                .unwrap();
            if sender.send((head, serde_json::from_slice(&body).unwrap())).is_err() {
                return;
            }
        }
    });
    (address, posted)
}

#[test]
fn an_alert_is_posted_to_the_web_hook_and_tried_again() {
    let apps: Vec<App> = apps(2);
    let (hook, posted) = web_hook();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hook.token"), "hook-token").unwrap();
    let token = folder.path().join("hook.token");
    let top = format!(
        "{SHARED}alerts: {{ webhook: {{ url: 'http://{hook}/hooks/a?b=1', token_file: '{}' }} }}\n",
        token.display()
    );
    let checked = checked(&configuration(&apps, &top, "", ""), folder.path());
    let bound = steadfast::Steadfast::from_checked(checked).bind().unwrap();
    let address = bound.addresses()[0].1;
    let _running = bound.spawn().unwrap();
    let firsts: Vec<_> =
        (0..40).map(|n| get(address, "/shop/cart", &[&format!("User-Agent: {n}")])).collect();
    let of_app1: Vec<_> = firsts.iter().filter(|first| first.server() == "app1").collect();
    assert!(of_app1.len() >= 5, "{}", of_app1.len());
    apps[0].stop();
    for first in &of_app1 {
        get(address, "/shop/cart", &[&format!("Cookie: {}", first.cookies())]);
    }
    let next = || posted.recv_timeout(Duration::from_secs(60)).expect("it is posted");
    let (refused, (head, began), (_, ended)) = (next(), next(), next());
    assert_eq!(refused.1, began, "the same again");
    assert!(head.starts_with("POST /hooks/a?b=1 HTTP/1.1\n"), "{head}");
    let head = head.to_lowercase();
    assert!(
        head.contains(&format!("host: {hook}")) && head.contains("authorization: bearer hook-token"),
        "{head}"
    );
    assert!(head.contains("content-type: application/json"), "{head}");
    assert_eq!((&began["alert"], &ended["alert"]), (&json!("began"), &json!("ended")));
    assert_eq!((&ended["backend"], &ended["pool"]), (&json!("app1"), &json!("app")), "{ended:#}");
    assert_eq!((&ended["lost"], &ended["lost_after_move"]), (&json!(of_app1.len()), &json!(of_app1.len())));
    assert!(ended["text"].as_str().unwrap().contains("sessions of app1 were lost"), "{ended:#}");
}
