//! The front door, byte by byte: what is refused reaches no backend, and what is good is answered in order.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::support::app::App;
use crate::support::balancer::{Balancer, apps, checked, configuration};
use crate::support::exchange::{Connection, get, request};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n";

fn status(balancer: &Balancer, bytes: &[u8]) -> u16 {
    let mut connection = Connection::open(balancer.address);
    connection.send(bytes);
    connection.receive().map_or(0, |response| response.status)
}

#[test]
fn what_could_be_read_in_two_ways_is_refused_and_reaches_no_backend() {
    let apps = apps(1);
    let balancer = Balancer::plain(&apps);
    let post = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n0\r\n\r\n");
    let bad: Vec<String> = vec![
        post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        post("Content-Length: 5\r\nContent-Length: 5\r\n"),
        post("Content-Length: 5\r\nContent-Length: 6\r\n"),
        post("Content-Length: 5, 5\r\n"),
        post("Content-Length: -5\r\n"),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        post("Transfer-Encoding: chunked, chunked\r\n"),
        post("Transfer-Encoding : chunked\r\n"),
        post("Transfer-Encoding:\x0bchunked\r\n"),
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\nHost: a\n\n".to_owned(),
        format!("{GET}X: a\rb\r\n\r\n"),
        format!("{GET}X: a\0b\r\n\r\n"),
        format!("{GET}X: a\x01b\r\n\r\n"),
        format!("{GET} folded\r\n\r\n"),
        format!("{GET}nocolon\r\n\r\n"),
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
    ];
    for bytes in &bad {
        assert_eq!(status(&balancer, bytes.as_bytes()), 400, "{bytes:?}");
        // The same as the second request of a pipeline.
        let mut connection = Connection::open(balancer.address);
        let before = apps[0].requests();
        connection.send(format!("{GET}\r\n{bytes}").as_bytes());
        assert_eq!(connection.receive().unwrap().status, 200);
        assert_eq!(connection.receive().unwrap().status, 400, "{bytes:?} in a pipeline");
        assert_eq!(apps[0].requests(), before + 1);
    }
    assert_eq!(apps[0].requests(), u64::try_from(bad.len()).unwrap(), "only the good ones");
}

#[test]
fn bad_chunks_end_the_exchange() {
    let apps = apps(1);
    let balancer = Balancer::plain(&apps);
    for chunks in
        ["x\r\n", "5\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "-1\r\n", "fffffffffffffffff\r\n"]
    {
        let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        assert_eq!(status(&balancer, bytes.as_bytes()), 400, "{chunks:?}");
    }
}

#[test]
fn limits_have_their_own_status() {
    let apps = apps(1);
    let limits = "    limits: { head_bytes: 2KiB, header_fields: 5, uri_bytes: 100B, body_bytes: 10B }\n    timeouts: { head: 100ms, idle: 100ms }\n";
    let balancer = Balancer::start(&apps, "", limits, "");
    let long = "a".repeat(3000);
    let table = [
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", &long[..200]), 414),
        (format!("{GET}X: {long}\r\n\r\n"), 431),
        (format!("{GET}{}\r\n", "X: y\r\n".repeat(5)), 431),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n".to_owned(), 413),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_owned(), 501),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n".to_owned(), 505),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n".to_owned(), 405),
        (format!("{GET}X: never ends"), 408),
    ];
    for (bytes, expected) in table {
        assert_eq!(status(&balancer, bytes.as_bytes()), expected, "{}", &bytes[..bytes.len().min(60)]);
    }
    assert_eq!(apps[0].requests(), 0);
    let chunked =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n";
    assert_eq!(status(&balancer, chunked.as_bytes()), 413, "a body whose length was not announced");
    let mut idle = Connection::open(balancer.address);
    idle.send(format!("{GET}\r\n").as_bytes());
    assert_eq!(idle.receive().unwrap().status, 200);
    assert!(idle.bytes().is_empty(), "closed once it was idle for too long");
}

#[test]
fn requests_of_a_pipeline_are_answered_in_order() {
    let apps = apps(1);
    let balancer = Balancer::plain(&apps);
    let mut connection = Connection::open(balancer.address);
    let one = request("POST", "/1", &["Content-Length: 5"]) + "hello";
    let two = request("POST", "/2", &["Transfer-Encoding: chunked"]) + "3\r\nabc\r\n0\r\n\r\n";
    let three = request("GET", "/echo?3", &[]);
    connection.send(format!("{one}{two}{three}{one}").as_bytes());
    for _ in 0..2 {
        assert_eq!(connection.receive().unwrap().status, 200);
    }
    assert!(connection.receive().unwrap().body.starts_with("GET /echo?3 "));
    assert_eq!(connection.receive().unwrap().status, 200);
    // In single bytes, too.
    for byte in format!("{two}{three}").bytes() {
        connection.send(&[byte]);
    }
    assert_eq!(connection.receive().unwrap().status, 200);
    assert!(connection.receive().unwrap().body.starts_with("GET /echo?3 "));
}

#[test]
fn a_client_that_has_said_everything_still_gets_its_answer() {
    let apps = apps(1);
    let balancer = Balancer::plain(&apps);
    let mut connection = Connection::open(balancer.address);
    connection.send(request("GET", "/slow", &[]).as_bytes());
    connection.finish();
    assert_eq!(connection.receive().unwrap().status, 200);
}

#[test]
fn forwarding_headers_are_ours_and_hop_by_hop_ones_stay_here() {
    let apps = apps(1);
    let claims = [
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Proto: https",
        "Forwarded: for=6.6.6.6",
        "X-Forwarded-Port: 1",
        "X_Forwarded_For: 6.6.6.6",
        "X-Forwarded_User: 6.6.6.6",
    ];
    let strict = Balancer::plain(&apps);
    let echo =
        get(strict.address, "/echo", &[&claims[..], &["Connection: X-Secret", "X-Secret: 1"]].concat())
            .body
            .to_lowercase();
    assert!(
        echo.contains("x-forwarded-for: 127.0.0.1\r\n") && echo.contains("x-forwarded-proto: http\r\n"),
        "{echo}"
    );
    assert!(echo.contains("x-forwarded-host: app.test\r\n") && !echo.contains("6.6.6.6"), "{echo}");
    assert!(!echo.contains("x-secret") && !echo.contains("x-forwarded-port"), "{echo}");
    let trusting = Balancer::start(&apps, "", "    trusted_proxies: [127.0.0.0/8]\n", "");
    let echo = get(trusting.address, "/echo", &claims).body.to_lowercase();
    assert!(
        echo.contains("x-forwarded-for: 6.6.6.6, 127.0.0.1\r\n")
            && echo.contains("x-forwarded-proto: https\r\n"),
        "{echo}"
    );
    let answer = get(strict.address, "/hop", &[]);
    assert!(answer.all("keep-alive").is_empty() && answer.all("proxy-connection").is_empty(), "{answer:?}");
}

#[test]
fn a_websocket_passes() {
    let apps = apps(1);
    let balancer =
        Balancer::start(&apps, "", "    timeouts: { body: 100ms }\n", "    timeouts: { read: 100ms }\n");
    let mut connection = Connection::open(balancer.address);
    connection.send(request("GET", "/", &["Connection: Upgrade", "Upgrade: websocket"]).as_bytes());
    let answer = connection.receive().unwrap();
    assert_eq!(answer.status, 101, "{answer:?}");
    // Silent for longer than bodies may be.
    std::thread::sleep(std::time::Duration::from_millis(300));
    connection.send(b"ping");
    assert_eq!(connection.bytes(), b"ping");
}

/// Pingora closes such a tunnel at once (its issue 946).
#[test]
fn a_websocket_passes_whose_answer_is_there_before_its_request() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let head =
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                connection.write_all(head.as_bytes()).unwrap();
                let mut buffer = [0; 1024];
                while let Ok(read @ 1..) = connection.read(&mut buffer) {
                    // Read late, it may come in one piece with the request before it.
                    if buffer[..read].ends_with(b"ping") {
                        connection.write_all(b"pong").unwrap();
                    }
                }
            });
        }
    });
    let app = format!("    backends: [ {{ id: quick, address: \"{address}\" }} ]\n");
    let text = configuration(&[], "", "", "").replace("    backends: [  ]\n", &app);
    let folder = tempfile::tempdir().unwrap();
    let bound = steadfast::Steadfast::from_checked(checked(&text, folder.path())).bind().unwrap();
    let balancer = bound.addresses()[0].1;
    let _running = bound.spawn().unwrap();
    for _ in 0..30 {
        let mut connection = Connection::open(balancer);
        connection.send(request("GET", "/", &["Connection: Upgrade", "Upgrade: websocket"]).as_bytes());
        assert_eq!(connection.receive().unwrap().status, 101);
        connection.send(b"ping");
        assert_eq!(connection.bytes(), b"pong");
    }
}

#[test]
fn too_many_connections_are_closed_and_the_others_are_served() {
    let apps = apps(1);
    let balancer = Balancer::start(&apps, "", "    limits: { connections: 2 }\n", "");
    let mut held: Vec<_> = (0..2).map(|_| Connection::open(balancer.address)).collect();
    for connection in &mut held {
        connection.send(format!("{GET}\r\n").as_bytes());
        assert_eq!(connection.receive().unwrap().status, 200);
    }
    let mut third = Connection::open(balancer.address);
    assert!(third.bytes().is_empty(), "closed at once");
    held[0].send(format!("{GET}\r\n").as_bytes());
    assert_eq!(held[0].receive().unwrap().status, 200);
}

#[test]
fn http_1_0_closes_unless_it_asks_otherwise() {
    let apps: Vec<App> = apps(1);
    let balancer = Balancer::plain(&apps);
    let mut plain = Connection::open(balancer.address);
    plain.send(b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!(plain.receive().unwrap().status, 200);
    assert!(plain.bytes().is_empty());
    let mut kept = Connection::open(balancer.address);
    for _ in 0..2 {
        kept.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(kept.receive().unwrap().status, 200);
    }
}
