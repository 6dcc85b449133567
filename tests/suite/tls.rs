//! TLS at the front door: certificates by name, reloads, resumption, client certificates, and what is bounded.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::{HandshakeKind, ProtocolVersion};
use steadfast::listen::{ProxyVersion, proxy_header};

use crate::support::balancer::{Balancer, SHARED, apps, checked, configuration};
use crate::support::exchange::{Connection, Response, request};
use crate::support::http2::Http2;
use crate::support::tls::{Authority, connect, handshake, shown};

fn listener(certificates: &[String], rest: &str) -> String {
    let certificates: Vec<_> = certificates.iter().map(|it| format!("{{ {it} }}")).collect();
    format!("    tls: {{ certificates: [ {} ]{rest} }}\n", certificates.join(", "))
}

fn ask(
    balancer: &Balancer,
    authority: &Authority,
    certificate: Option<&str>,
    name: &str,
    text: &str,
) -> Response {
    let config = Arc::new(authority.client(&[], certificate));
    let mut connection = Connection::over(connect(balancer.address, name, &config).unwrap());
    connection.send(text.as_bytes());
    connection.receive().unwrap()
}

#[test]
fn a_session_stays_over_tls_and_its_cookie_is_secure() {
    let (apps, authority) = (apps(2), Authority::new());
    let listener = listener(&[authority.issue("site", &["app.test"], "site")], "");
    let balancer = Balancer::start(&apps, SHARED, &listener, "");
    let first = ask(&balancer, &authority, None, "app.test", &request("GET", "/", &[]));
    let line = first.all("set-cookie").into_iter().find(|line| line.starts_with("steadfast-")).unwrap();
    assert!(line.contains("; Secure"), "{line}");
    for _ in 0..5 {
        let cookie = format!("Cookie: {}", first.cookies());
        let next = ask(&balancer, &authority, None, "app.test", &request("GET", "/", &[&cookie]));
        assert_eq!(next.server(), first.server());
    }
    let echo = ask(
        &balancer,
        &authority,
        None,
        "app.test",
        &request("GET", "/echo", &["X-Forwarded-Proto: http", "X-Forwarded-For: 10.9.9.9"]),
    );
    assert!(echo.body.contains("X-Forwarded-Proto: https\r\n"), "{}", echo.body);
    assert!(!echo.body.contains("10.9.9.9"), "{}", echo.body);
}

#[test]
fn requests_of_a_pipeline_and_long_bodies_pass_over_tls() {
    let (apps, authority) = (apps(1), Authority::new());
    let listener = listener(&[authority.issue("site", &["app.test"], "site")], "");
    let balancer = Balancer::start(&apps, SHARED, &listener, "");
    let config = Arc::new(authority.client(&[], None));
    let mut connection = Connection::over(connect(balancer.address, "app.test", &config).unwrap());
    let long = request("POST", "/plain", &["Content-Length: 300000"]) + &"x".repeat(300_000);
    connection.send(format!("{long}{}\r\n{long}", request("GET", "/echo", &[])).as_bytes());
    assert!(connection.receive().unwrap().body.ends_with("body=300000"));
    assert_eq!(connection.receive().unwrap().status, 200);
    assert!(connection.receive().unwrap().body.ends_with("body=300000"));
    // The door judges heads over TLS as it does without.
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    assert_eq!(connection.receive().unwrap().status, 400);
}

#[test]
fn the_certificate_is_found_by_name_exact_before_wildcard_before_the_first() {
    let (apps, authority) = (apps(1), Authority::new());
    let certificates = [
        authority.issue("default", &["default.test"], "default"),
        authority.issue("wild", &["*.app.test"], "wild"),
        authority.issue("exact", &["www.app.test"], "exact"),
    ];
    let balancer = Balancer::start(&apps, SHARED, &listener(&certificates, ""), "");
    let config = Arc::new(authority.client(&[], None));
    let table = [
        ("default.test", "default"),
        ("x.app.test", "wild"),
        ("X.APP.test", "wild"),
        ("www.app.test", "exact"),
    ];
    for (name, expected) in table {
        let stream = connect(balancer.address, name, &config).unwrap();
        assert_eq!(shown(&stream, &authority), expected, "{name}");
        assert_eq!(stream.conn.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    }
    for name in ["app.test", "a.b.app.test", "other.test"] {
        let refused = connect(balancer.address, name, &config).err().map(|error| error.to_string());
        let refused = refused.unwrap_or_default();
        assert!(refused.contains("not valid for name"), "{name} gets the default: {refused}");
    }
}

#[tokio::test]
async fn a_route_by_server_name_goes_by_the_handshake_and_not_by_the_host() {
    let (apps, authority) = (apps(1), Authority::new());
    let certificate = authority.issue("all", &["*.app.test", "other.test"], "all");
    let routes = "    routes:\n      - { match: { server_name: [WWW.app.test] }, respond: { body: exact } }\n      \
                  - { match: { server_name: \"*.app.test\" }, respond: { body: wild } }\n      - { respond: { body: none } }\n";
    let text = configuration(&apps, SHARED, &listener(&[certificate], ""), "");
    let balancer = Balancer::configured(&text.replace("    routes: [ { pool: app } ]\n", routes));
    for (name, expected) in [("www.app.test", "exact"), ("x.app.test", "wild"), ("other.test", "none")] {
        // The host says another thing each time.
        let answer = ask(&balancer, &authority, None, name, "GET / HTTP/1.1\r\nHost: www.app.test\r\n\r\n");
        assert_eq!(answer.body, expected, "{name}");
        let client = Http2::tls(balancer.address, name, authority.client(&["h2"], None)).await;
        assert_eq!(client.get("/", &[]).await.unwrap().body, expected, "{name}, by HTTP/2");
    }
}

#[test]
fn a_reload_takes_new_files_and_bad_ones_change_nothing() {
    let (apps, authority) = (apps(1), Authority::new());
    let site = authority.issue("site", &["app.test"], "site");
    let settings = listener(&[site], "");
    let balancer = Balancer::start(&apps, SHARED, &settings, "");
    let config = Arc::new(authority.client(&[], None));
    let text = configuration(&apps, SHARED, &settings, "");
    let folder = authority.path("");
    let reload = || {
        let checked = steadfast::config::parse(&text, &folder.join("steadfast.yaml"));
        checked.map(|checked| balancer.control.put_in_force(checked).unwrap())
    };
    // A client without tickets: a resumed session shows the certificate that it began with.
    let serial = || {
        let fresh = Arc::new(authority.client(&[], None));
        let stream = connect(balancer.address, "app.test", &fresh).unwrap();
        stream.conn.peer_certificates().unwrap()[0].clone()
    };
    let first = serial();
    let mut running = Connection::over(connect(balancer.address, "app.test", &config).unwrap());
    authority.issue("site", &["app.test"], "site, renewed");
    assert_eq!(serial(), first, "until it is reloaded");
    assert_eq!(reload().unwrap().changes, ["listener web: settings"]);
    let second = serial();
    assert_ne!(first, second);
    running.send(request("GET", "/plain", &[]).as_bytes());
    assert_eq!(running.receive().unwrap().status, 200, "a running connection goes on");

    let key = std::fs::read(authority.path("site.key")).unwrap();
    authority.issue("site", &["app.test"], "another");
    std::fs::write(authority.path("site.key"), &key).unwrap();
    let problems = reload().unwrap_err().to_string();
    assert!(problems.contains("site.key` is not the key of"), "{problems}");
    std::fs::write(authority.path("site.pem"), "nonsense").unwrap();
    let problems = reload().unwrap_err().to_string();
    assert!(problems.contains("site.pem` has no certificate"), "{problems}");
    std::fs::remove_file(authority.path("site.pem")).unwrap();
    let problems = reload().unwrap_err().to_string();
    assert!(problems.contains("site.pem` cannot be read"), "{problems}");
    assert_eq!(serial(), second, "nothing has changed");
}

#[test]
fn sessions_are_resumed_also_after_a_reload() {
    let (apps, authority) = (apps(1), Authority::new());
    let settings = listener(&[authority.issue("site", &["app.test"], "site")], "");
    let balancer = Balancer::start(&apps, SHARED, &settings, "");
    let mut config = authority.client(&[], None);
    let kind = |config: &Arc<_>| {
        let mut stream = connect(balancer.address, "app.test", config).unwrap();
        // The tickets come behind the handshake.
        stream.write_all(request("GET", "/plain", &["Connection: close"]).as_bytes()).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
        stream.conn.handshake_kind().unwrap()
    };
    for versions in [&[&rustls::version::TLS13][..], &[&rustls::version::TLS12]] {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in authority.read_ca() {
            roots.add(certificate).unwrap();
        }
        config = rustls::ClientConfig::builder_with_provider(Arc::clone(config.crypto_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let config = Arc::new(config.clone());
        assert_eq!(kind(&config), HandshakeKind::Full);
        assert_eq!(kind(&config), HandshakeKind::Resumed);
        let text = configuration(&apps, SHARED, &format!("{settings}    timeouts: {{ idle: 59s }}\n"), "");
        balancer.control.put_in_force(checked(&text, &authority.path(""))).unwrap();
        assert_eq!(kind(&config), HandshakeKind::Resumed, "{versions:?}");
    }
}

#[test]
fn the_lowest_version_is_kept_to() {
    let (apps, authority) = (apps(1), Authority::new());
    let settings = listener(&[authority.issue("site", &["app.test"], "site")], ", minimum_version: \"1.3\"");
    let balancer = Balancer::start(&apps, SHARED, &settings, "");
    let modern = authority.client(&[], None);
    assert!(connect(balancer.address, "app.test", &Arc::new(modern.clone())).is_ok());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.read_ca().remove(0)).unwrap();
    let old = rustls::ClientConfig::builder_with_provider(Arc::clone(modern.crypto_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    assert!(connect(balancer.address, "app.test", &Arc::new(old)).is_err());
}

#[test]
fn a_clients_certificate_is_told_and_cannot_be_forged() {
    let (apps, authority) = (apps(1), Authority::new());
    let (ours, theirs) = (Authority::new(), Authority::new());
    let site = authority.issue("site", &["app.test", "other.test"], "site");
    ours.issue("alice", &[], "alice, O=Admins\u{e9}");
    theirs.issue("mallory", &[], "mallory");
    for (required, nobody) in [("required", None), ("optional", Some(200))] {
        let ca = ours.path("ca.pem").display().to_string();
        let rest = format!(", client_ca: {ca}, client_certificates: {required}");
        let balancer = Balancer::start(&apps, SHARED, &listener(std::slice::from_ref(&site), &rest), "");
        let forged = [
            "X-Client-Cert-Subject: CN=root",
            "x_client_cert_subject: CN=root",
            "X-Client_Cert-Subject: CN=root",
        ];
        let echo = request("GET", "/echo", &forged);
        let ask = |certificate: Option<(&Authority, &str)>, name: &str, text: &str| {
            let mut config = authority.client(&[], None);
            if let Some((signer, file)) = certificate {
                let (chain, key) = signer.read(file);
                let mut roots = rustls::RootCertStore::empty();
                roots.add(authority.read_ca().remove(0)).unwrap();
                let builder =
                    rustls::ClientConfig::builder_with_provider(Arc::clone(config.crypto_provider()));
                let builder = builder.with_safe_default_protocol_versions().unwrap();
                config = builder.with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap();
            }
            let mut stream = connect(balancer.address, name, &Arc::new(config)).ok()?;
            stream.write_all(text.as_bytes()).ok()?;
            Connection::over(stream).receive()
        };
        let told = ask(Some((&ours, "alice")), "app.test", &echo).unwrap().body;
        let subject = "X-Client-Cert-Subject: CN=alice\\, O\\=Admins\\C3\\A9,O=Example\r\n";
        assert!(told.to_lowercase().contains(&subject.to_lowercase()), "{told}");
        assert!(!told.contains("CN=root"), "{told}");
        assert!(ask(Some((&theirs, "mallory")), "app.test", &echo).is_none(), "signed by somebody else");
        let anonymous = ask(None, "app.test", &echo);
        assert_eq!(anonymous.as_ref().map(|it| it.status), nobody, "{required}");
        assert!(!anonymous.is_some_and(|it| it.body.to_lowercase().contains("subject")));
        // The handshake was for app.test; other.test may have other rules for its clients.
        let other = echo.replace("app.test", "other.test");
        assert_eq!(ask(Some((&ours, "alice")), "app.test", &other).unwrap().status, 421);
        assert_eq!(ask(Some((&ours, "alice")), "other.test", &other).unwrap().status, 200);
        let with_port = echo.replace("app.test", "APP.test:443");
        assert_eq!(ask(Some((&ours, "alice")), "app.test", &with_port).unwrap().status, 200);
    }
}

#[test]
fn a_ticket_does_not_outlive_the_rules_for_clients() {
    let (apps, authority) = (apps(1), Authority::new());
    let site = authority.issue("site", &["app.test"], "site");
    let open = listener(std::slice::from_ref(&site), "");
    let balancer = Balancer::start(&apps, SHARED, &open, "");
    let config = Arc::new(authority.client(&[], None));
    let visit = || {
        let mut stream = connect(balancer.address, "app.test", &config).ok()?;
        stream.write_all(request("GET", "/plain", &["Connection: close"]).as_bytes()).ok()?;
        let mut text = Vec::new();
        stream.read_to_end(&mut text).ok().filter(|length| *length > 0)
    };
    assert!(visit().is_some() && visit().is_some());
    let ca = authority.path("ca.pem").display().to_string();
    let closed = listener(std::slice::from_ref(&site), &format!(", client_ca: {ca}"));
    let text = configuration(&apps, SHARED, &closed, "");
    balancer.control.put_in_force(checked(&text, &authority.path(""))).unwrap();
    assert!(visit().is_none(), "a ticket from before lets nobody in without a certificate");
}

#[test]
fn whoever_does_not_shake_hands_is_closed_in_time_and_in_number() {
    let (apps, authority) = (apps(1), Authority::new());
    let site = authority.issue("site", &["app.test"], "site");
    let settings = listener(&[site], "") + "    timeouts: { handshake: 2s }\n    limits: { handshakes: 2 }\n";
    let balancer = Balancer::start(&apps, SHARED, &settings, "");
    let config = Arc::new(authority.client(&[], None));
    let mut silent: Vec<_> = (0..2).map(|_| TcpStream::connect(balancer.address).unwrap()).collect();
    let mut served = 0;
    // Until both of them are in their handshakes, others get through.
    while connect(balancer.address, "app.test", &config).is_ok() {
        served += 1;
        assert!(served < 500, "two handshakes leave no room for a third");
    }
    for stream in &mut silent {
        assert_eq!(stream.read(&mut [0; 10]).unwrap_or(0), 0, "closed");
    }
    connect(balancer.address, "app.test", &config).expect("there is room again");
    let mut cleartext = Connection::open(balancer.address);
    cleartext.send(request("GET", "/", &[]).as_bytes());
    assert!(cleartext.receive().is_none(), "no HTTP in cleartext");
}

#[test]
fn a_trusted_proxy_names_the_client_with_tls_and_without() {
    let (apps, authority) = (apps(1), Authority::new());
    let site = authority.issue("site", &["app.test"], "site");
    let config = Arc::new(authority.client(&[], None));
    let source = "203.0.113.7:4711".parse().unwrap();
    let trusted = "    proxy_protocol: { trusted: [127.0.0.1] }\n    timeouts: { handshake: 300ms }\n";
    for tls in [false, true] {
        let settings =
            if tls { listener(std::slice::from_ref(&site), "") + trusted } else { trusted.to_owned() };
        let balancer = Balancer::start(&apps, SHARED, &settings, "");
        let open = |header: &[u8]| {
            let mut tcp = TcpStream::connect(balancer.address).unwrap();
            tcp.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
            tcp.write_all(header).unwrap();
            if tls {
                handshake(tcp, "app.test", &config).ok().map(Connection::over)
            } else {
                Some(tcp.into())
            }
        };
        for version in [ProxyVersion::V1, ProxyVersion::V2] {
            let mut connection = open(&proxy_header(version, source, balancer.address)).unwrap();
            connection.send(request("GET", "/echo", &["X-Forwarded-For: 10.9.9.9"]).as_bytes());
            let body = connection.receive().unwrap().body;
            assert!(body.contains("X-Forwarded-For: 203.0.113.7\r\n"), "{body}");
        }
        for header in [&b""[..], b"PROXY TCP4 1.2.3.4\r\n"] {
            let answer = open(header).and_then(|mut connection| {
                connection.try_send(request("GET", "/echo", &[]).as_bytes())?;
                connection.receive()
            });
            assert!(answer.is_none(), "it has to send a header: {}", header.escape_ascii());
        }
    }
}

#[test]
fn whoever_is_not_trusted_cannot_speak_for_others() {
    let apps = apps(1);
    let balancer = Balancer::start(&apps, SHARED, "    proxy_protocol: { trusted: [10.0.0.0/8] }\n", "");
    let mut connection = Connection::open(balancer.address);
    connection.send(request("GET", "/echo", &[]).as_bytes());
    assert!(connection.receive().unwrap().body.contains("X-Forwarded-For: 127.0.0.1\r\n"));
    let mut connection = Connection::open(balancer.address);
    let header = "PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n";
    connection.send((header.to_owned() + &request("GET", "/echo", &[])).as_bytes());
    assert_eq!(connection.receive().unwrap().status, 400);
}
