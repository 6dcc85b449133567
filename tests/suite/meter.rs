//! The meter: each request is counted once, where it ended, with what the client saw.

use std::time::Duration;

use steadfast::names::Reason;
use steadfast::telemetry::{BackendTraffic, CodeClass, FailedTry, Traffic};

use crate::support::balancer::{Balancer, SHARED, apps};
use crate::support::eventually::soon;
use crate::support::exchange::{Connection, get, request};

fn traffic(balancer: &Balancer) -> Traffic {
    balancer.current.load().pools[0].traffic()
}

/// Requests are counted when they have ended, a moment after their answer.
fn settled(balancer: &Balancer, requests: u64) -> Traffic {
    soon("all requests are counted", || {
        let traffic = traffic(balancer);
        (traffic.backends.iter().map(BackendTraffic::total).sum::<u64>() == requests).then_some(traffic)
    })
}

fn place(reason: Reason) -> usize {
    Reason::ALL.iter().position(|known| *known == reason).unwrap()
}

#[test]
fn requests_are_counted_by_backend_reason_and_class_with_their_times() {
    let apps = apps(2);
    let balancer = Balancer::start(&apps, SHARED, "", "    timeouts: { read: 300ms }\n");
    let first = get(balancer.address, "/", &[]);
    let cookies = format!("Cookie: {}", first.cookies());
    let mut connection = Connection::open(balancer.address);
    connection.send((request("POST", "/", &[&cookies, "Content-Length: 5"]) + "hello").as_bytes());
    assert_eq!(connection.receive().unwrap().status, 200);
    assert_eq!(get(balancer.address, "/slow", &[&cookies]).status, 504);
    let Traffic { backends, decided, .. } = settled(&balancer, 3);
    let home = backends.iter().find(|page| page.backend.as_str() == first.server()).unwrap();
    assert_eq!(home.total(), 3, "the other one had none");
    let (new, bound) = (home.requests[place(Reason::New)], home.requests[place(Reason::LbCookie)]);
    assert_eq!((new, bound), ([0, 0, 1, 0, 0, 0], [0, 0, 1, 0, 0, 1]));
    assert_eq!((decided[place(Reason::New)], decided[place(Reason::LbCookie)]), (1, 2));
    assert_eq!((home.errors(), home.of(CodeClass::Success), home.received), (1, 2, 5));
    assert!(home.sent > 20, "{}", home.sent);
    assert_eq!((home.whole.count(), home.queue.count(), home.first_byte.count()), (3, 3, 2));
    assert!((1..=3).contains(&home.connect.count()), "kept connections do not count");
    let slowest = home.whole.quantile(1000).unwrap();
    assert!(slowest >= Duration::from_millis(250), "the one that was waited for: {slowest:?}");
    assert_eq!(home.failed[FailedTry::ALL.iter().position(|way| *way == FailedTry::Timeout).unwrap()], 1);
}

#[test]
fn failed_tries_are_counted_where_they_failed_and_retries_where_they_ended() {
    let apps = apps(2);
    let balancer = Balancer::plain(&apps);
    let first = get(balancer.address, "/", &[]);
    let (gone, other) = match first.server() == apps[0].name {
        true => (&apps[0], &apps[1]),
        false => (&apps[1], &apps[0]),
    };
    gone.stop();
    let moved = get(balancer.address, "/", &[&format!("Cookie: {}", first.cookies())]);
    assert_eq!((moved.status, moved.server()), (200, other.name.as_str()));
    let Traffic { backends, decided, .. } = settled(&balancer, 2);
    let page = |name: &str| backends.iter().find(|page| page.backend.as_str() == name).unwrap();
    let failed: u64 = page(&gone.name).failed.iter().sum();
    assert!(failed >= 1, "{:?}", page(&gone.name));
    assert_eq!(page(&other.name).failed, [0; 3]);
    assert!(page(&other.name).retries >= 1);
    assert_eq!(page(&other.name).requests[place(Reason::Moved)][2], 1);
    assert!(decided[place(Reason::Moved)] >= 1);
}

#[test]
fn what_a_listener_answers_by_itself_is_counted_there_and_counts_outlive_a_reload() {
    let apps = apps(1);
    let balancer =
        Balancer::start(&apps, SHARED, "", "    health: { tcp: true, interval: 100ms, timeout: 100ms }\n");
    assert_eq!(get(balancer.address, "/", &[]).status, 200);
    apps[0].stop();
    let refused = || balancer.current.load().listeners[0].meter.of(CodeClass::ServerError);
    soon("the check falls", || {
        let answer = get(balancer.address, "/", &[]);
        (answer.status == 503 && refused() > 0).then_some(())
    });
    let before = refused();
    balancer.reload(&apps, "    affinity: { application_cookie: OTHER }\n");
    assert!(refused() >= before);
    let snapshot = balancer.current.load();
    assert!(snapshot.pools[0].traffic().backends[0].of(CodeClass::Success) == 1);
}
