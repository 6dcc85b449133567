//! Backends that answer what is no HTTP, or HTTP in two ways: clients get a good answer, an error, or the end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::support::balancer::{SHARED, checked, configuration};

/// A backend that answers the first request of each connection with these bytes, and then with the others for ever; later
/// requests on it with a body of their own.
fn backend(answer: Vec<u8>, forever: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 8192];
                let _ = connection.read(&mut buffer);
                let _ = connection.write_all(&answer);
                while !forever.is_empty() && connection.write_all(forever).is_ok() {}
                while connection.read(&mut buffer).is_ok_and(|read| read > 0) {
                    let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond");
                }
            });
        }
    });
    address
}

struct Before {
    address: SocketAddr,
    _running: steadfast::Running,
    _folder: tempfile::TempDir,
}

/// Steadfast before such a backend.
fn before(backend: SocketAddr) -> Before {
    let pool =
        format!("    backends: [ {{ id: one, address: \"{backend}\" }} ]\n    retries: {{ attempts: 0 }}\n");
    let text =
        configuration(&[], SHARED, "", "    timeouts: { read: 1s }\n").replace("    backends: [  ]\n", &pool);
    let folder = tempfile::tempdir().unwrap();
    let bound = steadfast::Steadfast::from_checked(checked(&text, folder.path())).bind().unwrap();
    let address = bound.addresses()[0].1;
    Before { address, _running: bound.spawn().unwrap(), _folder: folder }
}

/// All that a client gets for two requests on one connection.
fn exchange(address: SocketAddr, version: &str) -> Vec<u8> {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let request = |fields: &str| format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
    connection.write_all((request("") + &request("Connection: close\r\n")).as_bytes()).unwrap();
    let mut got = Vec::new();
    // An end by reset is an end, too.
    let _ = connection.take(8_000_000).read_to_end(&mut got);
    got
}

/// The heads of a connection's answers, each well-formed; panics where one is not.
fn heads(got: &[u8], what: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let mut rest = got;
    while !rest.is_empty() {
        let end = rest.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("{what}: no head in {}", rest.escape_ascii()));
        let head = String::from_utf8(rest[..end].to_vec()).unwrap();
        for line in head.split("\r\n").skip(1) {
            assert!(!line.contains(['\0', '\r', '\n']) && !line.starts_with([' ', '\t']), "{what}: {line:?}");
            let name = line.split(':').next().unwrap();
            assert!(!name.contains(char::is_whitespace), "{what}: {line:?}");
        }
        let values = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            let found = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_ascii_lowercase()).collect::<Vec<_>>()
        };
        let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
        assert!(lengths.len() + codings.len() <= 1, "{what}: two framings: {head}");
        rest = &rest[end + 4..];
        if let Some(length) = lengths.first() {
            let length: usize = length.parse().unwrap_or_else(|_| panic!("{what}: {head}"));
            // An answer may break off: the client sees that, as its length was announced.
            rest = rest.get(length..).unwrap_or_default();
        } else if codings.first().is_some_and(|coding| coding == "chunked") {
            let end = rest.windows(5).position(|window| window == b"0\r\n\r\n");
            rest = end.map_or(&[][..], |end| &rest[end + 5..]);
        } else if !head.starts_with("HTTP/1.1 1") && !head.contains(" 204 ") && !head.contains(" 304 ") {
            rest = &[];
        }
        heads.push(head);
    }
    heads
}

#[test]
fn what_a_backend_says_in_two_ways_reaches_no_client() {
    let ok = |fields: &str, body: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}").into_bytes();
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON";
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("a folded line", ok("X: a\r\n b\r\nContent-Length: 2\r\n", "ok")),
        ("a folded framing field", ok("X: a\r\n Content-Length: 5\r\nContent-Length: 2\r\n", "ok")),
        ("a NUL in a value", ok("X: a\0b\r\nContent-Length: 2\r\n", "ok")),
        ("a NUL in a name", ok("X\0: ab\r\nContent-Length: 2\r\n", "ok")),
        ("a bare CR in a value", ok("X: a\rContent-Length: 9\r\nContent-Length: 2\r\n", "ok")),
        ("bare LFs", b"HTTP/1.1 200 OK\nX: y\nContent-Length: 2\n\nok".to_vec()),
        ("a blank before the colon", ok("X : y\r\nContent-Length : 2\r\n", "ok")),
        (
            "length and coding",
            ok("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "2\r\nok\r\n0\r\n\r\n"),
        ),
        ("two lengths", ok("Content-Length: 2\r\nContent-Length: 51\r\n", &format!("ok{poison}"))),
        ("two equal lengths", ok("Content-Length: 2\r\nContent-Length: 2\r\n", "ok")),
        ("a list of lengths", ok("Content-Length: 2, 2\r\n", "ok")),
        ("a negative length", ok("Content-Length: -2\r\n", "ok")),
        ("a length of words", ok("Content-Length: two\r\n", "ok")),
        (
            "two codings",
            ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "2\r\nok\r\n0\r\n\r\n"),
        ),
        ("an unknown coding", ok("Transfer-Encoding: x\r\nContent-Length: 2\r\n", "ok")),
        ("an obscure coding", ok("Transfer-Encoding: \x0bchunked\r\nContent-Length: 2\r\n", "ok")),
        ("a bad chunk", ok("Transfer-Encoding: chunked\r\n", "x\r\nok\r\n0\r\n\r\n")),
        ("a bare LF in chunks", ok("Transfer-Encoding: chunked\r\n", "2\nok\n0\n\n")),
        ("bytes behind the body", ok("Content-Length: 2\r\n", &format!("ok{poison}"))),
        (
            "bytes behind the chunks",
            ok("Transfer-Encoding: chunked\r\n", &format!("2\r\nok\r\n0\r\n\r\n{poison}")),
        ),
        ("a body behind 204", format!("HTTP/1.1 204 No Content\r\n\r\n{poison}").into_bytes()),
        ("a body behind 304", format!("HTTP/1.1 304 Not Modified\r\n\r\n{poison}").into_bytes()),
        (
            "a switch that nobody asked for",
            format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n{poison}").into_bytes(),
        ),
        ("no status line", b"hello\r\n\r\n".to_vec()),
        ("a status of words", b"HTTP/1.1 OK\r\n\r\n".to_vec()),
        ("a status of four digits", b"HTTP/1.1 2000 OK\r\n\r\n".to_vec()),
        ("another version", b"HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()),
        ("a line without a colon", ok("nocolon\r\nContent-Length: 2\r\n", "ok")),
        ("nothing", Vec::new()),
    ];
    for (what, answer) in table {
        let balancer = before(backend(answer, b""));
        let got = exchange(balancer.address, "1.1");
        let heads = heads(&got, what);
        assert!(!got.windows(6).any(|window| window == b"POISON"), "{what}: {}", got.escape_ascii());
        assert!(!heads.is_empty(), "{what}: the client is told something");
    }
}

#[test]
fn endless_heads_and_interim_answers_end() {
    let endless: [(&str, &[u8], &'static [u8]); 4] = [
        ("interim answers", b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        ("continues", b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ("fields", b"HTTP/1.1 200 OK\r\n", b"X: yyyyyyyyyyyyyy\r\n"),
        ("a status line", b"HTTP/1.1 200 O", b"KKKKKKKKKKKKKK"),
    ];
    for (what, start, part) in endless {
        let balancer = before(backend(start.to_vec(), part));
        let got = exchange(balancer.address, "1.1");
        let heads = heads(&got, what);
        assert!(heads.last().unwrap().contains(" 502 "), "endless {what}: {}", heads.last().unwrap());
        assert!(heads.len() < 40, "endless {what}: {} heads", heads.len());
    }
}

#[test]
fn http_1_0_gets_no_interim_answers() {
    let answer =
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let address = backend(answer.as_bytes().to_vec(), b"");
    let balancer = before(address);
    let got = String::from_utf8(exchange(balancer.address, "1.1")).unwrap();
    assert!(got.contains(" 103 "), "{got}");
    let old = String::from_utf8(exchange(balancer.address, "1.0")).unwrap();
    assert!(!old.contains(" 103 ") && old.contains(" 200 "), "{old}");
}
