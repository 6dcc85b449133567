//! Mirrored requests: copies that nobody waits for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use crate::support::app::App;
use crate::support::backend::Backend;
use crate::support::balancer::{Balancer, SHARED, apps};
use crate::support::eventually::soon;
use crate::support::exchange::{Connection, get, request};
use crate::support::tls::Authority;
use crate::upstream::server;

/// Gives each request that it gets; answers none unless told to.
fn recorder(answers: bool) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (send, requests) = channel();
    thread::spawn(move || {
        let mut silent = Vec::new();
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { continue };
            let send = send.clone();
            if !answers {
                silent.push(connection.try_clone().unwrap());
            }
            thread::spawn(move || {
                let mut read = Vec::new();
                let mut buffer = [0; 65536];
                while let Ok(length @ 1..) = connection.read(&mut buffer) {
                    read.extend_from_slice(&buffer[..length]);
                    let text = String::from_utf8_lossy(&read).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length =
                        head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok());
                    if body.len() < length.unwrap_or(0) {
                        continue;
                    }
                    let _ = send.send(text);
                    read.clear();
                    if answers {
                        let _ = connection.write_all(
                            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nSet-Cookie: x=mirror\r\n\r\nmirror",
                        );
                    }
                }
            });
        }
    });
    (address, requests)
}

fn start(apps: &[App], shadow: SocketAddr, settings: &str) -> Balancer {
    let app = &apps[0];
    Balancer::configured(&format!(
        "version: 1\nstate_dir: state\n{SHARED}listeners:\n  - name: web\n    address: 127.0.0.1:0\n    routes:\n\
         \x20     - {{ pool: app, mirror: {{ pool: shadow, {settings} }} }}\n\
         pools:\n  app: {{ backends: [{{ id: app1, address: \"{}\" }}], affinity: {{ application_cookie: JSESSIONID }} }}\n  \
         shadow: {{ backends: [{{ id: s1, address: \"{shadow}\" }}] }}\n",
        app.address
    ))
}

fn post(balancer: &Balancer, path: &str, body: &str) -> u16 {
    let mut connection = Connection::open(balancer.address);
    let length = format!("Content-Length: {}", body.len());
    connection.send((request("POST", path, &[&length]) + body).as_bytes());
    connection.receive().unwrap().status
}

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn the_other_pool_gets_the_request_and_the_client_nothing_of_its_answer() {
    let apps = apps(1);
    let (shadow, requests) = recorder(true);
    let balancer = start(&apps, shadow, "share: 100%");
    let answer = get(balancer.address, "/a?b", &["X-A: 1"]);
    assert_eq!(answer.server(), "app1");
    assert!(answer.all("set-cookie").iter().all(|line| !line.contains("mirror")), "{answer:?}");
    let copy = requests.recv_timeout(PATIENCE).unwrap();
    assert!(
        copy.starts_with("GET /a?b HTTP/1.1\r\n") && copy.contains("X-Forwarded-For: 127.0.0.1"),
        "{copy}"
    );
    assert_eq!(post(&balancer, "/plain", "a body"), 200);
    assert!(requests.recv_timeout(PATIENCE).unwrap().ends_with("\r\n\r\na body"));
    let mut connection = Connection::open(balancer.address);
    let chunks = "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    connection.send((request("POST", "/plain", &["Transfer-Encoding: chunked"]) + chunks).as_bytes());
    assert_eq!(connection.receive().unwrap().status, 200);
    let copy = requests.recv_timeout(PATIENCE).unwrap();
    assert!(copy.ends_with("\r\n\r\nabcde") && copy.contains("Content-Length: 5"), "{copy}");
}

#[test]
fn a_long_body_is_not_copied() {
    let apps = apps(1);
    let (shadow, requests) = recorder(true);
    let balancer = start(&apps, shadow, "body_bytes: 10B");
    assert_eq!(post(&balancer, "/plain?long", "eleven byte"), 200);
    let mut connection = Connection::open(balancer.address);
    let chunks = "b\r\neleven byte\r\n0\r\n\r\n";
    connection.send((request("POST", "/plain?chunked", &["Transfer-Encoding: chunked"]) + chunks).as_bytes());
    assert_eq!(connection.receive().unwrap().status, 200);
    assert_eq!(post(&balancer, "/plain?short", "ten bytes!"), 200);
    let copies = || std::iter::from_fn(|| requests.recv_timeout(Duration::from_millis(300)).ok());
    let first = requests.recv_timeout(PATIENCE).unwrap();
    let targets: Vec<_> = std::iter::once(first)
        .chain(copies())
        .map(|copy| copy.split(' ').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(targets, ["/plain?short"]);
}

#[test]
fn a_silent_pool_slows_nobody_and_takes_a_bounded_number() {
    let apps = apps(1);
    let (shadow, requests) = recorder(false);
    let balancer = start(&apps, shadow, "at_once: 3");
    for _ in 0..20 {
        assert_eq!(get(balancer.address, "/plain", &[]).status, 200);
    }
    for _ in 0..3 {
        requests.recv_timeout(PATIENCE).unwrap();
    }
    assert!(requests.recv_timeout(Duration::from_millis(200)).is_err(), "a fourth would be one too many");
}

#[test]
fn a_share_is_a_share() {
    let apps = apps(1);
    let (shadow, requests) = recorder(true);
    let balancer = start(&apps, shadow, "share: 0%");
    assert_eq!(get(balancer.address, "/plain", &[]).status, 200);
    assert!(requests.recv_timeout(Duration::from_millis(200)).is_err());
}

#[test]
fn a_copy_over_tls_trusts_whom_the_balancer_trusts() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.issue("app", &["app.internal"], "app");
    let shadow = Backend::start("shadow", server(&authority, "app", &["http/1.1"], None));
    let (apps, mut connections) = (apps(1), 0);
    for authority in [&other, &authority] {
        let balancer = Balancer::configured(&format!(
            "version: 1\nstate_dir: state\n{SHARED}server: {{ ca_file: '{}' }}\nlisteners:\n  - name: web\n    address: 127.0.0.1:0\n    \
             routes: [ {{ pool: app, mirror: {{ pool: shadow }} }} ]\npools:\n  app: {{ backends: [ {{ id: app1, address: '{}' }} ] }}\n  \
             shadow: {{ backends: [ {{ id: s1, address: '{}' }} ], tls: {{ sni: app.internal }} }}\n",
            authority.path("ca.pem").display(),
            apps[0].address,
            shadow.address
        ));
        assert_eq!(get(balancer.address, "/plain", &[]).status, 200);
        connections += 1;
        soon("a copy is tried", || (shadow.connections() == connections).then_some(()));
    }
    soon("the second one arrives", || (shadow.requests() == 1).then_some(()));
}
