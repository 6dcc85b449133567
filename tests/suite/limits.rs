//! A backend that is full: its sessions wait and do not move.

use std::sync::mpsc;
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

/// A request to a backend that is in flight for as long as the test wants.
fn busy(balancer: &Balancer, app: &App) -> Connection {
    let home = |n| {
        Some(get(balancer.address, "/", &[&format!("User-Agent: {n}")])).filter(|it| it.server() == app.name)
    };
    let session = (0..100).find_map(home).unwrap();
    let mut held = Connection::open(balancer.address);
    let fields = format!("Host: app.test\r\nCookie: {}\r\nContent-Length: 5", session.cookies());
    let before = app.requests();
    held.send(format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n12").as_bytes());
    soon("it is there", || (app.requests() > before).then_some(()));
    held
}

fn finish(mut held: Connection) {
    held.send(b"345");
    assert_eq!(held.receive().unwrap().status, 200);
}

fn waiting(balancer: &Balancer) -> usize {
    let snapshot = balancer.current.load();
    snapshot.pools[0].pool.backends().iter().map(|backend| backend.live().waiting()).sum()
}

#[test]
fn new_sessions_that_wait_go_wherever_there_is_room_first() {
    let apps = apps(2);
    let balancer = Balancer::start(&apps, SHARED, "", &with_limits("wait: 10s"));
    let held = [busy(&balancer, &apps[0]), busy(&balancer, &apps[1])];
    let address = balancer.address;
    let new: Vec<_> = (0..8)
        .map(|n| thread::spawn(move || get(address, "/", &[&format!("User-Agent: new {n}")])))
        .collect();
    soon("all of them wait", || (waiting(&balancer) == 8).then_some(()));
    let [still_busy, over] = held;
    finish(over);
    for answer in new {
        let answer = answer.join().unwrap();
        assert_eq!((answer.status, answer.server()), (200, &*apps[1].name), "{answer:?}");
    }
    finish(still_busy);
}

#[test]
fn a_guess_at_an_unknown_session_waits_for_the_backend_that_every_replica_guesses() {
    let apps = apps(2);
    let balancer = Balancer::start(&apps, SHARED, "", &with_limits("wait: 60s"));
    let held = [busy(&balancer, &apps[0]), busy(&balancer, &apps[1])];
    let (tell, told) = mpsc::channel();
    for n in 0..8 {
        let (address, tell) = (balancer.address, tell.clone());
        thread::spawn(move || {
            let answer = get(address, "/", &[&format!("Cookie: JSESSIONID=UNKNOWN{n}")]);
            tell.send((answer.status, answer.server().to_owned())).unwrap();
        });
    }
    drop(tell);
    soon("all of them wait", || (waiting(&balancer) == 8).then_some(()));
    let [still_busy, over] = held;
    let theirs = balancer.current.load().pools[0].pool.backends()[0].live().waiting();
    assert!((1..8).contains(&theirs), "some guesses lead to each: {theirs}");
    finish(over);
    for _ in theirs..8 {
        assert_eq!(told.recv().unwrap(), (200, apps[1].name.clone()));
    }
    assert_eq!(waiting(&balancer), theirs, "the others wait for theirs");
    finish(still_busy);
    for answer in told {
        assert_eq!(answer, (200, apps[0].name.clone()));
    }
}
