//! Redirects, fixed answers, rewriting, changed headers.

use std::process::Command;

use super::configuration;
use crate::support::balancer::{Balancer, apps, checked};
use crate::support::exchange::{Connection, get, request};

const ROUTES: &str = "
      - { match: { host: old.test }, redirect: { to: \"https://new.test{path}{query}\", status: 308 } }
      - { match: { path: { prefix: /moved } }, redirect: { to: \"{rest}{query}\" } }
      - match: { path: { prefix: /secure } }
        redirect: { to: \"https://{host}:8443{path}\", status: 301 }
        response_headers: { set: { X-Why: \"from {path}\" } }
      - { match: { path: { exact: /teapot } }, respond: { status: 418, body: short and stout } }
      - { match: { path: { exact: /empty } }, respond: { status: 204 } }
      - match: { path: { prefix: /api } }
        pool: app1
        rewrite: { path: \"/echo{rest}\", host: \"inner.{host}\" }
        request_headers:
          remove: [x-secret, user-agent]
          set: { X-Client: \"{client}\", X-Seen: \"{scheme}://{host}{path}{query}\" }
          add: { X-Tag: two }
      - match: { path: { prefix: /set3 } }
        pool: app1
        response_headers: { remove: content-length, set: { X-Frame-Options: DENY }, add: { Vary: Origin } }
      - { pool: app1 }
";

fn balancer() -> (Vec<crate::support::app::App>, Balancer) {
    let apps = apps(1);
    let routes = ROUTES.replace("remove: content-length, ", "");
    let balancer = Balancer::configured(&configuration(&apps, "", &routes));
    (apps, balancer)
}

#[test]
fn a_redirect_leads_where_the_operator_says() {
    let (_apps, balancer) = balancer();
    let location = |host: &str, target: &str| {
        let mut connection = Connection::open(balancer.address);
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        let answer = connection.receive().unwrap();
        (answer.status, answer.all("location").first().map(|line| (*line).to_owned()).unwrap_or_default())
    };
    let to = |url: &str| url.to_owned();
    assert_eq!(location("OLD.test:80", "/a%20b;c?d=e"), (308, to("https://new.test/a%20b;c?d=e")));
    assert_eq!(location("a.test", "/moved/x?y"), (302, to("/x?y")));
    assert_eq!(location("a.test:8080", "/secure"), (301, to("https://a.test:8443/secure")));
    // Nobody is sent to a host that the path names.
    for target in ["/moved//evil.test", "/moved/\\evil.test", "/moved///evil.test/x", "//moved//evil.test"] {
        let (status, to) = location("a.test", target);
        assert!(status == 302 && !to.starts_with("//") && !to.contains('\\'), "{target}: {status} {to}");
    }
    let curl = Command::new("curl")
        .args([
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %{redirect_url}",
            &format!("http://{}/moved/x", balancer.address),
        ])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(curl.stdout).unwrap(), format!("302 http://{}/x", balancer.address));
    let why = get(balancer.address, "/secure/x", &[]);
    assert_eq!(why.all("x-why"), ["from /secure/x"]);
}

#[test]
fn an_answer_is_given_without_a_backend() {
    let (apps, balancer) = balancer();
    let answer = get(balancer.address, "/teapot", &[]);
    assert_eq!((answer.status, answer.body.as_str()), (418, "short and stout"));
    assert_eq!(answer.all("content-type"), ["text/plain; charset=utf-8"]);
    let mut connection = Connection::open(balancer.address);
    for (method, status) in [("HEAD", 418), ("GET", 418)] {
        connection.send(request(method, "/teapot", &[]).as_bytes());
        if method == "HEAD" {
            let head = String::from_utf8(connection.bytes()).unwrap();
            assert!(head.starts_with("HTTP/1.1 418") && head.ends_with("\r\n\r\n"), "{head}");
        } else {
            assert_eq!(connection.receive().unwrap().status, status, "the connection goes on");
        }
    }
    assert_eq!(get(balancer.address, "/empty", &[]).status, 204);
    assert_eq!(apps[0].requests(), 0);
}

#[test]
fn the_backend_is_asked_what_the_route_says() {
    let (_apps, balancer) = balancer();
    let seen = get(
        balancer.address,
        "/api?q=%20",
        &["X-Secret: 1", "User-Agent: x", "X-Tag: one", "X-Client: forged"],
    );
    let lines: Vec<_> = seen.body.lines().collect();
    assert_eq!(lines[0], "GET /echo?q=%20 HTTP/1.1");
    let all = |name: &str| {
        let begins =
            |line: &&&str| line.to_ascii_lowercase().starts_with(&format!("{}: ", name.to_ascii_lowercase()));
        lines.iter().filter(begins).copied().collect::<Vec<_>>()
    };
    assert_eq!(all("host"), ["Host: inner.app.test"]);
    assert_eq!(all("x-forwarded-host"), ["X-Forwarded-Host: app.test"], "what the client asked for");
    assert_eq!(all("x-client"), ["X-Client: 127.0.0.1"]);
    assert_eq!(all("x-seen"), ["X-Seen: http://app.test/api?q=%20"]);
    assert_eq!(all("x-tag"), ["X-Tag: one", "X-Tag: two"]);
    assert!(all("x-secret").is_empty() && all("user-agent").is_empty(), "{lines:?}");
}

#[test]
fn changed_headers_leave_the_binding_alone() {
    let (_apps, balancer) = balancer();
    let answer = get(balancer.address, "/set3", &[]);
    assert_eq!(answer.all("set-cookie").len(), 4, "{answer:?}");
    assert_eq!((answer.all("x-frame-options"), answer.all("vary")), (vec!["DENY"], vec!["Origin"]));
    assert!(get(balancer.address, "/plain", &[]).all("x-frame-options").is_empty());
}

#[test]
fn what_would_break_an_exchange_or_lose_sessions_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = configuration(&apps(1), "", ROUTES);
    let refused = std::panic::catch_unwind(|| checked(&text, folder.path())).unwrap_err();
    let message = refused.downcast_ref::<String>().unwrap();
    assert!(message.contains("`content-length` is not changed here"), "{message}");
}
