//! Where HTTP libraries bite proxies: interim answers, trailers, bodies that are sent again, half-closed connections, pipelines,
//! upgrades, and streams of HTTP/2. What the other files have a test of is not repeated here.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;

use crate::support::backend::{Backend, Spoken};
use crate::support::balancer::{Balancer, SHARED, apps, configuration};
use crate::support::exchange::{Connection, get, request};
use crate::support::http2::{Http2, receive};

/// A backend of HTTP/1 whose connections this does; `turn` counts them from 0.
fn raw_backend(talk: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (talk, count) = (Arc::new(talk), Arc::new(AtomicUsize::new(0)));
    let connections = Arc::clone(&count);
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let (talk, turn) = (Arc::clone(&talk), connections.fetch_add(1, Ordering::SeqCst));
            std::thread::spawn(move || talk(turn, connection));
        }
    });
    (address, count)
}

/// Reads until this has come; gives all of it, or what came before the end.
fn read_until(connection: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), [0; 8192]);
    while !all.windows(end.len()).any(|window| window == end) {
        match connection.read(&mut buffer) {
            Ok(read @ 1..) => all.extend_from_slice(&buffer[..read]),
            Ok(0) | Err(_) => break,
        }
    }
    all
}

/// Steadfast before one backend.
fn before(backend: SocketAddr, listener: &str, pool: &str) -> Balancer {
    before_all(&[backend], listener, pool)
}

fn before_all(backends: &[SocketAddr], listener: &str, pool: &str) -> Balancer {
    let backends: Vec<_> =
        (0..).zip(backends).map(|(n, address)| format!("{{ id: b{n}, address: \"{address}\" }}")).collect();
    let backends = format!("    backends: [ {} ]\n", backends.join(", "));
    let text = configuration(&[], SHARED, listener, pool).replace("    backends: [  ]\n", &backends);
    Balancer::configured(&text)
}

const CLEARTEXT: &str = "    http2: { cleartext: true }\n";

#[tokio::test]
async fn interim_answers_disturb_no_client_of_http_2() {
    let apps = apps(1);
    let balancer = Balancer::start(&apps, SHARED, CLEARTEXT, "");
    let client = Http2::cleartext(balancer.address).await;
    for _ in 0..3 {
        let answer = client.get("/early", &[]).await.unwrap();
        assert_eq!((answer.status, answer.all("x-early")), (200, vec!["1"]));
        assert_eq!(answer.all("set-cookie").len(), 1, "the final answer binds, and it alone");
    }
}

#[test]
fn trailers_of_http_1_stay_here_and_the_connection_goes_on() {
    let (address, _) = raw_backend(|_, mut connection| {
        loop {
            let got = read_until(&mut connection, b"\r\n0\r\n\r\n");
            if got.is_empty() {
                return;
            }
            let (secret, length) = (got.windows(8).any(|window| window == b"X-Secret"), got.len());
            assert!(!secret, "{length} bytes: {}", got.escape_ascii());
            let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n";
            connection.write_all(answer.as_bytes()).unwrap();
        }
    });
    let balancer = before(address, "", "");
    let mut client = Connection::open(balancer.address);
    let asking = request("POST", "/", &["Transfer-Encoding: chunked", "Trailer: X-Secret"])
        + "3\r\nabc\r\n0\r\nX-Secret: 1\r\n\r\n";
    for _ in 0..2 {
        client.send(asking.as_bytes());
        let mut all = Vec::new();
        while !all.windows(5).any(|window| window == b"0\r\n\r\n") {
            let more = client.bytes();
            assert!(!more.is_empty(), "cut off: {}", all.escape_ascii());
            all.extend(more);
        }
        let text = String::from_utf8(all).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("5\r\nhello\r\n0\r\n\r\n"), "{text}");
    }
}

#[test]
fn a_body_is_sent_again_whole_or_not_at_all() {
    for (length, tries) in [(0, 2), (1000, 2), (60_000, 2), (200_000, 1)] {
        // The first connection breaks once all of the request is there, whichever backend's it is.
        let turns = Arc::new(AtomicUsize::new(0));
        let broken = Arc::clone(&turns);
        let talk = move |_, mut connection: TcpStream| {
            let end = if length == 0 { "\r\n\r\n".to_owned() } else { "x".repeat(length) };
            let got = read_until(&mut connection, end.as_bytes());
            // A probe says nothing.
            if got.is_empty() || broken.fetch_add(1, Ordering::SeqCst) == 0 {
                return;
            }
            let body = got.iter().filter(|byte| **byte == b'x').count().to_string();
            let _ = write!(connection, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        };
        let backends = [raw_backend(talk.clone()).0, raw_backend(talk).0];
        let balancer = before_all(&backends, "", "    retries: { attempts: 2 }\n");
        let mut client = Connection::open(balancer.address);
        client.send(request("PUT", "/", &[&format!("Content-Length: {length}")]).as_bytes());
        client.send("x".repeat(length).as_bytes());
        let answer = client.receive().unwrap();
        assert_eq!(turns.load(Ordering::SeqCst), tries, "{length}: {answer:?}");
        if tries == 2 {
            // The host's name has an x, too.
            assert_eq!(answer.status, 200, "{length}: {answer:?}");
            assert!(answer.body.parse::<usize>().unwrap() >= length, "{length}: {answer:?}");
        } else {
            assert_eq!(answer.status, 502, "{length}: {answer:?}");
        }
    }
}

#[test]
fn a_connection_that_its_backend_has_closed_serves_nobody() {
    let (address, connections) = raw_backend(|_, mut connection| {
        if !read_until(&mut connection, b"\r\n\r\n").is_empty() {
            // It says nothing of closing, and closes.
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let balancer = before(address, "", "    retries: { attempts: 0 }\n");
    for n in 1..=20 {
        let mut client = Connection::open(balancer.address);
        let method = if n % 2 == 0 { "POST" } else { "GET" };
        client.send(request(method, "/", &["Content-Length: 0"]).as_bytes());
        assert_eq!(client.receive().unwrap().status, 200, "request {n}");
        // Its end takes a moment to come here.
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 20);
}

#[test]
fn a_request_that_comes_while_another_runs_waits_for_its_turn() {
    let apps = apps(1);
    let balancer = Balancer::plain(&apps);
    let mut client = Connection::open(balancer.address);
    client.send(request("GET", "/slow", &[]).as_bytes());
    std::thread::sleep(Duration::from_millis(100));
    client.send(request("GET", "/echo?second", &[]).as_bytes());
    assert_eq!(client.receive().unwrap().status, 200, "the first is not cut off");
    assert!(client.receive().unwrap().body.starts_with("GET /echo?second "));
}

#[test]
fn a_client_that_has_said_everything_still_hears_the_answer_to_its_body() {
    let (address, _) = raw_backend(|_, mut connection| {
        read_until(&mut connection, b"all");
        std::thread::sleep(Duration::from_millis(200));
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
    });
    let balancer = before(address, "", "");
    let mut client = Connection::open(balancer.address);
    client.send((request("POST", "/", &["Content-Length: 3"]) + "all").as_bytes());
    client.finish();
    assert_eq!(client.receive().unwrap().body, "late");
}

#[test]
fn what_was_said_in_a_tunnel_before_its_end_arrives() {
    let (told, heard) = std::sync::mpsc::channel();
    let (address, _) = raw_backend(move |_, mut connection| {
        read_until(&mut connection, b"\r\n\r\n");
        let head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        connection.write_all(head).unwrap();
        let mut all = Vec::new();
        let _ = connection.read_to_end(&mut all);
        told.send(all).unwrap();
    });
    let balancer = before(address, "", "");
    let mut client = Connection::open(balancer.address);
    client.send(request("GET", "/", &["Connection: Upgrade", "Upgrade: websocket"]).as_bytes());
    assert_eq!(client.receive().unwrap().status, 101);
    let message = vec![b'm'; 300_000];
    client.send(&message);
    client.finish();
    let all = heard.recv_timeout(Duration::from_secs(20)).expect("the backend hears of the end");
    assert_eq!((all.len(), all == message), (300_000, true));
    assert!(client.bytes().is_empty(), "either side's end is the tunnel's");
}

#[test]
fn nothing_but_a_websocket_is_an_upgrade() {
    let apps = apps(1);
    let balancer = Balancer::plain(&apps);
    for upgrade in ["h2c", "TLS/1.0", "websocket, h2c", "websockets"] {
        let fields = [
            "Connection: Upgrade, HTTP2-Settings",
            &format!("Upgrade: {upgrade}"),
            "HTTP2-Settings: AAMAAABk",
        ];
        let echo = get(balancer.address, "/echo", &fields);
        let body = echo.body.to_lowercase();
        assert!(
            echo.status != 200 || !body.contains("upgrade") && !body.contains("http2"),
            "{upgrade}: {body}"
        );
    }
}

#[tokio::test]
async fn no_websocket_is_promised_over_http_2() {
    let apps = apps(1);
    let balancer = Balancer::start(&apps, SHARED, CLEARTEXT, "");
    let client = Http2::cleartext(balancer.address).await;
    // Our settings have come by then.
    assert_eq!(client.get("/plain", &[]).await.unwrap().status, 200);
    assert!(
        !client.send.is_extended_connect_protocol_enabled(),
        "browsers then open one of HTTP/1.1 (RFC 8441)"
    );
}

#[tokio::test]
async fn streams_to_a_backend_share_connections() {
    let backend = Backend::start("app1", Spoken { http2: true, ..Spoken::default() });
    let balancer = before(backend.address, CLEARTEXT, "    http: { version: h2 }\n");
    let client = Http2::cleartext(balancer.address).await;
    // Those that come before there is a connection make one each.
    assert_eq!(client.get("/", &[]).await.unwrap().status, 200);
    let mut waiting = Vec::new();
    for _ in 0..50 {
        let mut send = client.send.clone().ready().await.unwrap();
        let (response, body) = send.send_request(client.head("POST", "/", &[]), false).unwrap();
        waiting.push((response, body));
    }
    // All of them are open before the first ends.
    for (_, body) in &mut waiting {
        body.send_data(Bytes::from_static(b"x"), true).unwrap();
    }
    for (response, _) in waiting {
        assert_eq!(receive(response).await.unwrap().0.status, 200);
    }
    assert_eq!(backend.requests(), 51);
    assert!(backend.connections() <= 4, "{} connections", backend.connections());
}

#[test]
fn who_waits_to_be_asked_for_a_body_gets_through_to_a_backend_that_never_asks() {
    let backend = Backend::start("app1", Spoken { http2: true, ..Spoken::default() });
    let balancer = before(backend.address, "", "    http: { version: h2 }\n");
    let mut client = Connection::open(balancer.address);
    client.send(request("POST", "/", &["Content-Length: 5", "Expect: 100-continue"]).as_bytes());
    // It need not wait for ever (RFC 9110 section 10.1.1).
    std::thread::sleep(Duration::from_millis(300));
    client.send(b"hello");
    assert_eq!(client.receive().unwrap().status, 200);
}

#[tokio::test]
async fn what_a_backend_may_have_done_is_not_done_again() {
    // It reads the request, and answers with what is no HTTP/2 (Pingora's issue 979).
    let (address, connections) = raw_backend(|_, mut connection| {
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let _ = connection.write_all(&settings);
        read_until(&mut connection, b"do it");
        let _ = connection.write_all(&[0xFF; 64]);
        let _ = connection.read(&mut [0; 64]);
    });
    let balancer = before(address, CLEARTEXT, "    http: { version: h2 }\n    retries: { attempts: 3 }\n");
    let client = Http2::cleartext(balancer.address).await;
    let answer = client.post("/", &[], b"do it").await.unwrap();
    assert_eq!((answer.status, connections.load(Ordering::SeqCst)), (502, 1), "{answer:?}");
}

#[test]
fn naming_a_cookie_as_the_connections_moves_no_session() {
    let apps = apps(3);
    let balancer = Balancer::plain(&apps);
    let first = get(balancer.address, "/", &[]);
    let cookies = format!("Cookie: {}", first.cookies());
    for _ in 0..5 {
        // Pingora takes out what is named, before we see what the backend gets (RFC 9110 section 7.6.1).
        let echo = get(balancer.address, "/echo", &[&cookies, "Connection: Cookie"]);
        assert!(!echo.body.to_lowercase().contains("steadfast-"), "{}", echo.body);
        let next = get(balancer.address, "/", &[&cookies, "User-Agent: another", "Connection: Cookie"]);
        assert_eq!(next.server(), first.server());
    }
    let next = get(balancer.address, "/", &[&cookies]);
    assert_eq!((next.server(), next.word("fresh=")), (first.server(), "false"), "the session lives on");
}
