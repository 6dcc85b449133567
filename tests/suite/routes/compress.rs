//! Responses written shorter, or written out.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::balancer::{Balancer, SHARED};
use crate::support::exchange::{Connection, request};

fn text() -> Vec<u8> {
    (0..2_000).flat_map(|n| format!("line {n} of a text that is worth the trouble\n").into_bytes()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn ungzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).unwrap();
    out
}

/// Answers by its path; `/stream` waits for a word between two pieces.
fn backend() -> (SocketAddr, Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (go, wait) = channel();
    let wait = Arc::new(Mutex::new(wait));
    thread::spawn(move || {
        for connection in listener.incoming() {
            let wait = Arc::clone(&wait);
            thread::spawn(move || talk(connection.unwrap(), &wait));
        }
    });
    (address, go)
}

fn talk(mut connection: TcpStream, wait: &Mutex<Receiver<()>>) {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let length = connection.read(&mut buffer).unwrap_or(0);
        if length == 0 {
            return;
        }
        head.extend_from_slice(&buffer[..length]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let (status, fields, body) = match path {
        "/small" => (200, "Content-Type: text/plain", b"short".to_vec()),
        "/image" => (200, "Content-Type: image/png", text()),
        "/kept" => (200, "Content-Type: text/plain\r\nCache-Control: max-age=1, no-transform", text()),
        "/gzip" => (200, "Content-Type: text/plain\r\nContent-Encoding: gzip\r\nETag: \"g\"", gzip(&text())),
        "/deflate" => (200, "Content-Type: text/plain\r\nContent-Encoding: deflate", text()),
        "/part" => (206, "Content-Type: text/plain\r\nContent-Range: bytes 0-9/10", text()),
        "/events" => (200, "Content-Type: text/event-stream", text()),
        "/bomb" => (200, "Content-Type: text/plain\r\nContent-Encoding: gzip", gzip(&vec![0; 64 << 20])),
        "/same" => (304, "ETag: \"abc\"", Vec::new()),
        "/stream" => {
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
            wait.lock().unwrap().recv().unwrap();
            let _ = connection.write_all(b"6\r\nsecond\r\n0\r\n\r\n");
            return;
        }
        _ => (
            200,
            "Content-Type: text/plain; charset=utf-8\r\nETag: \"abc\"\r\nAccept-Ranges: bytes\r\nVary: Origin",
            text(),
        ),
    };
    let length = if status == 304 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let _ = connection.write_all(
        format!("HTTP/1.1 {status} X\r\n{length}Connection: close\r\n{fields}\r\n\r\n").as_bytes(),
    );
    if method != "HEAD" {
        let _ = connection.write_all(&body);
    }
}

fn start(settings: &str) -> (Balancer, Sender<()>) {
    let (address, go) = backend();
    let text = format!(
        "version: 1\nstate_dir: state\n{SHARED}listeners:\n  - name: web\n    address: 127.0.0.1:0\n    compression: {settings}\n    \
         routes: [ {{ pool: app }} ]\npools:\n  app: {{ backends: [{{ id: a, address: \"{address}\" }}], affinity: {{ mode: none }} }}\n"
    );
    (Balancer::configured(&text), go)
}

/// Head and body as curl gets them; the body as it came.
fn curl(balancer: &Balancer, path: &str, arguments: &[&str]) -> (String, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let (head, body) = (folder.path().join("head"), folder.path().join("body"));
    let url = format!("http://{}{path}", balancer.address);
    let status = Command::new("curl")
        .args(["-s", "-D"])
        .arg(&head)
        .arg("-o")
        .arg(&body)
        .args(arguments)
        .arg(url)
        .status();
    let _ = status.unwrap();
    let head = std::fs::read_to_string(head).unwrap_or_default().to_ascii_lowercase();
    (head, std::fs::read(body).unwrap_or_default())
}

fn accept(coding: &str) -> [String; 2] {
    ["-H".to_owned(), format!("Accept-Encoding: {coding}")]
}

#[test]
fn clients_get_the_coding_that_they_like_best() {
    let (balancer, _go) = start("{}");
    for (field, coding) in
        [("gzip", "gzip"), ("br;q=0.9, gzip;q=0.5", "br"), ("gzip, deflate, br, zstd", "zstd")]
    {
        let [flag, value] = accept(field);
        let (head, body) = curl(&balancer, "/text", &[&flag, &value]);
        assert!(head.contains(&format!("\r\ncontent-encoding: {coding}\r\n")), "{field}: {head}");
        assert!(!head.contains("content-length") && !head.contains("accept-ranges"), "{head}");
        assert!(head.contains("\r\netag: w/\"abc\"\r\n"), "the bytes are others: {head}");
        assert!(
            head.contains("\r\nvary: origin\r\n") && head.contains("\r\nvary: accept-encoding\r\n"),
            "{head}"
        );
        assert!(body.len() < text().len() / 3, "{} bytes", body.len());
        let plain = match coding {
            "gzip" => ungzip(&body),
            "zstd" => zstd::decode_all(&*body).unwrap(),
            _ => {
                let mut plain = Vec::new();
                brotli::Decompressor::new(&*body, 4096).read_to_end(&mut plain).unwrap();
                plain
            }
        };
        assert!(plain == text(), "{coding}");
    }
    let (_, body) = curl(&balancer, "/text", &["--compressed"]);
    assert!(body == text(), "curl reads what it asked for");
}

#[test]
fn what_is_not_to_be_compressed_goes_as_it_is() {
    let (balancer, _go) = start("{}");
    let [flag, value] = accept("gzip");
    for (path, body) in [
        ("/small", b"short".to_vec()),
        ("/image", text()),
        ("/kept", text()),
        ("/gzip", gzip(&text())),
        ("/deflate", text()),
        ("/part", text()),
        ("/events", text()),
    ] {
        let (head, found) = curl(&balancer, path, &[&flag, &value]);
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{path}: {head}");
        assert!(found == body, "{path}");
    }
    for arguments in
        [&["-H", "Accept-Encoding: gzip;q=0"][..], &[], &["-H", "Accept-Encoding: gzip", "--http1.0"]]
    {
        let (head, body) = curl(&balancer, "/text", arguments);
        assert!(
            !head.contains("content-encoding") && head.contains("etag: \"abc\""),
            "{arguments:?}: {head}"
        );
        assert!(body == text());
    }
    let (head, _) = curl(&balancer, "/text", &[]);
    assert!(head.contains("vary: accept-encoding"), "a cache has to know, whoever asks first: {head}");
    let (head, _) =
        curl(&balancer, "/text", &["-H", "Accept-Encoding: gzip", "-H", "Cache-Control: no-transform"]);
    assert!(!head.contains("content-encoding"), "{head}");
}

#[test]
fn heads_and_validators_are_those_of_the_compressed_response() {
    let (balancer, _go) = start("{}");
    let (head, _) = curl(&balancer, "/text", &["-I", "-H", "Accept-Encoding: gzip"]);
    assert!(
        head.contains("content-encoding: gzip")
            && head.contains("etag: w/\"abc\"")
            && !head.contains("content-length"),
        "{head}"
    );
    let (head, _) =
        curl(&balancer, "/same", &["-H", "Accept-Encoding: gzip", "-H", "If-None-Match: W/\"abc\""]);
    assert!(head.starts_with("http/1.1 304") && head.contains("etag: w/\"abc\""), "{head}");
    let (head, _) = curl(&balancer, "/same", &["-H", "If-None-Match: \"abc\""]);
    assert!(head.contains("etag: \"abc\""), "{head}");
}

#[test]
fn a_stream_is_passed_on_piece_by_piece() {
    let (balancer, go) = start("{}");
    let mut connection = Connection::open(balancer.address);
    connection.send(request("GET", "/stream", &["Accept-Encoding: gzip", "Connection: close"]).as_bytes());
    let mut raw = Vec::new();
    let mut first = Vec::new();
    while first != b"first" {
        raw.extend(connection.bytes());
        let body = unchunked(&raw);
        first.clear();
        // What is there so far: the decoder's complaint about the missing end is no matter.
        let _ = flate2::read::GzDecoder::new(&*body).read_to_end(&mut first);
    }
    go.send(()).unwrap();
    loop {
        let more = connection.bytes();
        if more.is_empty() {
            break;
        }
        raw.extend(more);
    }
    assert_eq!(ungzip(&unchunked(&raw)), b"firstsecond");
}

/// The body behind a head, without its chunk sizes; as much as there is of it.
fn unchunked(raw: &[u8]) -> Vec<u8> {
    let Some(start) = raw.windows(4).position(|end| end == b"\r\n\r\n") else { return Vec::new() };
    let mut rest = &raw[start + 4..];
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|end| end == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        let from = end + 2;
        body.extend_from_slice(&rest[from..(from + length).min(rest.len())]);
        rest = rest.get(from + length + 2..).unwrap_or_default();
        if length == 0 {
            break;
        }
    }
    body
}

#[test]
fn a_client_that_cannot_read_it_gets_it_written_out() {
    let (balancer, _go) = start("{ decompress: true }");
    let (head, body) = curl(&balancer, "/gzip", &[]);
    assert!(!head.contains("content-encoding") && head.contains("vary: accept-encoding"), "{head}");
    assert!(head.contains("etag: w/\"g\""), "{head}");
    assert!(body == text());
    let (head, body) = curl(&balancer, "/gzip", &["-H", "Accept-Encoding: gzip"]);
    assert!(head.contains("content-encoding: gzip") && head.contains("etag: \"g\""), "{head}");
    assert!(body == gzip(&text()));
    let (_, bomb) = curl(&balancer, "/bomb", &[]);
    assert!(bomb.len() < 64 << 20, "what grows beyond measure ends: {} bytes", bomb.len());
}

#[test]
fn without_room_a_response_goes_as_it_is() {
    let (balancer, go) = start("{ at_once: 1 }");
    let mut connection = Connection::open(balancer.address);
    connection.send(request("GET", "/stream", &["Accept-Encoding: gzip"]).as_bytes());
    assert!(!connection.bytes().is_empty());
    let (head, body) = curl(&balancer, "/text", &["-H", "Accept-Encoding: gzip"]);
    assert!(!head.contains("content-encoding"), "{head}");
    assert!(body == text());
    go.send(()).unwrap();
}
