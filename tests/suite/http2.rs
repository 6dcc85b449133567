//! HTTP/2 at the front door: sessions, limits, floods, and connections that end politely.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;

use crate::support::app::App;
use crate::support::balancer::{Balancer, SHARED, apps};
use crate::support::eventually::{PATIENCE, eventually};
use crate::support::exchange::{Connection, request};
use crate::support::http2::{Http2, Raw, frame, plain_get, receive};
use crate::support::tls::Authority;

const CLEARTEXT: &str = "    http2: { cleartext: true }\n";

fn cleartext(apps: &[App], rest: &str) -> Balancer {
    Balancer::start(apps, SHARED, &format!("{CLEARTEXT}{rest}"), "")
}

#[tokio::test]
async fn a_session_stays_with_its_cookies_in_crumbs() {
    let (apps, authority) = (apps(3), Authority::new());
    let site = authority.issue("site", &["app.test"], "site");
    let tls = Balancer::start(&apps, SHARED, &format!("    tls: {{ certificates: [ {{ {site} }} ] }}\n"), "");
    let plain = cleartext(&apps, "");
    for secure in [true, false] {
        let client = if secure {
            Http2::tls(tls.address, "app.test", authority.client(&["h2", "http/1.1"], None)).await
        } else {
            Http2::cleartext(plain.address).await
        };
        let first = client.get("/", &[]).await.unwrap();
        assert_eq!(first.status, 200);
        let line = first.all("set-cookie").into_iter().find(|line| line.starts_with("steadfast-")).unwrap();
        assert_eq!(line.contains("; Secure"), secure, "{line}");
        let (session, token) = (first.cookie("JSESSIONID").unwrap(), first.cookie("steadfast-").unwrap());
        // On a connection of its own, so that nothing but the cookies leads home.
        for crumbs in [[&session, &token], [&token, &session]] {
            let client = Http2::cleartext(plain.address).await;
            let fields =
                [("cookie", crumbs[0].as_str()), ("cookie", "other=1"), ("cookie", crumbs[1].as_str())];
            let next = client.get("/", &fields).await.unwrap();
            assert_eq!((next.server(), next.word("fresh=")), (first.server(), "false"));
            let echo = client.get("/echo", &fields).await.unwrap().body;
            let lines: Vec<_> =
                echo.lines().filter(|line| line.to_lowercase().starts_with("cookie:")).collect();
            let mut expected = format!("{session}; other=1");
            if crumbs[0] == &token {
                expected = format!("other=1; {session}");
            }
            let expected = [format!("cookie: {expected}")];
            assert_eq!(lines, expected, "one field, as HTTP/1.1 has it");
        }
    }
}

#[tokio::test]
async fn first_streams_at_once_agree_on_a_backend() {
    let apps = apps(4);
    let balancer = cleartext(&apps, "");
    let client = Http2::cleartext(balancer.address).await;
    let asked = (0..100).map(|_| {
        let send = client.send.clone();
        let head = client.head("GET", "/", &[]);
        tokio::spawn(async move {
            let mut send = send.ready().await.unwrap();
            let (response, _) = send.send_request(head, true).unwrap();
            receive(response).await.unwrap().0
        })
    });
    let asked: Vec<_> = asked.collect();
    let mut servers = BTreeSet::new();
    for answer in asked {
        servers.insert(answer.await.unwrap().server().to_owned());
    }
    assert_eq!(servers.len(), 1, "{servers:?}");
}

#[tokio::test]
async fn bodies_pass_both_ways_and_heads_keep_their_limits() {
    let apps = apps(1);
    let limits = "    limits: { head_bytes: 4KiB, header_fields: 8, uri_bytes: 100B, body_bytes: 200KiB }\n";
    let balancer = cleartext(&apps, limits);
    let client = Http2::cleartext(balancer.address).await;
    let body = vec![b'x'; 150_000];
    assert!(
        client.post("/plain", &[], &body).await.unwrap().body.ends_with(" body=150000") || {
            // Without a length, the backend gets it in chunks, whose frame it counts.
            let answer = client.post("/plain", &[("content-length", "150000")], &body).await.unwrap();
            answer.body.ends_with(" body=150000")
        }
    );
    let long = "a".repeat(200);
    assert_eq!(client.get(&format!("/{long}"), &[]).await.unwrap().status, 414);
    let many: Vec<_> = (0..9).map(|_| ("x-a", "b")).collect();
    assert_eq!(client.get("/", &many).await.unwrap().status, 431);
    let large = "a".repeat(5000);
    assert_eq!(client.get("/", &[("x-a", &large)]).await.unwrap().status, 431);
    let mut send = client.send.clone().ready().await.unwrap();
    let announced = client.head("POST", "/plain", &[("content-length", "300000")]);
    let (response, _body) = send.send_request(announced, false).unwrap();
    assert_eq!(response.await.unwrap().status(), 413);
    // Not announced, it is noticed on the way.
    let unannounced = client.post("/plain", &[], &vec![b'x'; 300_000]).await;
    assert!(unannounced.as_ref().map_or(true, |answer| answer.status == 413), "{unannounced:?}");
    assert_eq!(client.get("/plain", &[]).await.unwrap().status, 200, "the connection goes on");
    let connect = http::Request::builder().method("CONNECT").uri("app.test:80").body(()).unwrap();
    let mut send = client.send.clone().ready().await.unwrap();
    let (response, _body) = send.send_request(connect, false).unwrap();
    assert_eq!(response.await.unwrap().status(), 405);
}

#[test]
fn short_requests_of_http_1_are_served_beside_it() {
    let apps = apps(1);
    let balancer = cleartext(&apps, "");
    // Shorter than the preface, and beginning like it.
    for (bytes, status) in
        [("GET / HTTP/1.0\r\n\r\n", 200), ("PRI / HTTP/1.0\r\n\r\n", 200), ("P\r\n\r\n", 400)]
    {
        let mut connection = Connection::open(balancer.address);
        connection.send(bytes.as_bytes());
        assert_eq!(connection.receive().map(|answer| answer.status), Some(status), "{bytes:?}");
    }
    let mut connection = Connection::open(balancer.address);
    for byte in request("GET", "/plain", &[]).bytes() {
        connection.send(&[byte]);
    }
    assert_eq!(connection.receive().unwrap().status, 200);
    let without = Balancer::plain(&apps);
    let mut connection = Connection::open(without.address);
    connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(connection.receive().unwrap().status, 505, "unless it is switched on");
}

#[test]
fn floods_close_the_connection_and_no_other() {
    let apps = apps(1);
    let balancer = cleartext(&apps, "");
    let get = plain_get();
    let stream = |at: usize| u32::try_from(at).unwrap() * 2 + 1;
    let open = |at: usize| frame(1, 5, stream(at), &get);
    let batch = |bytes: Vec<u8>| move |_: usize| bytes.repeat(100);
    let headers = |flags| frame(1, flags, 1, &get);
    /// What is sent at each turn.
    type Flood<'f> = Box<dyn FnMut(usize) -> Vec<u8> + 'f>;
    let floods: Vec<(&str, Flood<'_>)> = vec![
        ("rapid reset", Box::new(|at| [open(at), frame(3, 0, stream(at), &[0, 0, 0, 8])].concat())),
        ("PING", Box::new(batch(frame(6, 0, 0, &[7; 8])))),
        ("SETTINGS", Box::new(batch(frame(4, 0, 0, &[])))),
        ("PRIORITY", Box::new(batch(frame(2, 0, 1, &[0, 0, 0, 0, 1])))),
        ("WINDOW_UPDATE", Box::new(batch(frame(8, 0, 0, &[0, 0, 0, 1])))),
        ("empty DATA", Box::new(|at| if at == 0 { headers(4) } else { frame(0, 0, 1, &[]).repeat(100) })),
        (
            "CONTINUATION",
            Box::new(
                |at| if at == 0 { headers(1) } else { frame(9, 0, 1, &[0, 1, b'x', 1, b'y']).repeat(100) },
            ),
        ),
        // A field of 4 KiB in the dynamic table, named by one byte each time.
        (
            "HPACK bomb",
            Box::new(|at| {
                let mut block = get.clone();
                if at == 0 {
                    block.extend([0x40, 1, b'x', 0x7F, 0xA1, 0x1E]);
                    block.extend(vec![b'y'; 4000]);
                } else {
                    block.extend(vec![0xBE; 16_000]);
                }
                frame(1, 5, stream(at), &block)
            }),
        ),
        ("unknown frames", Box::new(batch(frame(0xEE, 0, 0, &[1])))),
    ];
    for (name, flood) in floods {
        let closed = Raw::open(balancer.address).gets_closed_by(1_000, flood);
        // A bomb is defused stream by stream.
        assert!(closed || name == "HPACK bomb", "{name}");
        let mut other = Connection::open(balancer.address);
        other.send(request("GET", "/plain", &[]).as_bytes());
        assert_eq!(other.receive().unwrap().status, 200, "{name}");
    }
}

#[test]
fn whoever_says_nothing_is_closed() {
    let apps = apps(1);
    let balancer = cleartext(&apps, "    timeouts: { idle: 200ms, head: 200ms }\n");
    let mut half = TcpStream::connect(balancer.address).unwrap();
    half.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n").unwrap();
    let mut preface = TcpStream::connect(balancer.address).unwrap();
    preface.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    let mut block = Raw::open(balancer.address);
    block.send(&frame(1, 1, 1, &plain_get()));
    for stream in [&mut half, &mut preface, &mut block.0, &mut Raw::open(balancer.address).0] {
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut bytes = Vec::new();
        let end = stream.read_to_end(&mut bytes);
        assert!(end.is_ok() || end.is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock));
    }
}

#[tokio::test]
async fn a_body_that_stands_still_is_given_up_and_grpc_may_be_silent() {
    let apps = apps(1);
    let balancer = cleartext(&apps, "    timeouts: { body: 300ms }\n");
    let client = Http2::cleartext(balancer.address).await;
    let begin = async |fields: &[(&str, &str)]| {
        let mut send = client.send.clone().ready().await.unwrap();
        let (response, mut body) = send.send_request(client.head("POST", "/plain", fields), false).unwrap();
        body.send_data(Bytes::from_static(b"some"), false).unwrap();
        (response, body)
    };
    let (silent, mut talking) = begin(&[("content-type", "application/grpc")]).await;
    let (still, _still) = begin(&[]).await;
    let error = still.await.unwrap_err();
    assert!(error.is_reset(), "{error:?}");
    talking.send_data(Bytes::from_static(b" more"), true).unwrap();
    assert_eq!(receive(silent).await.unwrap().0.status, 200);
}

#[tokio::test]
async fn a_stop_says_goodbye_and_streams_finish() {
    let apps = apps(1);
    let balancer = cleartext(&apps, "    timeouts: { idle: 10m }\n");
    let client = Http2::cleartext(balancer.address).await;
    let idle = Http2::cleartext(balancer.address).await;
    assert_eq!(idle.get("/plain", &[]).await.unwrap().status, 200);
    let running = tokio::spawn({
        let (send, head) = (client.send.clone(), client.head("GET", "/slow", &[]));
        async move {
            let (response, _) = send.ready().await.unwrap().send_request(head, true).unwrap();
            receive(response).await
        }
    });
    eventually("the request is under way", async || (apps[0].requests() == 2).then_some(())).await;
    let stopping = tokio::task::spawn_blocking(move || drop(balancer));
    assert_eq!(running.await.unwrap().unwrap().0.status, 200, "what runs is finished");
    for ended in [client.ended, idle.ended] {
        match tokio::time::timeout(PATIENCE, ended).await.expect("it ends").unwrap() {
            Ok(()) => {}
            Err(error) => assert_eq!(error.reason(), Some(Reason::NO_ERROR), "{error:?}"),
        }
    }
    stopping.await.unwrap();
}
