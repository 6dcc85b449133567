//! How backends are spoken to: TLS, HTTP/2, gRPC, the PROXY protocol, and tunnels that are silent.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::server::WebPkiClientVerifier;

use crate::support::backend::{Backend, Spoken};
use crate::support::balancer::{Balancer, SHARED};
use crate::support::eventually::eventually;
use crate::support::exchange::{Connection, get, request};
use crate::support::http2::{Http2, receive};
use crate::support::tls::Authority;

fn text(backends: &[&Backend], listener: &str, pool: &str) -> String {
    let backends: Vec<_> =
        backends.iter().map(|it| format!("{{ id: {}, address: \"{}\" }}", it.name, it.address)).collect();
    format!(
        "version: 1\nstate_dir: state\n{SHARED}listeners:\n  - name: web\n    address: 127.0.0.1:0\n    routes: [ {{ pool: app }} ]\n\
         {listener}pools:\n  app:\n    backends: [ {} ]\n    affinity: {{ application_cookie: JSESSIONID }}\n{pool}",
        backends.join(", ")
    )
}

/// A server with a certificate of the authority's, that asks for one of `clients` where there are any.
pub(crate) fn server(
    authority: &Authority,
    file: &str,
    alpn: &[&str],
    clients: Option<&Authority>,
) -> Spoken {
    let (chain, key) = authority.read(file);
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(clients.read_ca().remove(0)).unwrap();
            let provider = Arc::new(default_provider());
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Spoken { tls: Some(Arc::new(config)), ..Spoken::default() }
}

#[test]
fn backends_are_verified_and_shown_our_certificate() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.issue("app", &["app.internal"], "app");
    authority.issue("us", &["us"], "the balancer");
    let backend = Backend::start("app1", server(&authority, "app", &["http/1.1"], Some(&authority)));
    let file = |authority: &Authority, name: &str| authority.path(name).display().to_string();
    let (ca, wrong_ca) = (file(&authority, "ca.pem"), file(&other, "ca.pem"));
    let ours = format!("cert: {}, key: {}", file(&authority, "us.pem"), file(&authority, "us.key"));
    let table = [
        (format!("sni: app.internal, ca: {ca}, {ours}"), 200),
        (format!("sni: app.internal, ca: {wrong_ca}, {ours}"), 503),
        (format!("sni: other.internal, ca: {ca}, {ours}"), 503),
        // The address is no name of the certificate.
        (format!("ca: {ca}, {ours}"), 503),
        // The system trusts no authority of this test.
        (format!("sni: app.internal, {ours}"), 503),
        (format!("verify: false, {ours}"), 200),
        (format!("sni: app.internal, ca: {ca}"), 503),
    ];
    for (tls, status) in table {
        let balancer = Balancer::configured(&text(&[&backend], "", &format!("    tls: {{ {tls} }}\n")));
        let answer = get(balancer.address, "/", &[]);
        // Without a handshake there is no backend.
        let failed = matches!(answer.status, 502 | 503);
        assert_eq!(failed, status == 503, "{tls}: {}", answer.body);
        if status == 200 {
            assert!(answer.body.contains("client=CN=the balancer,O=Example http=h1"), "{}", answer.body);
            if tls.contains("sni") {
                assert!(answer.body.contains("sni=app.internal"), "{}", answer.body);
            }
        }
    }
}

#[test]
fn other_settings_share_no_connection() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.issue("app", &["app.internal"], "app");
    let backend = Backend::start("app1", server(&authority, "app", &[], None));
    let ca = |authority: &Authority| authority.path("ca.pem").display().to_string();
    let pool = |ca: &str| text(&[&backend], "", &format!("    tls: {{ sni: app.internal, ca: {ca} }}\n"));
    let balancer = Balancer::configured(&pool(&ca(&authority)));
    // A connection is free for the next request a moment after the answer has reached the client.
    let shared = |_| {
        let before = backend.connections();
        assert_eq!(get(balancer.address, "/", &[]).status, 200);
        before > 0 && backend.connections() == before
    };
    assert!((0..100).any(shared), "one connection serves several requests");
    // A connection from before must serve nobody once other authorities are trusted.
    balancer.put_in_force(&pool(&ca(&other)));
    assert!(get(balancer.address, "/", &[]).status >= 502);
    balancer.put_in_force(&pool(&ca(&authority)));
    eventually_serves(&balancer);
}

/// The backend may be thought down for a moment.
fn eventually_serves(balancer: &Balancer) {
    for _ in 0..1000 {
        if get(balancer.address, "/", &[]).status == 200 {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it never serves");
}

#[tokio::test]
async fn http2_is_spoken_to_backends_where_it_is_wanted() {
    let authority = Authority::new();
    authority.issue("app", &["app.internal"], "app");
    let ca = authority.path("ca.pem").display().to_string();
    let tls = format!("    tls: {{ sni: app.internal, ca: {ca} }}\n");
    let cleartext = Spoken { http2: true, ..Spoken::default() };
    let table = [
        (cleartext, String::new(), "h2", "h2"),
        (server(&authority, "app", &["h2", "http/1.1"], None), tls.clone(), "h2", "h2"),
        (server(&authority, "app", &["h2", "http/1.1"], None), tls.clone(), "auto", "h2"),
        (server(&authority, "app", &["http/1.1"], None), tls.clone(), "auto", "h1"),
        (server(&authority, "app", &["h2", "http/1.1"], None), tls, "h1", "h1"),
    ];
    for (spoken, tls, version, expected) in table {
        let backend = Backend::start("app1", spoken);
        let pool = format!("{tls}    http: {{ version: {version} }}\n");
        let balancer = Balancer::configured(&text(&[&backend], "    http2: { cleartext: true }\n", &pool));
        let address = balancer.address;
        let h1 = tokio::task::spawn_blocking(move || {
            let mut connection = Connection::open(address);
            let body = request("POST", "/a?b", &["Cookie: a=1; b=2", "Content-Length: 5"]) + "hello";
            connection.send(body.as_bytes());
            connection.receive().unwrap()
        });
        let h1 = h1.await.unwrap();
        let h2 = Http2::cleartext(address)
            .await
            .get("/a?b", &[("cookie", "a=1"), ("cookie", "b=2")])
            .await
            .unwrap();
        for answer in [h1, h2] {
            assert_eq!(answer.status, 200, "{version}: {}", answer.body);
            assert!(answer.body.contains(&format!(" http={expected}")), "{version}: {}", answer.body);
            assert!(answer.body.to_lowercase().contains("cookie: a=1; b=2"), "{version}: {}", answer.body);
            assert!(answer.body.contains("/a?b"), "{version}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn grpc_streams_both_ways_with_trailers_and_may_be_silent() {
    let backend = Backend::start("app1", Spoken { http2: true, ..Spoken::default() });
    for buffers in ["", "    buffer: { request: {}, response: 1MiB }\n"] {
        let listener =
            format!("    http2: {{ cleartext: true }}\n    timeouts: {{ body: 200ms }}\n{buffers}");
        let pool = "    http: { version: h2 }\n    timeouts: { read: 200ms }\n";
        let balancer = Balancer::configured(&text(&[&backend], &listener, pool));
        let client = Http2::cleartext(balancer.address).await;
        let mut send = client.send.clone().ready().await.unwrap();
        let head = client.head(
            "POST",
            "/service/Method",
            &[("content-type", "application/grpc+proto"), ("te", "trailers")],
        );
        let (response, mut messages) = send.send_request(head, false).unwrap();
        messages.send_data(Bytes::from_static(b"one"), false).unwrap();
        let mut response = response.await.unwrap();
        assert_eq!(response.headers()["x-te"], "trailers", "the backend is told that trailers are welcome");
        assert_eq!(response.body_mut().data().await.unwrap().unwrap(), "one", "before the request has ended");
        // Longer than any limit on reads.
        tokio::time::sleep(Duration::from_millis(700)).await;
        messages.send_data(Bytes::from_static(b"two"), true).unwrap();
        assert_eq!(response.body_mut().data().await.unwrap().unwrap(), "two");
        assert!(response.body_mut().data().await.is_none());
        let trailers = response.body_mut().trailers().await.unwrap().unwrap();
        assert_eq!(
            (&trailers["grpc-status"], &trailers["grpc-message"]),
            (&"7".parse().unwrap(), &"as the backend says".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn our_own_errors_are_statuses_of_grpc_for_its_clients() {
    let gone = Backend::start("app1", Spoken::default());
    let listener = "    http2: { cleartext: true }\n    limits: { body_bytes: 10B }\n";
    let configuration = text(&[&gone], listener, "    http: { version: h2 }\n");
    drop(gone);
    let balancer = Balancer::configured(&configuration);
    let client = Http2::cleartext(balancer.address).await;
    for (kind, status) in [("application/grpc", 200), ("application/grpc-web", 502), ("text/plain", 502)] {
        let answer = client.post("/service/Method", &[("content-type", kind)], b"x").await.unwrap();
        assert!(answer.status == status || status == 502 && answer.status == 503, "{kind}: {answer:?}");
        let mut send = client.send.clone().ready().await.unwrap();
        let head = client.head("POST", "/service/Method", &[("content-type", kind)]);
        let (response, mut body) = send.send_request(head, false).unwrap();
        body.send_data(Bytes::from_static(b"x"), true).unwrap();
        let trailers = receive(response).await.unwrap().1;
        let grpc = trailers.map(|trailers| trailers["grpc-status"].clone());
        assert_eq!(grpc, (status == 200).then(|| "14".parse().unwrap()), "{kind}");
    }
}

#[tokio::test]
async fn a_refused_stream_is_tried_elsewhere_whatever_its_method() {
    let spoken = Spoken { http2: true, ..Spoken::default() };
    let backends = [Backend::start("app1", spoken.clone()), Backend::start("app2", spoken)];
    let pool = "    http: { version: h2 }\n    retries: { attempts: 8 }\n";
    let balancer =
        Balancer::configured(&text(&[&backends[0], &backends[1]], "    http2: { cleartext: true }\n", pool));
    let client = Http2::cleartext(balancer.address).await;
    let first = client.post("/", &[], b"x").await.unwrap();
    let home = backends.iter().find(|backend| backend.name == first.server()).unwrap();
    home.facts.refuses.store(true, Ordering::SeqCst);
    let before = home.requests();
    let answer = client.post("/", &[], b"x").await.unwrap();
    // It is at home there, so it is tried there again; nothing was executed twice.
    assert!(home.requests() > before + 1 || answer.status == 200, "{answer:?}");
    home.facts.refuses.store(false, Ordering::SeqCst);
    assert_eq!(client.post("/", &[], b"x").await.unwrap().status, 200);
}

#[tokio::test]
async fn checks_speak_as_requests_do() {
    let authority = Authority::new();
    authority.issue("app", &["app.internal"], "app");
    let ca = authority.path("ca.pem").display().to_string();
    let health = "    health: { http: { path: / }, interval: 300ms, timeout: 300ms, rise: 1, fall: 3 }\n";
    let tls = |name: &str| format!("    tls: {{ sni: {name}, ca: {ca} }}\n");
    let proxied = Spoken { proxy: true, ..Spoken::default() };
    let table = [
        (server(&authority, "app", &["http/1.1"], None), tls("app.internal"), true),
        (server(&authority, "app", &["http/1.1"], None), tls("other.internal"), false),
        (server(&authority, "app", &["http/1.1"], None), String::new(), false),
        (server(&authority, "app", &["h2"], None), tls("app.internal") + "    http: { version: h2 }\n", true),
        (Spoken { http2: true, ..Spoken::default() }, "    http: { version: h2 }\n".to_owned(), true),
        (proxied.clone(), "    proxy_protocol: v1\n".to_owned(), true),
        (proxied, "    proxy_protocol: v2\n".to_owned(), true),
    ];
    for (spoken, pool, healthy) in table {
        let backend = Backend::start("app1", spoken);
        let balancer = Balancer::configured(&text(&[&backend], "", &format!("{pool}{health}")));
        let served = &balancer.current.load().pools[0];
        let takes_new = || served.pool.backends()[0].takes_new(steadfast::clock::Now::read());
        if healthy {
            eventually("its checks have passed", async || (backend.requests() >= 3).then_some(())).await;
            assert!(takes_new(), "{pool}");
        } else {
            eventually("its check fails", async || (!takes_new()).then_some(())).await;
        }
    }
}

#[test]
fn backends_are_told_of_the_client_on_connections_of_its_own() {
    let authority = Authority::new();
    authority.issue("app", &["app.internal"], "app");
    let ca = authority.path("ca.pem").display().to_string();
    let tls = format!("    tls: {{ sni: app.internal, ca: {ca} }}\n");
    for version in ["v1", "v2"] {
        for secure in [false, true] {
            let mut spoken = if secure { server(&authority, "app", &[], None) } else { Spoken::default() };
            spoken.proxy = true;
            let backend = Backend::start("app1", spoken);
            let pool = format!("    proxy_protocol: {version}\n{}", if secure { tls.as_str() } else { "" });
            let balancer = Balancer::configured(&text(&[&backend], "", &pool));
            let mut sources = Vec::new();
            for _ in 0..2 {
                let mut connection = Connection::open(balancer.address);
                let mut ask = || {
                    connection.send(request("GET", "/", &[]).as_bytes());
                    let answer = connection.receive().unwrap();
                    assert!(answer.word("source=").starts_with("127.0.0.1:"), "{}", answer.body);
                    (answer.word("source=").to_owned(), answer.word("connection=").to_owned())
                };
                // A connection is free for the next request a moment after the answer has reached the client.
                let kept = (0..100).any(|_| ask() == ask());
                assert!(kept, "one client keeps its connection");
                sources.push(ask());
            }
            assert!(sources[0].0 != sources[1].0 && sources[0].1 != sources[1].1, "{sources:?}");
        }
    }
}

#[test]
fn tunnels_and_events_may_be_silent_beyond_the_limits_of_others() {
    let authority = Authority::new();
    authority.issue("app", &["app.internal"], "app");
    let ca = authority.path("ca.pem").display().to_string();
    let tls = format!("    tls: {{ sni: app.internal, ca: {ca} }}\n");
    for (spoken, tls) in [(Spoken::default(), ""), (server(&authority, "app", &[], None), tls.as_str())] {
        let backend = Backend::start("app1", spoken);
        let listener = "    timeouts: { body: 200ms, idle: 200ms }\n";
        let tunnel = |limit: &str| {
            let pool = format!("{tls}    timeouts: {{ read: 200ms, tunnel: {limit} }}\n");
            Balancer::configured(&text(&[&backend], listener, &pool))
        };
        let patient = tunnel("1h");
        let open = |balancer: &Balancer| {
            let mut connection = Connection::open(balancer.address);
            connection.send(request("GET", "/", &["Connection: Upgrade", "Upgrade: websocket"]).as_bytes());
            assert_eq!(connection.receive().unwrap().status, 101);
            connection
        };
        let mut silent = open(&patient);
        std::thread::sleep(Duration::from_millis(700));
        silent.send(b"still there");
        assert_eq!(silent.bytes(), b"still there");
        let mut events = Connection::open(patient.address);
        events.send(request("GET", "/events", &["Accept: text/event-stream"]).as_bytes());
        let mut all = Vec::new();
        while !all.windows(5).any(|window| window == b"0\r\n\r\n") {
            let more = events.bytes();
            assert!(!more.is_empty(), "cut off: {}", all.escape_ascii());
            all.extend(more);
        }
        let mut short = open(&tunnel("300ms"));
        assert!(short.bytes().is_empty(), "closed once both sides were silent for long enough");
    }
}
