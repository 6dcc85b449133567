//! What backends and clients are told: who asks, ids, `Server`, `Via`, error pages.

use super::configuration;
use crate::support::app::App;
use crate::support::balancer::{Balancer, apps};
use crate::support::exchange::{Connection, Response, get};
use crate::support::http2::Http2;

const ROUTES: &str = "      - match: { path: { prefix: / } }
        pool: app1
        request_headers: { set: { X-Client: \"{client}\" } }
        response_headers: { set: { X-Id: \"{request_id}\" } }
";

fn start(apps: &[App], listener: &str) -> Balancer {
    Balancer::configured(&configuration(apps, listener, ROUTES))
}

/// A field as the backend got it, each line of it.
fn seen<'a>(answer: &'a Response, name: &str) -> Vec<&'a str> {
    let lines = answer.body.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

const FORGED: [&str; 3] =
    ["X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9;proto=https", "X-Forwarded-Proto: https"];

#[test]
fn backends_are_told_who_asks_as_configured() {
    let apps = apps(1);
    for (listener, by_x, by_field) in [
        ("", true, false),
        ("    headers: { forwarded: forwarded }\n", false, true),
        ("    headers: { forwarded: both }\n", true, true),
    ] {
        let answer = get(start(&apps, listener).address, "/echo", &FORGED);
        let x_for = if by_x { vec!["127.0.0.1"] } else { vec![] };
        let field = if by_field { vec!["for=127.0.0.1;host=\"app.test\";proto=http"] } else { vec![] };
        assert_eq!(
            (seen(&answer, "x-forwarded-for"), seen(&answer, "forwarded")),
            (x_for, field),
            "{listener}"
        );
        assert_eq!(
            seen(&answer, "x-forwarded-proto"),
            if by_x { vec!["http"] } else { vec![] },
            "{listener}"
        );
        assert_eq!(seen(&answer, "x-client"), ["127.0.0.1"], "nobody is believed");
    }
}

#[test]
fn trusted_proxies_are_believed_in_the_one_way_that_is_configured() {
    let apps = apps(1);
    let trusted = "    trusted_proxies: [127.0.0.0/8]\n";
    let x = get(
        start(&apps, trusted).address,
        "/echo",
        &["X-Forwarded-For: 192.0.2.1", "Forwarded: for=203.0.113.9"],
    );
    assert_eq!(seen(&x, "x-client"), ["192.0.2.1"]);
    let listener = format!("{trusted}    headers: {{ forwarded: forwarded }}\n");
    let field = get(
        start(&apps, &listener).address,
        "/echo",
        &[
            "Forwarded: for=198.51.100.7, for=\"[2001:db8::1]:4711\";proto=https, for=127.0.0.2",
            "X-Forwarded-For: 203.0.113.9",
        ],
    );
    assert_eq!(seen(&field, "x-client"), ["2001:db8::1"], "the first stranger from the right");
    assert!(seen(&field, "x-forwarded-for").is_empty(), "what is not believed is not passed on");
    let told = "for=198.51.100.7, for=\"[2001:db8::1]:4711\";proto=https, for=127.0.0.2, for=127.0.0.1;host=\"app.test\";proto=http";
    assert_eq!(seen(&field, "forwarded"), [told]);
    let listener = format!("{trusted}    headers: {{ forwarded: both }}\n");
    let both = get(
        start(&apps, &listener).address,
        "/echo",
        &["X-Forwarded-For: 192.0.2.1, 2001:db8::2", "Forwarded: for=203.0.113.9"],
    );
    let told = "for=192.0.2.1, for=\"[2001:db8::2]\", for=127.0.0.1;host=\"app.test\";proto=http";
    assert_eq!((seen(&both, "x-client"), seen(&both, "forwarded")), (vec!["2001:db8::2"], vec![told]));
}

#[test]
fn a_request_has_an_id_that_only_trusted_proxies_can_give() {
    let apps = apps(1);
    let given = ["X-Request-Id: given-1"];
    let balancer = start(&apps, "    headers: { request_id: X-Request-Id }\n");
    let first = get(balancer.address, "/echo", &given);
    let id = seen(&first, "x-request-id")[0].to_owned();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    assert_eq!(first.all("x-id"), [id.as_str()]);
    assert!(first.body.contains("\r\nX-Request-Id: "), "as it is configured");
    assert_ne!(seen(&get(balancer.address, "/echo", &given), "x-request-id"), [id.as_str()]);
    let trusting = "    trusted_proxies: [127.0.0.0/8]\n    headers: { request_id: X-Request-Id }\n";
    let balancer = start(&apps, trusting);
    assert_eq!(seen(&get(balancer.address, "/echo", &given), "x-request-id"), ["given-1"]);
    for odd in
        ["X-Request-Id: two words", "X-Request-Id: \"a\"", &format!("X-Request-Id: {}", "a".repeat(129))]
    {
        let answer = get(balancer.address, "/echo", &[odd]);
        assert_eq!(seen(&answer, "x-request-id")[0].len(), 32, "{odd}");
    }
    let without = get(start(&apps, "").address, "/echo", &given);
    assert_eq!(
        (seen(&without, "x-request-id"), without.all("x-id").len()),
        (vec!["given-1"], 0),
        "no id of ours"
    );
}

#[tokio::test]
async fn our_own_answers_have_the_pages_of_the_listener() {
    let folder = tempfile::tempdir().unwrap();
    let (page, all) = (folder.path().join("404.html"), folder.path().join("errors.txt"));
    std::fs::write(&page, "<h1>nothing here</h1>").unwrap();
    std::fs::write(&all, "later").unwrap();
    let apps = apps(1);
    let listener = format!(
        "    http2: {{ cleartext: true }}\n    limits: {{ uri_bytes: 100B }}\n    error_pages: {{ 4xx: \"{}\", 5xx: \"{}\", 404: \"{}\" }}\n    headers: {{ server: Acme, via: edge }}\n",
        all.display(),
        all.display(),
        page.display()
    );
    let routes = "      - { match: { path: { prefix: /plain } }, pool: app1 }\n";
    let balancer = Balancer::configured(&configuration(&apps, &listener, routes));
    let none = get(balancer.address, "/none", &[]);
    assert_eq!((none.status, none.body.as_str()), (404, "<h1>nothing here</h1>"));
    assert_eq!(
        (none.all("content-type"), none.all("server")),
        (vec!["text/html; charset=utf-8"], vec!["Acme"])
    );
    assert_eq!(get(balancer.address, "/plain%00", &[]).body, "later", "400, by its class");
    let good = get(balancer.address, "/plain", &[]);
    assert_eq!((good.all("server"), good.all("via")), (vec!["Acme"], vec!["1.1 edge"]));
    // The front door has them, too, whatever the client speaks.
    let mut odd = Connection::open(balancer.address);
    odd.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    let refused = odd.receive().unwrap();
    assert_eq!((refused.status, refused.body.as_str()), (400, "later"));
    assert_eq!(refused.all("content-type"), ["text/plain; charset=utf-8"]);
    let client = Http2::cleartext(balancer.address).await;
    let refused = client.get(&format!("/{}", "a".repeat(200)), &[]).await.unwrap();
    assert_eq!((refused.status, refused.body.as_str()), (414, "later"));
    assert_eq!(refused.all("content-type"), ["text/plain; charset=utf-8"]);
    std::fs::remove_file(&page).unwrap();
    apps[0].stop();
    let gone = get(balancer.address, "/plain", &[]);
    assert!([502, 503].contains(&gone.status) && gone.body == "later", "{gone:?}");
    assert_eq!(get(balancer.address, "/none", &[]).body, "<h1>nothing here</h1>", "read when it was loaded");
}

#[test]
fn a_backend_is_told_by_whom_a_request_came() {
    let apps = apps(1);
    let balancer = start(&apps, "    headers: { via: edge }\n");
    assert_eq!(seen(&get(balancer.address, "/echo", &["Via: 1.0 far"]), "via"), ["1.0 far", "1.1 edge"]);
}
