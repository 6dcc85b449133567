//! Layer 4: TCP connections whose clients keep their backends.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use steadfast::config::checked::BackendState;
use steadfast::lifecycle::BackendChange;
use steadfast::listen::{ProxyVersion, proxy_header};
use steadfast::names::Reason;
use steadfast::telemetry::CodeClass;

use nix::sys::signal::Signal;

use crate::support::balancer::SHARED;
use crate::support::layer4::{Layer4, tcp};
use crate::support::ports::Port;
use crate::support::program::Program;
use crate::support::tcp::{Echo, Talk, client, homes};

fn all(apps: &[Echo]) -> Vec<&Echo> {
    apps.iter().collect()
}

/// How many of them each backend has; panics where a client was not served.
fn shares(homes: &[String], apps: &[&Echo]) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for home in homes {
        assert!(apps.iter().any(|app| app.name == *home), "{home}");
        *shares.entry(home.clone()).or_default() += 1;
    }
    shares
}

/// The clients that are elsewhere now, of those that `stayed` says are to stay.
fn moved(before: &[String], after: &[String], stays: impl Fn(&str) -> bool) -> Vec<String> {
    let both = before.iter().zip(after).enumerate();
    let moved = both.filter(|(_, (before, after))| stays(before) && before != after);
    moved
        .map(|(n, (before, after))| format!("{}: {before} → {after}", client(u32::try_from(n).unwrap())))
        .collect()
}

fn state(state: BackendState) -> BackendChange {
    BackendChange { state: Some(state), ..BackendChange::default() }
}

/// Waits until it is so.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if so() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("waited in vain: {what}");
}

#[test]
fn bytes_pass_untouched_and_a_half_closed_connection_goes_on() {
    let apps = Echo::several("app", 2);
    let balancer = Layer4::start(&tcp(&all(&apps), &[], "", ""));
    let mut talk = Talk::from(client(1), balancer.address).unwrap();
    let sent: Vec<u8> = (0..5_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let mut stream = talk.stream().try_clone().unwrap();
    let expected = sent.clone();
    let sending = thread::spawn(move || {
        stream.write_all(&sent).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    talk.stream().read_to_end(&mut received).unwrap();
    sending.join().unwrap();
    assert!(received == expected, "{} of {} bytes, or others", received.len(), expected.len());
    until("the connection is over", || apps.iter().all(|app| app.open() == 0));
}

#[test]
fn five_thousand_clients_stay_while_backends_come_and_go_and_weights_and_replicas_change() {
    const CLIENTS: u32 = 5000;
    let apps = Echo::several("app", 6);
    let of = |names: &[usize]| names.iter().map(|n| &apps[*n]).collect::<Vec<_>>();
    let text = |names: &[usize], weights| tcp(&of(names), weights, "", "");
    let balancer = Layer4::start(&text(&[0, 1, 2, 3], &[]));
    let before = homes(CLIENTS, balancer.address);
    let shares_before = shares(&before, &of(&[0, 1, 2, 3]));
    assert!(shares_before.values().all(|share| (900..1600).contains(share)), "{shares_before:?}");
    let everybody = |_: &str| true;
    // Added, reweighted, and one replica that knows the flows of another by the hash alone.
    let replica = Layer4::start(&text(&[0, 1, 2, 3], &[]));
    assert_eq!(
        moved(&before, &homes(CLIENTS, replica.address), everybody),
        Vec::<String>::new(),
        "another replica"
    );
    balancer.reload(&text(&[0, 1, 2, 3, 4, 5], &[]));
    assert_eq!(moved(&before, &homes(CLIENTS, balancer.address), everybody), Vec::<String>::new(), "added");
    balancer.reload(&text(&[0, 1, 2, 3, 4, 5], &[("app1", 7), ("app2", 0)]));
    assert_eq!(
        moved(&before, &homes(CLIENTS, balancer.address), everybody),
        Vec::<String>::new(),
        "reweighted"
    );
    // Taken out: it keeps its clients while it drains, and only they move when it is gone.
    balancer.reload(&text(&[0, 1, 2, 4, 5], &[]));
    assert_eq!(moved(&before, &homes(CLIENTS, balancer.address), everybody), Vec::<String>::new(), "drained");
    let newcomers = (CLIENTS..CLIENTS + 200).map(|n| Talk::from(client(n), balancer.address).unwrap().home);
    assert!(newcomers.into_iter().all(|home| home != "app4"), "a draining backend gets nobody new");
    balancer.reload(&text(&[0, 1, 2, 3, 4, 5], &[]));
    balancer.reload(&tcp(&of(&[0, 1, 2, 4, 5]), &[], "", "    removal: at_once\n"));
    let after = homes(CLIENTS, balancer.address);
    assert_eq!(moved(&before, &after, |home| home != "app4"), Vec::<String>::new(), "removed");
    assert!(!after.contains(&"app4".to_owned()));
    let of_app4: Vec<_> = before.iter().zip(&after).filter(|(before, _)| *before == "app4").collect();
    assert!(
        shares(&of_app4.iter().map(|(_, after)| (*after).clone()).collect::<Vec<_>>(), &all(&apps)).len()
            >= 4
    );
    balancer.reload(&text(&[0, 1, 2, 3, 4, 5], &[]));
    assert_eq!(
        moved(&after, &homes(CLIENTS, balancer.address), everybody),
        Vec::<String>::new(),
        "moved once"
    );
    let book = balancer.sessions();
    let moves: u64 = book.backends.iter().map(|backend| backend.moved_in).sum();
    assert_eq!(moves, u64::try_from(of_app4.len()).unwrap(), "{book:?}");
}

#[test]
fn clients_of_a_dead_backend_move_once_and_nobody_else_does() {
    let mut apps = Echo::several("app", 3);
    let balancer = Layer4::start(&tcp(&all(&apps), &[], "", "    health: { passive: { eject: 1s } }\n"));
    let before = homes(300, balancer.address);
    apps[0].stop();
    let after = homes(300, balancer.address);
    assert_eq!(moved(&before, &after, |home| home != "app1"), Vec::<String>::new());
    let shares = shares(&after, &[&apps[1], &apps[2]]);
    assert!(shares.len() == 2, "{shares:?}");
    apps[0].restart();
    until("it is up again", || {
        let newcomers = (0..3).map(|n| Talk::from(client(10_000 + n), balancer.address).unwrap().home);
        thread::sleep(Duration::from_millis(50));
        newcomers.into_iter().count() == 3
            && balancer.current.load().pools[0].pool.backends()[0].takes_new(steadfast::clock::Now::read())
    });
    assert_eq!(moved(&after, &homes(300, balancer.address), |_| true), Vec::<String>::new(), "moved once");
}

#[test]
fn a_connect_is_tried_elsewhere_only_where_the_client_has_no_home() {
    let mut apps = Echo::several("app", 2);
    let balancer = Layer4::start(&tcp(&all(&apps), &[], "", "    affinity: { suspect_hold: 3s }\n"));
    let at_home =
        (0..100).find(|n| Talk::from(client(*n), balancer.address).unwrap().home == "app1").unwrap();
    apps[0].stop();
    // Nobody has noticed yet: the first of these meets a refusal, and all are served.
    let fresh: Vec<_> = (1000..1030).map(|n| Talk::from(client(n), balancer.address).unwrap().home).collect();
    assert!(fresh.iter().all(|home| home == "app2"), "{fresh:?}");
    let address = balancer.address;
    let waiting = thread::spawn(move || Talk::from(client(at_home), address).unwrap().home);
    thread::sleep(Duration::from_millis(300));
    apps[0].restart();
    assert_eq!(waiting.join().unwrap(), "app1", "steady: a blip moves nobody who is at home there");
}

#[test]
fn whoever_is_new_waits_for_a_blip_where_nobody_else_is_left() {
    for settings in ["suspect_hold: 3s", "mode: none, suspect_hold: 3s", "mode: hash, suspect_hold: 3s"] {
        let mut apps = Echo::several("app", 1);
        let balancer =
            Layer4::start(&tcp(&all(&apps), &[], "", &format!("    affinity: {{ {settings} }}\n")));
        let address = balancer.address;
        assert!(Talk::from(client(1), address).is_ok());
        apps[0].stop();
        let waiting = [2, 3].map(|n| {
            let waiting = thread::spawn(move || Talk::from(client(n), address).map(|talk| talk.home).ok());
            thread::sleep(Duration::from_millis(100));
            waiting
        });
        apps[0].restart();
        let homes = waiting.map(|one| one.join().unwrap());
        assert_eq!(homes, [(); 2].map(|()| Some("app1".to_owned())), "{settings}");
    }
}

#[test]
fn a_draining_backend_keeps_its_clients_and_connections_until_the_deadline() {
    let apps = Echo::several("app", 2);
    let balancer = Layer4::start(&tcp(&all(&apps), &[], "", ""));
    let n = (0..100).find(|n| Talk::from(client(*n), balancer.address).unwrap().home == "app1").unwrap();
    let mut open = Talk::from(client(n), balancer.address).unwrap();
    balancer.control.change("app", "app1", &state(BackendState::Draining)).unwrap();
    assert_eq!(open.echo("still here").unwrap(), "still here");
    assert_eq!(Talk::from(client(n), balancer.address).unwrap().home, "app1", "drained: known clients stay");
    let fresh: Vec<_> = (1000..1040).map(|n| Talk::from(client(n), balancer.address).unwrap().home).collect();
    assert!(fresh.iter().all(|home| home == "app2"), "drained: nobody new");
    let short = BackendChange { deadline: Some(Duration::from_millis(100)), ..state(BackendState::Draining) };
    balancer.control.change("app", "app1", &short).unwrap();
    open.wait_for_end();
    assert_eq!(Talk::from(client(n), balancer.address).unwrap().home, "app2", "the deadline has passed");
    let mut open = Talk::from(client(n), balancer.address).unwrap();
    balancer.control.change("app", "app1", &state(BackendState::Up)).unwrap();
    balancer.control.change("app", "app2", &state(BackendState::Maintenance)).unwrap();
    open.wait_for_end();
    assert_eq!(Talk::from(client(n), balancer.address).unwrap().home, "app1");
}

#[test]
fn clients_of_one_network_are_one_client() {
    let apps = Echo::several("app", 4);
    let pool = "    affinity: { source_address: { ipv4_prefix: 16 } }\n";
    let balancer = Layer4::start(&tcp(&all(&apps), &[], "", pool));
    let home = |b, d| Talk::from([127, b, 3, d].into(), balancer.address).unwrap().home;
    assert!((1..20).all(|d| home(1, d) == home(1, 77)), "one network, one backend");
    assert!((1..40).any(|b| home(b, 1) != home(1, 1)), "another network may be elsewhere");
}

#[test]
fn a_silent_connection_is_ended_and_a_busy_one_is_not() {
    let apps = Echo::several("app", 1);
    let balancer = Layer4::start(&tcp(&all(&apps), &[], "    tcp: { idle: 2s }\n", ""));
    let mut silent = Talk::from(client(1), balancer.address).unwrap();
    let mut busy = Talk::from(client(2), balancer.address).unwrap();
    let ended = thread::spawn(move || silent.wait_for_end());
    while !ended.is_finished() {
        assert_eq!(busy.echo("x").unwrap(), "x");
        thread::sleep(Duration::from_millis(100));
    }
    for _ in 0..10 {
        assert_eq!(busy.echo("x").unwrap(), "x", "it is not idle");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn limits_hold_for_connections_and_who_is_at_home_waits() {
    let apps = Echo::several("app", 2);
    let pool = "    limits: { connections_per_backend: 1, queue: { length: 1, wait: 20s } }\n";
    let balancer = Layer4::start(&tcp(&all(&apps), &[], "    limits: { connections: 3 }\n", pool));
    let mut first = Talk::from(client(1), balancer.address).unwrap();
    let (address, home) = (balancer.address, first.home.clone());
    let other = (2..100).map(|n| Talk::from(client(n), address).unwrap().home).find(|other| *other != home);
    assert!(other.is_some(), "a new client goes where there is room");
    let waiting = thread::spawn(move || Talk::from(client(1), address).unwrap().home);
    until("it waits", || {
        balancer.current.load().pools[0].pool.backends().iter().any(|b| b.live().waiting() == 1)
    });
    assert!(Talk::from(client(1), address).is_err(), "the queue is full");
    first.stream().shutdown(Shutdown::Both).unwrap();
    drop(first);
    assert_eq!(waiting.join().unwrap(), home, "a full backend's own clients wait for it");
    let held: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    until("three are open", || {
        std::net::TcpStream::connect(address).unwrap().read(&mut [0; 8]).is_ok_and(|read| read == 0)
    });
    drop(held);
}

#[test]
fn new_clients_that_wait_go_wherever_there_is_room_first_and_stay_there() {
    let apps = Echo::several("app", 2);
    let pool = "    limits: { connections_per_backend: 1, queue: { wait: 10s } }\n";
    let balancer = Layer4::start(&tcp(&all(&apps), &[], "", pool));
    let address = balancer.address;
    let first = Talk::from(client(1), address).unwrap();
    let other = Talk::from(client(2), address).unwrap();
    assert_ne!(first.home, other.home, "each of the two is full");
    let waiting =
        || balancer.current.load().pools[0].pool.backends().iter().map(|b| b.live().waiting()).sum::<usize>();
    let new: Vec<_> = (10..18)
        .map(|n| thread::spawn(move || Talk::from(client(n), address).map(|talk| talk.home).ok()))
        .collect();
    until("all of them wait", || waiting() == 8);
    let home = other.home.clone();
    drop(other);
    for new in new {
        assert_eq!(new.join().unwrap(), Some(home.clone()), "the other one is still full");
    }
    drop(first);
    for n in 10..18 {
        until("there is room again", || balancer.listeners[0].open() == 0);
        assert_eq!(Talk::from(client(n), address).unwrap().home, home, "steady");
    }
}

#[test]
fn parallel_first_connections_that_wait_come_to_one_backend() {
    let apps = Echo::several("app", 2);
    let pool = "    limits: { connections_per_backend: 1, queue: { wait: 60s } }\n";
    let balancer = Layer4::start(&tcp(&all(&apps), &[], "", pool));
    let address = balancer.address;
    let state = || -> Vec<(u32, usize)> {
        let snapshot = balancer.current.load();
        let backends = snapshot.pools[0].pool.backends().iter().map(|backend| backend.live());
        backends.map(|live| (live.in_flight(), live.waiting())).collect()
    };
    // Whichever of the two the hash prefers: one of these clients is led to each.
    for n in 10..18 {
        let mut held: Vec<_> = [1, 2].map(|n| Talk::from(client(n), address).unwrap()).into();
        held.sort_by(|one, other| one.home.cmp(&other.home));
        let both: Vec<_> =
            [(); 2].map(|()| thread::spawn(move || Talk::from(client(n), address).unwrap())).into();
        until("both wait", || state().iter().map(|(_, waiting)| waiting).sum::<usize>() == 2);
        drop(held.pop());
        until("one is in", || both.iter().any(|talk| talk.is_finished()));
        drop(held);
        until("the other one waits for it", || state() == [(0, 0), (1, 1)]);
        let (first, second): (Vec<_>, _) = both.into_iter().partition(|talk| talk.is_finished());
        for talk in first.into_iter().chain(second) {
            assert_eq!(talk.join().unwrap().home, "app2", "client {n}");
        }
        until("all have gone", || state() == [(0, 0), (0, 0)]);
    }
}

#[test]
fn algorithms_that_do_not_hash_keep_clients_too() {
    let apps = Echo::several("app", 3);
    for algorithm in ["round_robin", "random", "least_connections"] {
        let pool = format!("    balance: {{ algorithm: {algorithm} }}\n");
        let balancer = Layer4::start(&tcp(&all(&apps), &[], "", &pool));
        let before = homes(120, balancer.address);
        assert_eq!(shares(&before, &all(&apps)).len(), 3, "{algorithm}");
        assert_eq!(
            moved(&before, &homes(120, balancer.address), |_| true),
            Vec::<String>::new(),
            "{algorithm}"
        );
        let learned = balancer.sessions().backends.iter().map(|backend| backend.created).sum::<u64>();
        assert_eq!(learned, 120);
    }
}

#[test]
fn without_affinity_connections_are_balanced_one_by_one() {
    let apps = Echo::several("app", 2);
    let pool = "    affinity: { mode: none }\n    balance: { algorithm: round_robin }\n";
    let balancer = Layer4::start(&tcp(&all(&apps), &[], "", pool));
    let homes: Vec<_> = (0..10).map(|_| Talk::from(client(1), balancer.address).unwrap().home).collect();
    assert_eq!(shares(&homes, &all(&apps)), BTreeMap::from([("app1".to_owned(), 5), ("app2".to_owned(), 5)]));
}

#[test]
fn a_lost_backend_is_fatal_where_that_is_wanted() {
    let mut apps = Echo::several("app", 2);
    let pool = "    affinity: { on_lost_backend: fail, suspect_hold: 0s }\n";
    let balancer = Layer4::start(&tcp(&all(&apps), &[], "", pool));
    let home = Talk::from(client(1), balancer.address).unwrap().home;
    let at = apps.iter().position(|app| app.name == home).unwrap();
    apps[at].stop();
    for _ in 0..3 {
        assert!(Talk::from(client(1), balancer.address).is_err());
    }
    assert!((2..20).all(|n| Talk::from(client(n), balancer.address).is_ok()));
}

#[test]
fn known_clients_are_known_after_a_restart() {
    let apps = Echo::several("app", 3);
    let text = tcp(&all(&apps), &[], "", "    balance: { algorithm: round_robin }\n");
    let mut balancer = Layer4::start(&text);
    let before = homes(60, balancer.address);
    let requests =
        |balancer: &Layer4| balancer.sessions().backends.iter().map(|b| b.live.learned).sum::<u64>();
    assert_eq!(requests(&balancer), 60);
    balancer.stop();
    let again = balancer.again(&text);
    assert_eq!(moved(&before, &homes(60, again.address), |_| true), Vec::<String>::new());
    assert_eq!(again.counts.of(Reason::Learned), 60, "by the flow table");
}

#[test]
fn an_upgrade_breaks_no_connection_and_moves_no_client() {
    let apps = Echo::several("app", 3);
    let port = Port::reserve();
    let text = tcp(&all(&apps), &[], "", "    balance: { algorithm: round_robin }\n")
        .replace("127.0.0.1:0", &port.address().to_string())
        .replace("listeners:", "server: { pid_file: pid, threads: 2 }\nlisteners:");
    let program = Program::run(port, &text);
    let before = homes(100, program.address);
    let mut open = Talk::from(client(1), program.address).unwrap();
    for _ in 0..2 {
        let old = program.pid();
        program.signal(Signal::SIGUSR2, "upgraded: process");
        assert_ne!(program.pid(), old);
        assert_eq!(open.echo("in the old process").unwrap(), "in the old process", "whole");
        assert_eq!(moved(&before, &homes(100, program.address), |_| true), Vec::<String>::new(), "steady");
    }
}

#[test]
fn a_trusted_proxy_in_front_says_who_the_client_is_and_nobody_else_does() {
    let apps = Echo::several("app", 4);
    let proxies = "    proxy_protocol: { trusted: [127.9.0.0/16] }\n    timeouts: { handshake: 500ms }\n";
    let balancer = Layer4::start(&tcp(&all(&apps), &[], proxies, ""));
    let through = |client: u8| {
        let header = proxy_header(
            ProxyVersion::V2,
            SocketAddr::from(([203, 0, 113, client], 4711)),
            SocketAddr::from(([192, 0, 2, 1], 636)),
        );
        Talk::saying(&header, [127, 9, 0, 1].into(), balancer.address)
    };
    let homes: Vec<_> = (1..40).map(|client| through(client).unwrap().home).collect();
    assert_eq!(shares(&homes, &all(&apps)).len(), 4, "they are told apart");
    let again: Vec<_> = (1..40).map(|client| through(client).unwrap().home).collect();
    assert_eq!(moved(&homes, &again, |_| true), Vec::<String>::new());
    assert!(
        Talk::from([127, 9, 0, 2].into(), balancer.address).is_err(),
        "without its header it is not served"
    );
    let header = b"PROXY TCP4 203.0.113.1 192.0.2.1 1 2\r\n";
    let mut stranger = Talk::saying(header, client(1), balancer.address).unwrap();
    let said = stranger.echo("x").unwrap();
    assert!(said.starts_with("PROXY TCP4"), "not believed, and passed on: {said}");
}

/// The first message of a TLS client, as rustls writes it.
pub(crate) fn client_hello(server_name: &str, alpn: &[&str]) -> Vec<u8> {
    let roots = rustls::RootCertStore::empty();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let name = rustls::pki_types::ServerName::try_from(server_name.to_owned()).unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}

#[test]
fn tls_passes_through_untouched_to_the_pool_of_its_server_name() {
    let apps = Echo::several("app", 3);
    let pool = |n: usize| {
        format!("{{ backends: [ {{ id: {}, address: \"{}\" }} ] }}", apps[n].name, apps[n].address())
    };
    let balancer = Layer4::start(&format!(
        "version: 1\nstate_dir: state\n{SHARED}listeners:\n  - name: tls\n    protocol: tcp\n    address: 127.0.0.1:0\n    tcp: {{ first_bytes: \
         1s }}\n    tls_routes:\n      - {{ server_name: a.test, alpn: [imap], pool: one }}\n      - {{ server_name: [a.test, \"*.b.test\"], pool: two }}\n    \
         pool: rest\npools:\n  one: {}\n  two: {}\n  rest: {}\n",
        pool(0),
        pool(1),
        pool(2)
    ));
    let ask = |bytes: &[u8]| {
        let mut talk = Talk::saying(bytes, client(1), balancer.address).unwrap();
        let mut back = vec![0; bytes.len()];
        talk.read_exact(&mut back).unwrap();
        assert!(back == bytes, "every byte goes on as it came");
        talk.home
    };
    assert_eq!(ask(&client_hello("a.test", &["h2", "imap"])), "app1");
    assert_eq!(ask(&client_hello("a.test", &["h2"])), "app2");
    assert_eq!(ask(&client_hello("x.b.test", &[])), "app2");
    assert_eq!(ask(&client_hello("b.test", &["imap"])), "app3");
    assert_eq!(ask(b"GET / HTTP/1.1\r\n\r\n"), "app3", "HTTP on the TLS port");
    assert_eq!(ask(b"\x16\x03\x01\x00\x00garbage"), "app3");
    assert_eq!(ask(&client_hello("a.test", &[])[..40]), "app3", "half a hello, until patience ends");
    assert_eq!(Talk::from(client(2), balancer.address).unwrap().home, "app3", "silence");
    let endless = [&[22, 3, 1, 0x40, 0, 1, 0, 0xFF, 0xFF][..], &[0; (16 << 10) - 4]].concat();
    assert_eq!(ask(&endless), "app3");
}

#[test]
fn a_device_is_known_by_the_name_that_it_gives_itself() {
    let apps = Echo::several("app", 4);
    let pool = "    affinity: { client_name: mqtt_client_id }\n";
    let balancer = Layer4::start(&tcp(&all(&apps), &[], "", pool));
    let connect = |device: u8, from: u32| {
        let packet = [&b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3C\x00\x04dev"[..], &[device]].concat();
        Talk::saying(&packet, client(from), balancer.address).unwrap().home
    };
    let homes: Vec<_> = (0..40).map(|device| connect(device, 1)).collect();
    assert_eq!(shares(&homes, &all(&apps)).len(), 4, "one address, many devices");
    let again: Vec<_> = (0..40).map(|device| connect(device, 100 + u32::from(device))).collect();
    assert_eq!(moved(&homes, &again, |_| true), Vec::<String>::new(), "steady: another address");
}

#[test]
fn backends_are_told_the_clients_address_where_they_want_it() {
    let apps = Echo::several("app", 1);
    let balancer = Layer4::start(&tcp(&all(&apps), &[], "", "    proxy_protocol: v1\n"));
    let mut talk = Talk::from(client(5), balancer.address).unwrap();
    let own = talk.stream().local_addr().unwrap();
    let said = talk.echo("x").unwrap();
    let expected = format!(
        "PROXY TCP4 {} {} {} {}",
        own.ip(),
        balancer.address.ip(),
        own.port(),
        balancer.address.port()
    );
    assert_eq!(said, expected);
    assert_eq!(talk.echo("y").unwrap(), "x");
}

#[test]
fn connections_and_their_bytes_are_counted() {
    let apps = Echo::several("app", 1);
    let balancer = Layer4::start(&tcp(&all(&apps), &[], "", ""));
    let mut talk = Talk::from(client(5), balancer.address).unwrap();
    assert_eq!(talk.echo("four").unwrap(), "four");
    talk.stream().shutdown(Shutdown::Write).unwrap();
    talk.wait_for_end();
    let traffic = || balancer.current.load().pools[0].meter.traffic().backends[0].clone();
    until("it is counted", || traffic().total() == 1);
    let traffic = traffic();
    assert_eq!((traffic.received, traffic.sent), (5, 5 + 5), "{traffic:?}");
    assert_eq!(traffic.of(CodeClass::Success), 1);
    let decided = balancer.current.load().pools[0].meter.traffic().decided;
    assert_eq!(decided.iter().sum::<u64>(), 1, "each connection is decided once: {decided:?}");
}
