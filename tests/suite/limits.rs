//! A backend that is full: its sessions wait and do not move.

use std::thread;

use crate::support::app::App;
use crate::support::balancer::{Balancer, SHARED, apps};
use crate::support::eventually::soon;
use crate::support::exchange::{Connection, get};

fn with_limits(limits: &str) -> String {
    format!("    limits: {{ connections_per_backend: 1, queue: {{ {limits} }} }}\n")
}

#[test]
fn a_session_of_a_full_backend_waits_for_it() {
    let apps = apps(2);
    let balancer = Balancer::start(&apps, SHARED, "", &with_limits("wait: 5s"));
    let first = get(balancer.address, "/", &[]);
    let cookies = format!("Cookie: {}", first.cookies());
    let slow: Vec<_> = (0..3)
        .map(|_| {
            let (address, cookies) = (balancer.address, cookies.clone());
            thread::spawn(move || get(address, "/slow", &[&cookies]))
        })
        .collect();
    for answer in slow {
        let answer = answer.join().unwrap();
        assert_eq!((answer.status, answer.server()), (200, first.server()), "{answer:?}");
    }
}

#[test]
fn who_waits_too_long_or_finds_no_place_in_the_queue_gets_503() {
    let apps = apps(2);
    for limits in ["wait: 100ms", "length: 0"] {
        let balancer = Balancer::start(&apps, SHARED, "", &with_limits(limits));
        let cookies = format!("Cookie: {}", get(balancer.address, "/", &[]).cookies());
        let (address, held) = (balancer.address, cookies.clone());
        let slow = thread::spawn(move || get(address, "/slow", &[&held]));
        thread::sleep(std::time::Duration::from_millis(200));
        let refused = get(balancer.address, "/", &[&cookies]);
        assert_eq!(refused.status, 503, "{limits}: {refused:?}");
        assert!(
            !refused.all("retry-after").is_empty() && refused.all("set-cookie").is_empty(),
            "{refused:?}"
        );
        assert_eq!(slow.join().unwrap().status, 200);
        // The place is given back a moment after the answer.
        let again = || Some(get(balancer.address, "/", &[&cookies])).filter(|after| after.status == 200);
        let after = soon("there is room again", again);
        assert_eq!(after.word("fresh="), "false", "it was not moved: {after:?}");
    }
}

#[test]
fn a_new_session_goes_where_there_is_room() {
    let apps = apps(2);
    let balancer = Balancer::start(&apps, SHARED, "", &with_limits("wait: 5s"));
    let cookies = get(balancer.address, "/", &[]);
    // A request that is in flight for as long as this test wants.
    let mut held = Connection::open(balancer.address);
    let fields = format!("Host: app.test\r\nCookie: {}\r\nContent-Length: 5", cookies.cookies());
    held.send(format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n12").as_bytes());
    // The first request may be still on its way out.
    while apps.iter().map(App::requests).sum::<u64>() < 2 {
        thread::sleep(std::time::Duration::from_millis(5));
    }
    let in_flight = || {
        let snapshot = balancer.current.load();
        let backends = snapshot.pools[0].pool.backends();
        backends.iter().map(|backend| backend.live().in_flight()).sum::<u32>()
    };
    for n in 0..5 {
        // So may each of the others, and the next would find no room.
        while in_flight() > 1 {
            thread::sleep(std::time::Duration::from_millis(5));
        }
        let other = get(balancer.address, "/", &[&format!("User-Agent: other {n}")]);
        assert!(other.status == 200 && other.server() != cookies.server(), "{other:?}");
    }
    held.send(b"345");
    assert_eq!(held.receive().unwrap().status, 200);
}
