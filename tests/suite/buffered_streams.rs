//! What is kept here of streams of HTTP/2, so that slow clients keep no backend waiting.

use std::time::Duration;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};

use crate::support::app::App;
use crate::support::balancer::{Balancer, SHARED, apps};
use crate::support::eventually::eventually;
use crate::support::exchange::get;
use crate::support::http2::{Http2, receive};

/// Steadfast with these buffers, and other keys of the listener.
fn start(apps: &[App], buffers: &str, listener: &str, pool: &str) -> Balancer {
    let listener = format!("    http2: {{ cleartext: true }}\n    buffer: {{ {buffers} }}\n{listener}");
    Balancer::start(apps, SHARED, &listener, pool)
}

/// A request, and the beginning of its body.
async fn begin(client: &Http2, fields: &[(&str, &str)], body: &[u8]) -> (ResponseFuture, SendStream<Bytes>) {
    let mut send = client.send.clone().ready().await.unwrap();
    let (response, mut stream) = send.send_request(client.head("POST", "/plain", fields), false).unwrap();
    stream.send_data(Bytes::copy_from_slice(body), false).unwrap();
    (response, stream)
}

/// The length of the body that a backend saw; of one in chunks, with their frame.
async fn seen(response: ResponseFuture) -> usize {
    receive(response).await.unwrap().0.word("body=").parse().unwrap()
}

#[tokio::test]
async fn slow_senders_hold_no_backend_however_much_they_send() {
    let (apps, folder) = (apps(1), tempfile::tempdir().unwrap());
    let file = format!("folder: \"{}\", file: 1MiB", folder.path().display());
    let memory = format!("request: {{ memory: 4KiB, {file} }}, memory: 1MiB");
    for (length, says) in [(3000, true), (3000, false), (70_000, true), (70_000, false), (400_000, false)] {
        let balancer = start(&apps, &memory, "", "");
        let before = apps[0].requests();
        let announced = (length + 1).to_string();
        let fields = if says { vec![("content-length", announced.as_str())] } else { vec![] };
        let (mut clients, mut slow) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let client = Http2::cleartext(balancer.address).await;
            for _ in 0..20 {
                slow.push(begin(&client, &fields, &vec![b'a'; length]).await);
            }
            clients.push(client);
        }
        // Others are served meanwhile.
        let body = vec![b'a'; length];
        let other =
            clients[0].post("/plain", &[("content-length", &length.to_string())], &body).await.unwrap();
        assert_eq!(other.word("body="), length.to_string());
        assert_eq!(apps[0].requests() - before, 1, "{length} {says}: none of them has reached it");
        for (response, mut stream) in slow {
            stream.send_data(Bytes::from_static(b"a"), true).unwrap();
            let seen = seen(response).await;
            assert!(if says { seen == length + 1 } else { seen > length + 1 }, "{length} {says}: {seen}");
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "files have no name");
}

#[tokio::test]
async fn what_finds_no_room_passes_as_it_comes_and_messages_of_grpc_do() {
    let apps = apps(1);
    for (memory, length, fields) in [
        ("request: { memory: 4KiB }, memory: 1MiB", 70_000, vec![]),
        ("request: { memory: 4KiB }, memory: 1MiB", 5000, vec![("content-length", "5001")]),
        // Room for one of two.
        ("request: { memory: 8KiB }, memory: 8KiB", 6000, vec![]),
        ("request: {}", 5, vec![("content-type", "application/grpc")]),
    ] {
        let balancer = start(&apps, memory, "", "");
        let client = Http2::cleartext(balancer.address).await;
        let before = apps[0].requests();
        let one = begin(&client, &fields, &vec![b'a'; length]).await;
        let two = begin(&client, &fields, &vec![b'a'; length]).await;
        eventually("one has reached the backend", async || (apps[0].requests() > before).then_some(())).await;
        for (response, mut stream) in [one, two] {
            stream.send_data(Bytes::from_static(b"a"), true).unwrap();
            assert!(seen(response).await > length, "{memory}");
        }
    }
}

#[tokio::test]
async fn who_sends_too_much_or_too_slowly_is_told_and_reaches_no_backend() {
    let apps = apps(1);
    let limits = "    limits: { body_bytes: 10KiB }\n    timeouts: { body: 200ms }\n";
    let balancer = start(&apps, "request: {}", limits, "");
    let client = Http2::cleartext(balancer.address).await;
    let (response, _stream) = begin(&client, &[], &[b'a'; 11_000]).await;
    assert_eq!(response.await.unwrap().status(), 413);
    let (response, _stream) = begin(&client, &[], b"slow").await;
    assert_eq!(response.await.unwrap().status(), 408);
    // One that changes its mind.
    let (response, mut stream) = begin(&client, &[], b"never mind").await;
    stream.send_reset(Reason::CANCEL);
    assert!(response.await.is_err());
    assert_eq!(client.post("/plain", &[], b"").await.unwrap().word("body="), "0");
    assert_eq!(apps[0].requests(), 1);
}

/// A page of 1 MiB that is asked for, and of which nothing is read.
async fn slow_reader(client: &Http2) -> RecvStream {
    let mut send = client.send.clone().ready().await.unwrap();
    let (response, _) = send.send_request(client.head("GET", "/page", &[]), true).unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body()
}

/// How much comes, and how it ends.
async fn read(body: &mut RecvStream) -> Result<usize, h2::Error> {
    let mut all = 0;
    while let Some(data) = body.data().await {
        let data = data?;
        all += data.len();
        let _ = body.flow_control().release_capacity(data.len());
    }
    Ok(all)
}

async fn status(balancer: &Balancer) -> u16 {
    let address = balancer.address;
    tokio::task::spawn_blocking(move || get(address, "/plain", &[]).status).await.unwrap()
}

const ONE: &str = "    limits: { connections_per_backend: 1, queue: { wait: 1s } }\n";

#[tokio::test]
async fn slow_readers_hold_no_backend() {
    let apps = apps(1);
    for (buffers, expected) in [
        ("response: 2MiB, memory: 10MiB", [200, 200]),
        ("response: 1200KiB, memory: 1200KiB", [200, 503]),
        ("response: 100KiB, memory: 10MiB", [503, 503]),
    ] {
        let balancer = start(&apps, buffers, "", ONE);
        let client = Http2::cleartext(balancer.address).await;
        let mut late = slow_reader(&client).await;
        assert_eq!(status(&balancer).await, expected[0], "{buffers}");
        if expected[0] == 200 {
            // Of another connection, whose window is its own.
            let mut later = slow_reader(&Http2::cleartext(balancer.address).await).await;
            assert_eq!(status(&balancer).await, expected[1], "{buffers}");
            assert_eq!(read(&mut later).await.unwrap(), 1 << 20, "{buffers}");
        }
        // All of it arrives, however late, and its backend is free then.
        assert_eq!(read(&mut late).await.unwrap(), 1 << 20, "{buffers}");
        assert_eq!(status(&balancer).await, 200, "{buffers}");
    }
}

#[tokio::test]
async fn who_reads_nothing_is_given_up_and_who_leaves_is_forgotten() {
    let apps = apps(1);
    // Room for one of them.
    // Longer than anybody waits in the queue: whoever is held here is not given up for that.
    let listener = "    timeouts: { write: 2s, idle: 10m }\n";
    let balancer = start(&apps, "response: 1200KiB, memory: 1200KiB", listener, ONE);
    let client = Http2::cleartext(balancer.address).await;
    let mut nothing = slow_reader(&client).await;
    assert_eq!(status(&balancer).await, 200);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let error = read(&mut nothing).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::CANCEL), "{error:?}");
    for _ in 0..3 {
        let body = slow_reader(&client).await;
        assert_eq!(status(&balancer).await, 200, "there is room again");
        drop(body);
        // The reset has to arrive.
        assert_eq!(client.get("/plain", &[]).await.unwrap().status, 200);
    }
    let mut gone = Vec::new();
    for _ in 0..3 {
        let client = Http2::cleartext(balancer.address).await;
        gone.push(slow_reader(&client).await);
        assert_eq!(status(&balancer).await, 200, "there is room again");
        client.ended.abort();
        let _ = client.ended.await;
    }
}

#[tokio::test]
async fn a_steady_reader_may_take_longer_than_a_silent_one() {
    let apps = apps(1);
    let balancer = start(&apps, "response: 1200KiB, memory: 1200KiB", "    timeouts: { write: 1s }\n", ONE);
    let client = Http2::cleartext(balancer.address).await;
    let mut body = slow_reader(&client).await;
    let mut all = 0;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let data = body.data().await.unwrap().unwrap();
        all += data.len();
        let _ = body.flow_control().release_capacity(data.len());
    }
    assert_eq!(all + read(&mut body).await.unwrap(), 1 << 20);
}
