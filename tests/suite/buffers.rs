//! What is kept here, so that slow clients keep no backend waiting.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::balancer::{Balancer, SHARED, apps};
use crate::support::exchange::{Connection, get, request};

/// Two sockets for each client: more than a shell allows by default.
fn many_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}

fn post(length: usize) -> String {
    request("POST", "/plain", &[&format!("Content-Length: {length}")])
}

#[test]
fn five_hundred_slow_senders_hold_no_backend() {
    many_files();
    let apps = apps(1);
    let balancer = Balancer::start(&apps, SHARED, "    buffer: { request: { memory: 4KiB } }\n", "");
    let mut slow: Vec<_> = (0..500).map(|_| Connection::open(balancer.address)).collect();
    for connection in &mut slow {
        connection.send(format!("{}{}", post(3000), "a".repeat(2999)).as_bytes());
    }
    let mut last = Connection::open(balancer.address);
    last.send(format!("{}{}", post(3000), "a".repeat(3000)).as_bytes());
    assert_eq!(last.receive().unwrap().word("body="), "3000");
    assert_eq!(
        (apps[0].requests(), apps[0].connections()),
        (1, 1),
        "none of them holds a backend connection"
    );
    for connection in &mut slow {
        connection.send(b"a");
    }
    for connection in &mut slow {
        assert_eq!(connection.receive().unwrap().word("body="), "3000");
    }
}

#[test]
fn who_sends_in_small_pieces_takes_no_more_memory_than_its_bytes() {
    let apps = apps(1);
    let balancer =
        Balancer::start(&apps, SHARED, "    buffer: { request: { memory: 4KiB }, memory: 8KiB }\n", "");
    let mut connection = Connection::open(balancer.address);
    connection.send(post(1000).as_bytes());
    for _ in 0..99 {
        connection.send(&[b'a'; 10]);
        std::thread::sleep(Duration::from_millis(2));
    }
    let early = apps[0].connections();
    connection.send(&[b'a'; 10]);
    assert_eq!(connection.receive().unwrap().word("body="), "1000");
    assert_eq!(early, 0, "it was gathered to its end");
}

#[test]
fn bodies_go_into_memory_a_file_or_pass_on() {
    let apps = apps(1);
    let folder = tempfile::tempdir().unwrap();
    let file = format!(
        "    buffer: {{ request: {{ memory: 1KiB, folder: \"{}\", file: 50KiB }} }}\n",
        folder.path().display()
    );
    for listener in [
        &file,
        "    buffer: { request: { memory: 1KiB } }\n",
        "    buffer: { request: { memory: 1KiB }, memory: 1KiB }\n",
    ] {
        let balancer = Balancer::start(&apps, SHARED, listener, "");
        let mut connection = Connection::open(balancer.address);
        for length in [1, 1000, 1024, 1025, 40_000, 300_000] {
            connection.send(post(length).as_bytes());
            connection.send(&vec![b'a'; length]);
            assert_eq!(connection.receive().unwrap().word("body="), length.to_string(), "{listener}");
            let chunked = request("POST", "/plain", &["Transfer-Encoding: chunked"]);
            connection.send(format!("{chunked}{length:x}\r\n{}\r\n0\r\n\r\n", "a".repeat(length)).as_bytes());
            let answer = connection.receive().unwrap();
            assert!(
                answer.status == 200 && answer.word("body=").parse::<usize>().unwrap() > length,
                "{answer:?}"
            );
        }
        // Whoever waits to be asked is asked.
        connection.send(request("POST", "/plain", &["Content-Length: 5", "Expect: 100-continue"]).as_bytes());
        assert!(connection.bytes().starts_with(b"HTTP/1.1 100 Continue\r\n\r\n"), "{listener}");
        connection.send(b"hello");
        assert_eq!(connection.receive().unwrap().word("body="), "5");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "files have no name");
}

#[test]
fn who_sends_too_slowly_or_badly_is_told_and_reaches_no_backend() {
    let apps = apps(1);
    let listener = "    buffer: { request: {} }\n    timeouts: { body: 100ms }\n";
    let balancer = Balancer::start(&apps, SHARED, listener, "");
    let mut connection = Connection::open(balancer.address);
    connection.send((post(10) + "slow").as_bytes());
    assert_eq!(connection.receive().unwrap().status, 408);
    let mut connection = Connection::open(balancer.address);
    connection.send((request("POST", "/", &["Transfer-Encoding: chunked"]) + "5\r\nhelloX").as_bytes());
    assert_eq!(connection.receive().unwrap().status, 400);
    assert_eq!(apps[0].requests(), 0);
}

/// A client that asks for a page of 16 MiB, and reads little of it.
fn slow_reader(address: SocketAddr, fields: &[&str]) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut stream: TcpStream = socket.into();
    stream.write_all(request("GET", "/big", fields).as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // Its backend has begun to answer.
    stream.read_exact(&mut [0; 16]).unwrap();
    stream
}

#[test]
fn slow_readers_hold_no_backend() {
    let apps = apps(1);
    let pool = "    limits: { connections_per_backend: 1, queue: { wait: 1s } }\n";
    let holding = "    buffer: { response: 20MiB, memory: 100MiB }\n";
    for (listener, expected) in [(holding, 200), ("", 503)] {
        let balancer = Balancer::start(&apps, SHARED, listener, pool);
        let keeps = slow_reader(balancer.address, &[]);
        assert_eq!(get(balancer.address, "/plain", &[]).status, expected, "{listener}");
        if expected == 200 {
            let closes = slow_reader(balancer.address, &["Connection: close"]);
            assert_eq!(get(balancer.address, "/plain", &[]).status, 200);
            // All of it arrives, however late, and the connection serves another request.
            for (mut stream, closes) in [(keeps, false), (closes, true)] {
                let mut page = Vec::new();
                if closes {
                    stream.read_to_end(&mut page).unwrap();
                } else {
                    stream.write_all(request("GET", "/plain", &["Connection: close"]).as_bytes()).unwrap();
                    stream.read_to_end(&mut page).unwrap();
                    assert!(page.ends_with(b"body=0"), "the second answer");
                }
                assert!(page.iter().filter(|byte| **byte == b'x').count() >= 16 << 20);
            }
        }
    }
}

#[test]
fn events_are_not_delayed_by_a_held_response() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (go_on, told) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        assert!(connection.read(&mut [0; 8192]).unwrap() > 0);
        connection.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n").unwrap();
        told.recv().unwrap();
        connection.write_all(b"3\r\ntwo\r\n0\r\n\r\n").unwrap();
        let _ = told.recv();
    });
    let pool = format!("    backends: [ {{ id: one, address: \"{address}\" }} ]\n");
    let text = crate::support::balancer::configuration(&[], SHARED, "    buffer: { response: 1MiB }\n", "")
        .replace("    backends: [  ]\n", &pool);
    let folder = tempfile::tempdir().unwrap();
    let bound = steadfast::Steadfast::from_checked(crate::support::balancer::checked(&text, folder.path()))
        .bind()
        .unwrap();
    let balancer = bound.addresses()[0].1;
    let _running = bound.spawn().unwrap();
    let mut client = TcpStream::connect(balancer).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client.write_all(request("GET", "/", &[]).as_bytes()).unwrap();
    let mut got = Vec::new();
    let mut until = |word: &str| {
        let mut buffer = [0; 1024];
        while !String::from_utf8_lossy(&got).contains(word) {
            let read = client.read(&mut buffer).unwrap();
            assert!(read > 0, "{}", got.escape_ascii());
            got.extend_from_slice(&buffer[..read]);
        }
    };
    until("one");
    go_on.send(()).unwrap();
    until("two");
}
