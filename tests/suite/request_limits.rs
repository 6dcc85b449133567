//! How much one client may ask: connections at once, and requests in a time.

use std::net::Ipv4Addr;

use crate::admin::Administered;
use crate::metrics::{Metered, sum};
use crate::support::balancer::{Balancer, SHARED, apps, checked, configuration};
use crate::support::exchange::{Connection, get, request};

const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

fn get_from(balancer: &Balancer, from: Ipv4Addr, fields: &[&str]) -> u16 {
    let mut connection = Connection::open_from(balancer.address, from);
    connection.send(request("GET", "/plain", fields).as_bytes());
    connection.receive().unwrap().status
}

#[test]
fn a_client_that_asks_too_often_is_told_when_to_come_back() {
    let apps = apps(1);
    let limits = "    limits: { requests: [ { requests: 1, per: 1h, burst: 3 } ] }\n";
    let balancer = Balancer::start(&apps, SHARED, limits, "");
    for _ in 0..3 {
        assert_eq!(get(balancer.address, "/plain", &[]).status, 200);
    }
    let refused = get(balancer.address, "/plain", &[]);
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.all("retry-after")[0].parse().unwrap();
    assert!((3500..=3600).contains(&wait), "{wait}");
    assert!(refused.all("set-cookie").is_empty());
    assert_eq!(get_from(&balancer, ELSEWHERE, &[]), 200, "somebody else is served");
    assert_eq!(apps[0].requests(), 4);
    // A reload forgives nobody, unless the limit is another one.
    let reload = |limits: &str| {
        let text = configuration(&apps, SHARED, limits, "");
        balancer.control.put_in_force(checked(&text, std::path::Path::new("/nowhere"))).unwrap();
    };
    reload(limits);
    assert_eq!(get(balancer.address, "/plain", &[]).status, 429);
    reload(&limits.replace("burst: 3", "burst: 4"));
    assert_eq!(get(balancer.address, "/plain", &[]).status, 200);
}

#[test]
fn behind_a_trusted_proxy_each_client_counts_alone() {
    let apps = apps(1);
    let listener = "    trusted_proxies: [127.0.0.0/8]\n    limits: { requests: [ { requests: 1, per: 1h } ], connections_per_client: 1 }\n";
    let balancer = Balancer::start(&apps, SHARED, listener, "");
    let ask = |client: &str| get(balancer.address, "/plain", &[&format!("X-Forwarded-For: {client}")]).status;
    assert_eq!((ask("192.0.2.1"), ask("192.0.2.1"), ask("192.0.2.2")), (200, 429, 200));
    assert_eq!((ask("2001:db8::1"), ask("2001:db8::2"), ask("2001:db8:0:1::1")), (200, 429, 200));
    // The proxy itself may have any number of connections.
    let held: Vec<_> = (0..5).map(|_| Connection::open(balancer.address)).collect();
    assert_eq!(ask("192.0.2.3"), 200);
    drop(held);
}

#[test]
fn sessions_and_headers_are_counted_where_there_are_any() {
    let apps = apps(1);
    let limits = "    limits:\n      requests:\n        - { by: session, requests: 2, per: 1h }\n        - { by: header, header: X-Api-Key, requests: 1, per: 1h }\n";
    let balancer = Balancer::start(&apps, SHARED, limits, "");
    let ask = |fields: &[&str]| get(balancer.address, "/plain", fields).status;
    assert!((0..5).all(|_| ask(&[]) == 200), "without either nothing is counted");
    assert_eq!((ask(&["X-Api-Key: a"]), ask(&["X-Api-Key: a"]), ask(&["X-Api-Key: b"])), (200, 429, 200));
    let first = get(balancer.address, "/", &[]);
    let (both, only_ours) = (first.cookies(), first.cookie("steadfast-").unwrap());
    let (both, ours) = (format!("Cookie: {both}"), format!("Cookie: {only_ours}"));
    assert_eq!((ask(&[&both]), ask(&[&both]), ask(&[&both])), (200, 200, 429));
    assert_eq!(
        (ask(&[&ours]), ask(&[&ours]), ask(&[&ours])),
        (200, 200, 429),
        "by its token, where it shows no id"
    );
    let other = get(balancer.address, "/", &["User-Agent: other"]);
    assert_eq!(ask(&[&format!("Cookie: {}", other.cookies())]), 200);
}

#[test]
fn a_client_has_so_many_connections_and_others_are_served() {
    let apps = apps(1);
    let limits = "    limits: { connections_per_client: 2 }\n";
    let balancer = Balancer::start(&apps, SHARED, limits, "");
    let mut held: Vec<_> = (0..2).map(|_| Connection::open(balancer.address)).collect();
    for connection in &mut held {
        connection.send(request("GET", "/plain", &[]).as_bytes());
        assert_eq!(connection.receive().unwrap().status, 200);
    }
    let mut third = Connection::open(balancer.address);
    assert!(third.bytes().is_empty(), "closed at once");
    assert_eq!(get_from(&balancer, ELSEWHERE, &[]), 200);
    drop(held);
    // The place is free once the balancer has seen the end.
    let served = (0..500).any(|_| {
        let mut connection = Connection::open(balancer.address);
        let sent = connection.try_send(request("GET", "/plain", &[]).as_bytes());
        let served = sent.is_some() && connection.receive().is_some_and(|answer| answer.status == 200);
        if !served {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        served
    });
    assert!(served, "places are given back");
}

#[test]
fn a_route_has_limits_of_its_own_beside_the_listeners() {
    let apps = apps(1);
    let routes = |login: &str| {
        format!(
            "    routes:\n      - {{ name: login, match: {{ path: {{ exact: [/login] }} }}, pool: app, limits: {{ requests: [ {login} ] }} }}\n      - {{ match: {{ path: {{ exact: [/old] }} }}, redirect: {{ to: /new }}, limits: {{ requests: [ {{ requests: 1, per: 1h }} ] }} }}\n      - {{ name: plain, match: {{ path: {{ exact: [/plain] }} }}, pool: app, limits: {{ requests: [ {{ by: session, requests: 2, per: 1h }}, {{ by: header, header: x-key, requests: 1, per: 1h }} ] }} }}\n      - pool: app\n"
        )
    };
    let text = |login: &str, requests: u32| {
        let limits = format!("    limits: {{ requests: [ {{ requests: {requests}, per: 1h }} ] }}\n");
        configuration(&apps, SHARED, &(routes(login) + &limits), "")
    };
    let login = "{ requests: 2, per: 1h }";
    let balancer = Balancer::configured(&text(login, 100));
    let ask = |path: &str, fields: &[&str]| get(balancer.address, path, fields).status;
    assert_eq!([ask("/login", &[]), ask("/login", &[]), ask("/login", &[])], [200, 200, 429]);
    assert_eq!([ask("/other", &[]), ask("/plain", &[])], [200, 200], "other routes are not full");
    assert_eq!([ask("/old", &[]), ask("/old", &[])], [302, 429], "an answer of ours counts, too");
    let refused = get(balancer.address, "/login", &[]);
    let wait: u64 = refused.all("retry-after")[0].parse().unwrap();
    assert!((1700..=1800).contains(&wait), "{wait}");
    let cookies = format!("Cookie: {}", get(balancer.address, "/", &["User-Agent: one"]).cookies());
    let session = [&*cookies];
    assert_eq!([ask("/plain", &session), ask("/plain", &session), ask("/plain", &session)], [200, 200, 429]);
    assert_eq!(ask("/other", &session), 200, "elsewhere the session is served");
    assert_eq!([ask("/plain", &["X-Key: a"]), ask("/plain", &["X-Key: a"])], [200, 429]);
    // A reload forgives nobody where the limit is the same, and the listener's own holds for all routes.
    balancer.put_in_force(&text(login, 100));
    assert_eq!(ask("/login", &[]), 429);
    balancer.put_in_force(&text("{ requests: 3, per: 1h }", 1));
    assert_eq!([ask("/login", &[]), ask("/other", &[]), ask("/login", &[])], [200, 429, 429]);
}

#[test]
fn what_a_route_refuses_is_counted_for_it_and_explained() {
    let apps = apps(1);
    let listener = "    routes: [ { name: login, pool: app, limits: { requests: [ { requests: 1, per: 1h, burst: 2 } ] } } ]\n    limits: { requests: [ { by: header, header: x-key, requests: 5 } ] }\n";
    let metered = Metered::start_with(&apps, "{ listen: 127.0.0.1:0 }", "", listener, "");
    let asked = [(); 3].map(|()| get(metered.address, "/plain", &[]).status);
    assert_eq!(asked, [200, 200, 429]);
    let samples = metered.samples();
    let labels = ["route=\"login\"", "by=\"client\""];
    assert_eq!(sum(&samples, "steadfast_l7_route_limited_total", &labels), 1.0);
    assert_eq!(sum(&samples, "steadfast_l7_limited_total", &[]), 0.0, "the listener has refused none");
    let balancer = Administered::plain(&apps);
    let text = configuration(&apps, &format!("{SHARED}admin: {{ listen: 127.0.0.1:0 }}\n"), listener, "");
    balancer.control.put_in_force(checked(&text, balancer.folder())).unwrap();
    let question = serde_json::json!({ "url": "/plain", "headers": [] });
    let explained = balancer.send("POST", "/v1/explain", &question).body;
    let limits = ["5 in 1s for each value of x-key, 5 at once", "1 in 1h for each client, 2 at once"];
    assert_eq!(explained["limits"], serde_json::json!(limits));
}
