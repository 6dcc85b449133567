//! What is tried again, and what is not.

use crate::support::app::App;
use crate::support::balancer::{Balancer, apps};
use crate::support::exchange::{Connection, get, request};

fn requests(apps: &[App]) -> u64 {
    apps.iter().map(App::requests).sum()
}

#[test]
fn a_refused_connection_costs_nobody_an_error_whatever_the_method() {
    let apps = apps(3);
    let balancer = Balancer::plain(&apps);
    apps[0].stop();
    apps[1].stop();
    for n in 0..30 {
        let mut connection = Connection::open(balancer.address);
        let agent = format!("User-Agent: {n}");
        let post = request("POST", "/", &[&agent, "Content-Length: 5"]) + "hello";
        connection.send(post.as_bytes());
        let answer = connection.receive().unwrap();
        assert_eq!((answer.status, answer.server()), (200, "app3"));
    }
}

#[test]
fn a_reset_before_the_response_is_retried_for_idempotent_requests_only() {
    let apps = apps(2);
    let balancer = Balancer::start(&apps, "", "", "    retries: { attempts: 1 }\n");
    assert_eq!(get(balancer.address, "/reset", &[]).status, 502);
    assert_eq!(requests(&apps), 2, "a GET is tried again");
    let mut connection = Connection::open(balancer.address);
    connection.send((request("POST", "/reset", &["Content-Length: 1"]) + "x").as_bytes());
    assert_eq!(connection.receive().unwrap().status, 502);
    assert_eq!(requests(&apps), 3, "a POST is not");
}

#[test]
fn a_body_is_bounded_anew_for_each_try() {
    let apps = apps(2);
    let listener = "    limits: { body_bytes: 4KiB }\n";
    let balancer = Balancer::start(&apps, "", listener, "    retries: { attempts: 1 }\n");
    let chunked = |bytes: usize| format!("{bytes:x}\r\n{}\r\n0\r\n\r\n", "a".repeat(bytes));
    let status_of = |bytes: usize| {
        let mut connection = Connection::open(balancer.address);
        let head = request("PUT", "/reset", &["Transfer-Encoding: chunked"]);
        connection.send((head + &chunked(bytes)).as_bytes());
        connection.receive().unwrap().status
    };
    assert_eq!((status_of(3000), requests(&apps)), (502, 2), "it is tried again");
    assert_eq!(status_of(5000), 413);
}

#[test]
fn nobody_left_is_said_with_503_and_when_to_come_back() {
    let apps = apps(2);
    let balancer =
        Balancer::start(&apps, "", "", "    health: { tcp: true, interval: 100ms, timeout: 100ms }\n");
    apps.iter().for_each(App::stop);
    let answer = loop {
        let answer = get(balancer.address, "/", &[]);
        assert!(answer.status == 502 || answer.status == 503, "{answer:?}");
        if answer.status == 503 {
            break answer;
        }
    };
    assert_eq!(answer.all("retry-after").len(), 1);
    assert!(answer.all("set-cookie").is_empty(), "our own pages carry no cookie");
}

#[test]
fn a_backend_that_says_nothing_is_a_504() {
    let apps = apps(1);
    let balancer = Balancer::start(&apps, "", "", "    timeouts: { read: 100ms }\n");
    assert_eq!(get(balancer.address, "/slow", &[]).status, 504);
}
