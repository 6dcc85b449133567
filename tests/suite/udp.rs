//! Layer 4: UDP, whose clients keep their backends.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use steadfast::config::checked::BackendState;
use steadfast::lifecycle::BackendChange;
use steadfast::telemetry::CodeClass;

use crate::support::eventually::soon;
use crate::support::layer4::Layer4;
use crate::support::ports::Port;
use crate::support::program::Program;
use crate::support::tcp::{Echo, Talk, client};
use crate::support::udp::{Asker, Datagrams, homes, in_one_piece, udp};

fn all(apps: &[Datagrams]) -> Vec<&Datagrams> {
    apps.iter().collect()
}

/// The clients that are elsewhere now, of those whose home `stays`.
fn moved(before: &[String], after: &[String], stays: impl Fn(&str) -> bool) -> Vec<String> {
    let both = before.iter().zip(after).enumerate();
    let moved = both.filter(|(_, (before, after))| stays(before) && before != after);
    moved.map(|(n, (before, after))| format!("{n}: {before} → {after}")).collect()
}

fn state(state: BackendState) -> BackendChange {
    BackendChange { state: Some(state), ..BackendChange::default() }
}

fn at_home(app: &str, balancer: &Layer4) -> u32 {
    (0..200).find(|n| Asker::from(client(*n), balancer.address).home() == app).unwrap()
}

#[test]
fn datagrams_pass_both_ways_whole_and_apart() {
    let apps = Datagrams::several("app", 1);
    let balancer = Layer4::start(&udp(&all(&apps), &[], "", ""));
    let asker = Asker::from(client(1), balancer.address);
    let first = asker.ask(b"first").unwrap();
    // Also one that the system has to cut, and more at once than is received at once.
    for length in [1, 1200, 1472, 9000, 60_000] {
        let bytes: Vec<u8> = (0..length).map(|n: u32| n.to_le_bytes()[0].wrapping_mul(7)).collect();
        let answer = asker.ask(&bytes).unwrap();
        assert!(answer.rest == bytes, "{length}");
        assert_eq!(answer.port, first.port, "one session, one port");
    }
    (0..100_u8).for_each(|n| _ = asker.socket.send(&[n]).unwrap());
    let mut back = BTreeSet::new();
    let mut room = [0; 256];
    while back.len() < 100 {
        let length = asker.socket.recv(&mut room).unwrap();
        back.insert(room[length - 1]);
    }
    // The kernel brings these in one piece.
    let all: Vec<u8> = (0..20).flat_map(|n| [n; 100]).collect();
    in_one_piece(&asker.socket, &all, 100, balancer.address);
    let mut back = BTreeSet::new();
    while back.len() < 20 {
        let length = asker.socket.recv(&mut room).unwrap();
        assert_eq!(room[length - 100..length], [room[length - 1]; 100], "each as it was");
        back.insert(room[length - 1]);
    }
    let other = Asker::from(client(1), balancer.address).ask(b"other").unwrap();
    assert_ne!(other.port, first.port, "another port of the client is another session");
}

#[test]
fn two_thousand_clients_stay_while_backends_come_and_go_and_weights_and_replicas_change() {
    const CLIENTS: u32 = 2200;
    let apps = Datagrams::several("app", 6);
    let of = |names: &[usize]| names.iter().map(|n| &apps[*n]).collect::<Vec<_>>();
    // Sessions of those who have asked once end soon: there are not many descriptors for each test.
    const SOON: &str = "    udp: { unproven: 100ms }\n";
    let text = |names: &[usize], weights| udp(&of(names), weights, SOON, "");
    let balancer = Layer4::start(&text(&[0, 1, 2, 3], &[]));
    let before = homes(CLIENTS, balancer.address);
    for app in ["app1", "app2", "app3", "app4"] {
        let share = before.iter().filter(|home| *home == app).count();
        assert!((380..740).contains(&share), "{app}: {share}");
    }
    let everybody = |_: &str| true;
    let none = Vec::<String>::new();
    let replica = Layer4::start(&text(&[0, 1, 2, 3], &[]));
    assert_eq!(moved(&before, &homes(CLIENTS, replica.address), everybody), none, "another replica");
    drop(replica);
    balancer.reload(&text(&[0, 1, 2, 3, 4, 5], &[]));
    assert_eq!(moved(&before, &homes(CLIENTS, balancer.address), everybody), none, "added");
    balancer.reload(&text(&[0, 1, 2, 3, 4, 5], &[("app1", 7), ("app2", 0)]));
    assert_eq!(moved(&before, &homes(CLIENTS, balancer.address), everybody), none, "reweighted");
    balancer.reload(&text(&[0, 1, 2, 4, 5], &[]));
    assert_eq!(moved(&before, &homes(CLIENTS, balancer.address), everybody), none, "drained");
    let newcomers = (CLIENTS..CLIENTS + 100).map(|n| Asker::from(client(n), balancer.address).home());
    assert!(newcomers.into_iter().all(|home| home != "app4"), "a draining backend gets nobody new");
    balancer.reload(&text(&[0, 1, 2, 3, 4, 5], &[]));
    balancer.reload(&udp(&of(&[0, 1, 2, 4, 5]), &[], SOON, "    removal: at_once\n"));
    let after = homes(CLIENTS, balancer.address);
    assert_eq!(moved(&before, &after, |home| home != "app4"), none, "removed");
    assert!(!after.contains(&"app4".to_owned()));
    balancer.reload(&text(&[0, 1, 2, 3, 4, 5], &[]));
    assert_eq!(moved(&after, &homes(CLIENTS, balancer.address), everybody), none, "moved once");
    let book = balancer.sessions();
    let moves: u64 = book.backends.iter().map(|backend| backend.moved_in).sum();
    let of_app4 = before.iter().filter(|home| *home == "app4").count();
    assert_eq!(moves, u64::try_from(of_app4).unwrap(), "{book:?}");
}

#[test]
fn clients_of_a_dead_backend_move_once_and_nobody_else_does() {
    let mut apps = Datagrams::several("app", 3);
    let pool = "    health: { passive: { eject: 1s } }\n";
    let balancer = Layer4::start(&udp(&all(&apps), &[], "", pool));
    let before = homes(200, balancer.address);
    apps[0].stop();
    let after = homes(200, balancer.address);
    assert_eq!(moved(&before, &after, |home| home != "app1"), Vec::<String>::new());
    let homes_now: BTreeSet<_> = after.iter().map(String::as_str).collect();
    assert_eq!(homes_now, BTreeSet::from(["app2", "app3"]), "the successors are several");
    apps[0].restart();
    soon("it is up again", || {
        let snapshot = balancer.current.load();
        snapshot.pools[0].pool.backends()[0].takes_new(steadfast::clock::Now::read()).then_some(())
    });
    assert_eq!(moved(&after, &homes(200, balancer.address), |_| true), Vec::<String>::new(), "moved once");
}

#[test]
fn a_session_that_is_under_way_moves_when_its_backend_dies_and_a_blip_moves_nobody() {
    let mut apps = Datagrams::several("app", 2);
    let pool = "    affinity: { suspect_hold: 2s }\n    health: { passive: { eject: 1s } }\n";
    let balancer = Layer4::start(&udp(&all(&apps), &[], "", pool));
    let n = at_home("app1", &balancer);
    let asker = Asker::from(client(n), balancer.address);
    let first = asker.ask(b"one").unwrap();
    apps[0].stop();
    // The first datagram draws the refusal; what follows waits for the probe, until the application is back.
    asker.socket.send(b"into nothing").unwrap();
    thread::sleep(Duration::from_millis(150));
    asker.socket.send(b"held").unwrap();
    thread::sleep(Duration::from_millis(300));
    apps[0].restart();
    let mut room = [0; 64];
    let length = asker.socket.recv(&mut room).unwrap();
    let expected = format!("app1 {} held", first.port);
    assert_eq!(String::from_utf8_lossy(&room[..length]), expected, "steady, and from the same port");
    apps[0].stop();
    let answer = asker.ask(b"moved").unwrap();
    assert_eq!(answer.home, "app2");
    apps[0].restart();
    soon("it is up again", || {
        let snapshot = balancer.current.load();
        snapshot.pools[0].pool.backends()[0].takes_new(steadfast::clock::Now::read()).then_some(())
    });
    assert_eq!(
        asker.ask(b"still").unwrap(),
        crate::support::udp::Answer { rest: b"still".to_vec(), ..answer }
    );
}

#[test]
fn a_first_datagram_that_is_refused_reaches_another_backend_without_a_new_try() {
    let mut apps = Datagrams::several("app", 2);
    apps[0].stop();
    let balancer = Layer4::start(&udp(&all(&apps), &[], "", ""));
    for n in 0..20 {
        let answer = Asker::from(client(n), balancer.address).ask_once(b"once").unwrap();
        assert_eq!(answer.home, "app2", "client {n}");
    }
}

#[test]
fn a_draining_backend_keeps_its_sessions_until_the_deadline() {
    let apps = Datagrams::several("app", 2);
    let balancer = Layer4::start(&udp(&all(&apps), &[], "", ""));
    let n = at_home("app1", &balancer);
    let open = Asker::from(client(n), balancer.address);
    let first = open.ask(b"x").unwrap();
    balancer.control.change("app", "app1", &state(BackendState::Draining)).unwrap();
    assert_eq!(open.ask(b"y").unwrap().port, first.port, "drained: a session goes on");
    assert_eq!(Asker::from(client(n), balancer.address).home(), "app1", "drained: known clients stay");
    let fresh: Vec<_> = (1000..1030).map(|n| Asker::from(client(n), balancer.address).home()).collect();
    assert!(fresh.iter().all(|home| home == "app2"), "drained: nobody new: {fresh:?}");
    let short = BackendChange { deadline: Some(Duration::from_millis(100)), ..state(BackendState::Draining) };
    balancer.control.change("app", "app1", &short).unwrap();
    soon("the deadline ends it", || (open.home() == "app2").then_some(()));
    balancer.control.change("app", "app1", &state(BackendState::Up)).unwrap();
    balancer.control.change("app", "app2", &state(BackendState::Maintenance)).unwrap();
    soon("maintenance ends it", || (open.home() == "app1").then_some(()));
}

#[test]
fn a_flood_of_sources_stays_within_the_bound_and_those_who_talk_stay() {
    let apps = Datagrams::several("app", 2);
    apps.iter().for_each(|app| app.mute(false));
    let listener = "    limits: { connections: 120 }\n    udp: { idle: 10m, unproven: 5m }\n";
    let balancer =
        Layer4::start(&udp(&all(&apps), &[], listener, "    affinity: { learn: { capacity: 1000 } }\n"));
    let talking: Vec<_> = (0..10).map(|n| Asker::from(client(n), balancer.address)).collect();
    let ports: Vec<_> = talking
        .iter()
        .map(|asker| {
            let first = asker.ask(b"one").unwrap();
            // Goes on after an answer.
            assert_eq!(asker.ask(b"two").unwrap().port, first.port);
            first.port
        })
        .collect();
    apps.iter().for_each(|app| app.mute(true));
    let before: u64 = apps.iter().map(Datagrams::heard).sum();
    for n in 0..2000 {
        let flood = Asker::from(client(1000 + n), balancer.address);
        flood.socket.send(b"flood").unwrap();
        if n % 100 == 99 {
            let sessions: usize = balancer.listeners[0].open();
            assert!(sessions <= 120, "bounded: {sessions} sessions");
        }
    }
    soon("the newest of them are served", || {
        (apps.iter().map(Datagrams::heard).sum::<u64>() > before + 500).then_some(())
    });
    apps.iter().for_each(|app| app.mute(false));
    for (asker, port) in talking.iter().zip(&ports) {
        assert_eq!(asker.ask(b"three").unwrap().port, *port, "who talks stays");
    }
    let known = balancer.current.load().pools[0].policy.learned.len();
    assert!(known <= 1000 + 125, "{known} flows are known");
    let homes_of_talking: Vec<_> = talking.iter().map(Asker::home).collect();
    drop(talking);
    let again: Vec<_> = (0..10).map(|n| Asker::from(client(n), balancer.address).home()).collect();
    assert_eq!(again, homes_of_talking, "a flood of strangers pushes out nobody who talked");
}

#[test]
fn a_newcomer_finds_a_place_whichever_thread_reads_it() {
    let apps = Datagrams::several("app", 1);
    let listener = "    limits: { connections: 2 }\n    udp: { idle: 10m, unproven: 5m }\n";
    let text =
        udp(&all(&apps), &[], listener, "").replace("listeners:", "server: { threads: 4 }\nlisteners:");
    let balancer = Layer4::start(&text);
    for n in 0..100 {
        let asker = Asker::from(client(n), balancer.address);
        asker.socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        soon("it is served", || asker.ask_once(b"x").ok());
        assert!(balancer.listeners[0].open() <= 2, "bounded");
    }
}

#[test]
fn a_client_has_so_many_sessions_and_sends_so_many_datagrams() {
    let apps = Datagrams::several("app", 1);
    let listener = "    limits: { connections_per_client: 3, ipv4_prefix: 24 }\n    \
                    udp: { rate: { datagrams: 20, per: 1h } }\n";
    let balancer = Layer4::start(&udp(&all(&apps), &[], listener, ""));
    let from = |b, d| Asker::from([127, b, 0, d].into(), balancer.address);
    let three: Vec<_> = (1..=3).map(|d| from(9, d)).collect();
    three.iter().for_each(|asker| assert_eq!(asker.home(), "app1"));
    let fourth = from(9, 4);
    fourth.socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(fourth.ask_once(b"x").is_err(), "a fourth session of one client");
    assert_eq!(from(10, 1).home(), "app1", "another client");
    let greedy = from(11, 1);
    greedy.ask(b"first").unwrap();
    (0..100).for_each(|_| _ = greedy.socket.send(b"more").unwrap());
    let counts = &balancer.listeners[0].datagrams;
    soon("the rest is dropped", || (counts.over_rate.load(Ordering::Relaxed) == 81).then_some(()));
    // Each of the five other sessions was asked for with one.
    soon("all others are heard", || (apps[0].heard() >= 20 + 4).then_some(()));
    thread::sleep(Duration::from_millis(100));
    assert_eq!(apps[0].heard(), 20 + 4, "what is over the rate is not passed on");
    assert_eq!(counts.homeless.load(Ordering::Relaxed), 1);
}

#[test]
fn a_silent_session_ends_sooner_where_nothing_speaks_for_its_client() {
    let apps = Datagrams::several("app", 1);
    let listener = "    udp: { idle: 10m, unproven: 200ms }\n";
    let balancer = Layer4::start(&udp(&all(&apps), &[], listener, ""));
    let (once, talks) = (Asker::from(client(1), balancer.address), Asker::from(client(2), balancer.address));
    let port = once.ask(b"one").unwrap().port;
    let kept = talks.ask(b"one").unwrap().port;
    assert_eq!(talks.ask(b"two").unwrap().port, kept);
    soon("one has ended", || (balancer.listeners[0].open() == 1).then_some(()));
    assert_ne!(once.ask(b"three").unwrap().port, port, "a new session");
    assert_eq!(talks.ask(b"three").unwrap().port, kept);
}

#[test]
fn sessions_and_bytes_are_counted() {
    let apps = Datagrams::several("app", 1);
    let listener = "    udp: { unproven: 200ms }\n";
    let balancer = Layer4::start(&udp(&all(&apps), &[], listener, ""));
    let asker = Asker::from(client(5), balancer.address);
    let answer = asker.ask_once(b"four").unwrap();
    let traffic = || balancer.current.load().pools[0].meter.traffic().backends[0].clone();
    soon("it is counted", || (traffic().total() == 1).then_some(()));
    let traffic = traffic();
    let sent = u64::try_from(format!("app1 {} four", answer.port).len()).unwrap();
    assert_eq!((traffic.received, traffic.sent), (4, sent), "{traffic:?}");
    assert_eq!(traffic.of(CodeClass::Success), 1);
    let datagrams = &balancer.listeners[0].datagrams;
    assert_eq!((datagrams.received.load(Ordering::Relaxed), datagrams.sent.load(Ordering::Relaxed)), (1, 1));
}

#[test]
fn tcp_and_udp_of_one_client_are_at_one_backend() {
    let tcp = Echo::several("app", 3);
    let apps: Vec<_> = (1..=3).map(|n| Datagrams::start(&format!("app{n}"))).collect();
    // The same ids, so the same places on the ring; addresses differ, as no port is free in both for sure.
    let balancer = Layer4::start(&udp(&all(&apps), &[], "", ""));
    let other = Layer4::start(&crate::support::layer4::tcp(&tcp.iter().collect::<Vec<_>>(), &[], "", ""));
    let mut seen = BTreeSet::new();
    for n in 0..40 {
        let by_udp = Asker::from(client(n), balancer.address).home();
        assert_eq!(Talk::from(client(n), other.address).unwrap().home, by_udp, "client {n}");
        seen.insert(by_udp);
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[test]
fn a_session_follows_its_backend_to_another_address() {
    let apps = Datagrams::several("app", 2);
    let balancer = Layer4::start(&udp(&all(&apps), &[], "", ""));
    let asker = Asker::from(client(at_home("app1", &balancer)), balancer.address);
    assert_eq!(asker.home(), "app1");
    let elsewhere = [Datagrams::start("app1"), Datagrams::start("app2")];
    balancer.reload(&udp(&[&elsewhere[0], &apps[1]], &[], "", ""));
    soon("the new address hears it", || {
        asker.ask(b"x").ok()?;
        (elsewhere[0].heard() > 0).then_some(())
    });
    assert_eq!(elsewhere[1].heard(), 0);
}

#[test]
fn answers_come_from_the_address_that_was_asked() {
    let apps = Datagrams::several("app", 1);
    let text = udp(&all(&apps), &[], "", "").replace("127.0.0.1:0", "0.0.0.0:0");
    let balancer = Layer4::start(&text);
    let port = balancer.address.port();
    // A connected socket takes nothing from elsewhere.
    for last in 1..5 {
        let to = ([127, 0, 3, last], port).into();
        assert_eq!(Asker::from(client(7), to).home(), "app1");
    }
    let socket = std::net::UdpSocket::bind((client(8), 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut room = [0; 64];
    let mut seen = BTreeSet::new();
    for last in 1..5 {
        socket.send_to(b"x", std::net::SocketAddr::from(([127, 0, 3, last], port))).unwrap();
        let (length, from) = socket.recv_from(&mut room).unwrap();
        assert_eq!(from, ([127, 0, 3, last], port).into());
        seen.insert(room[..length].to_vec());
    }
    assert_eq!(seen.len(), 4, "each of our addresses is asked in a session of its own");
}

#[test]
fn an_upgrade_moves_no_client() {
    let apps = Datagrams::several("app", 3);
    let (port, tcp) = (Port::reserve(), Echo::several("echo", 1));
    // The TCP listener tells when the program serves.
    // So that only what the old process hands over leads home: neither the hash nor what the state folder has.
    let pool = "    balance: { algorithm: round_robin }\n    affinity: { learn: { persist: false } }\n";
    let text = udp(&all(&apps), &[], "", pool)
        .replace("listeners:", "server: { pid_file: pid, threads: 2 }\nlisteners:")
        .replace(
            "pools:\n",
            &format!(
                "  - {{ name: tcp, protocol: tcp, address: \"{}\", pool: tcp }}\npools:\n  tcp: {{ backends: [ {{ id: echo1, \
                 address: \"{}\" }} ] }}\n",
                port.address(),
                tcp[0].address()
            ),
        );
    let program = Program::run(port, &text);
    let log = program.log();
    let address = log.lines().find_map(|line| line.split_once("listener udp on ")).unwrap().1;
    let address = address.trim().parse().unwrap();
    let before = homes(100, address);
    let open = Asker::from(client(1), address);
    let home = open.home();
    for _ in 0..2 {
        let old = program.pid();
        program.signal(Signal::SIGUSR2, "upgraded: process");
        assert_ne!(program.pid(), old);
        assert_eq!(moved(&before, &homes(100, address), |_| true), Vec::<String>::new(), "steady");
        assert_eq!(open.home(), home);
    }
}

#[test]
fn a_stop_ends_what_is_silent_and_nobody_new_is_served() {
    let apps = Datagrams::several("app", 1);
    let listener = "    udp: { idle: 10m, unproven: 300ms }\n";
    let mut balancer = Layer4::start(&udp(&all(&apps), &[], listener, ""));
    let asker = Asker::from(client(1), balancer.address);
    asker.ask(b"one").unwrap();
    asker.ask(b"two").unwrap();
    // Waits for the session, which has become a silent one.
    balancer.stop();
    asker.socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let refused = asker.ask_once(b"three").unwrap_err().kind();
    assert!(matches!(refused, ErrorKind::ConnectionRefused | ErrorKind::WouldBlock | ErrorKind::TimedOut));
    assert_eq!(apps[0].heard(), 2);
}
