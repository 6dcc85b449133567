//! Which route takes a request.

use std::process::Command;

use super::configuration;
use crate::support::balancer::{Balancer, apps};
use crate::support::exchange::{Connection, get};

const ROUTES: &str = "
      - { name: csv, match: { path: { prefix: /plain }, accept: [text/csv] }, pool: app1 }
      - { match: { host: \"*.shop.test\", path: { prefix: /plain/cart } }, pool: app2 }
      - { match: { path: { regex: \"/plain/v[0-9]+\" }, method: [GET] }, pool: app3 }
      - { match: { path: { prefix: /echo } }, pool: app1 }
      - { match: { path: { prefix: /plain/beta }, cookie: { beta: \"1\" }, query: { x: { present: true } } }, pool: app2 }
      - { match: { path: { prefix: /plain } }, pool: app4 }
";

fn balancer() -> (Vec<crate::support::app::App>, Balancer) {
    let apps = apps(4);
    let balancer = Balancer::configured(&configuration(&apps, "", ROUTES));
    (apps, balancer)
}

#[test]
fn the_first_route_that_takes_a_request_chooses_its_pool() {
    let (_apps, balancer) = balancer();
    for (path, fields, pool) in [
        ("/plain", &[][..], "app4"),
        ("/plain", &["Accept: text/csv"], "app1"),
        ("/plain", &["Accept: text/html, text/csv;q=0.5"], "app4"),
        ("/plain;jsessionid=x", &["Accept: text/csv"], "app1"),
        ("/plain/v12", &[], "app3"),
        ("/plain/v12x", &[], "app4"),
        ("/plain/beta?x", &["Cookie: a=b; beta=1"], "app2"),
        ("/plain/beta", &["Cookie: a=b; beta=1"], "app4"),
        ("/plain/cart", &[], "app4"),
    ] {
        let answer = get(balancer.address, path, fields);
        // Below `/plain` the application has no page of its own, and starts a session there.
        assert_eq!(answer.server(), pool, "{path} {fields:?}");
    }
    let mut connection = Connection::open(balancer.address);
    connection.send(b"GET /plain/cart HTTP/1.1\r\nHost: A.Shop.TEST:8080\r\n\r\n");
    assert_eq!(connection.receive().unwrap().server(), "app2");
    assert_eq!(get(balancer.address, "/other", &[]).status, 404, "no route takes it");
}

#[test]
fn a_disguised_path_is_refused_and_a_harmless_one_forwarded_as_it_was_sent() {
    let (_apps, balancer) = balancer();
    for disguised in ["/plain/..;/echo", "/echo/..%2fplain", "/plain/x%00"] {
        assert_eq!(get(balancer.address, disguised, &[]).status, 400, "{disguised}");
    }
    for harmless in ["/%65cho", "//echo//x", "/echo/./x", "/echo;a=b/x?c=/../%2f"] {
        let answer = get(balancer.address, harmless, &[]);
        // The test application answers `/echo` alone with the request; others show by their server where they went.
        assert_eq!(answer.status, 200, "{harmless}");
        if answer.body.starts_with("GET") {
            assert!(answer.body.starts_with(&format!("GET {harmless} HTTP/1.1\r\n")), "{}", answer.body);
        } else {
            assert_eq!(answer.server(), "app1", "{harmless}");
        }
    }
}

/// With curl, which writes `Accept: */*` and resolves no dot segments when told so.
#[test]
fn curl_is_routed_as_it_asks() {
    let (_apps, balancer) = balancer();
    let curl = |arguments: &[&str], path: &str| {
        let url = format!("http://{}{path}", balancer.address);
        let output =
            Command::new("curl").args(["-s", "--path-as-is"]).args(arguments).arg(url).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(curl(&[], "/plain").starts_with("server=app4"));
    assert!(curl(&["-H", "Accept: text/csv"], "/plain").starts_with("server=app1"));
    assert!(curl(&["-H", "Host: x.shop.test"], "//plain/%63art").starts_with("server=app2"));
    // Servers that resolve no dot segments would see another path.
    assert!(curl(&["-H", "Host: x.shop.test"], "/plain/../plain/cart").starts_with("400"));
    assert!(curl(&["-X", "POST", "-d", "a=b"], "/plain/v1").starts_with("server=app4"));
}

#[test]
fn explain_names_the_route() {
    let (apps, balancer) = balancer();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("steadfast.yaml");
    std::fs::write(&file, configuration(&apps, "", ROUTES)).unwrap();
    let explain = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_steadfast"))
            .args(["explain", "-c", file.to_str().unwrap()])
            .args(arguments)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    let csv = explain(&["GET", "http://a.test/plain", "-H", "Accept: text/csv"]);
    assert!(csv.contains("  route     csv\n  pool      app1\n"), "{csv}");
    let other = explain(&["GET", "http://a.shop.test/plain/cart"]);
    assert!(other.contains("  route     #2\n  pool      app2\n"), "{other}");
    assert!(explain(&["GET", "/none"]).contains("no route takes the request"));
    assert!(explain(&["GET", "/plain/..;/echo"]).contains("two ways"));
    assert_eq!(get(balancer.address, "/plain", &["Accept: text/csv"]).server(), "app1");
}
