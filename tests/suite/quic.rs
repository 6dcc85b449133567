//! Layer 4: clients of QUIC, who keep their backend when their address changes.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use steadfast::config::checked::BackendState;
use steadfast::lifecycle::BackendChange;
use steadfast::names::Reason;
use tokio::runtime::Runtime;

use crate::support::eventually::soon;
use crate::support::layer4::Layer4;
use crate::support::quic::{Client, Server, Trust, Writes};
use crate::support::tcp::client;
use crate::support::udp::{Asker, Datagrams, udp};

const KEY: [u8; 16] = *b"sixteen octets..";
/// Runs into several datagrams of one piece.
const MUCH: usize = 300_000;

/// A form of connection ids: how long server id and nonce are, and the key.
struct Form {
    server_id: usize,
    nonce: usize,
    key: Option<[u8; 16]>,
}

impl Form {
    fn writes(&self, n: u8) -> Writes {
        let server_id = (1..).take(self.server_id - 1).chain([n]).collect();
        Writes { config_id: 3, server_id, nonce_length: self.nonce, key: self.key }
    }

    /// What the balancer is told of servers `app1` and so on.
    fn configured(&self, servers: u8, folder: &std::path::Path) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let ids = (1..=servers).map(|n| format!("app{n}: \"{}\"", hex(&self.writes(n).server_id)));
        let ids = ids.collect::<Vec<_>>().join(", ");
        let key = self.key.map(|key| {
            let file = folder.join("quic.key");
            std::fs::write(&file, hex(&key)).unwrap();
            format!(", key: {{ file: \"{}\" }}", file.display())
        });
        format!(
            "    quic: {{ connection_id: {{ config_id: 3, nonce_length: {}, encodes_length: true, server_ids: {{ {ids} }}{} }} }}\n",
            self.nonce,
            key.unwrap_or_default()
        )
    }
}

fn configuration(servers: &[Server], pool: &str) -> String {
    let backend = |server: &Server| format!("{{ id: {}, address: \"{}\" }}", server.name, server.address);
    let backends: Vec<_> = servers.iter().map(backend).collect();
    udp(&[], &[], "", pool).replace("backends: [  ]", &format!("backends: [ {} ]", backends.join(", ")))
}

/// A connected client, its home, and addresses whose home is elsewhere.
async fn client_and_elsewhere(balancer: &Layer4, trust: &Trust) -> (Client, String, Vec<Ipv4Addr>) {
    let mover = Client::connect(client(1), balancer.address, trust).await;
    let home = mover.home(1).await.unwrap();
    let mut elsewhere = Vec::new();
    for n in 2.. {
        let other = Client::connect(client(n), balancer.address, trust).await;
        if other.home(1).await.unwrap() != home {
            elsewhere.push(client(n));
        }
        if elsewhere.len() == 3 {
            break;
        }
    }
    (mover, home, elsewhere)
}

#[test]
fn a_client_that_changes_its_network_keeps_its_backend() {
    let forms = [
        Form { server_id: 3, nonce: 5, key: None },
        Form { server_id: 4, nonce: 12, key: Some(KEY) },
        Form { server_id: 3, nonce: 6, key: Some(KEY) },
        Form { server_id: 10, nonce: 4, key: Some(KEY) },
    ];
    let (runtime, trust, folder) = (Runtime::new().unwrap(), Trust::new(), tempfile::tempdir().unwrap());
    for form in &forms {
        runtime.block_on(async {
            let start = |n: u8| Server::start(&format!("app{n}"), &trust, Some(form.writes(n)));
            let servers: Vec<_> = (1..=3).map(start).collect();
            let text = configuration(&servers, &form.configured(3, folder.path()));
            let balancer = Layer4::start(&text);
            let (mover, home, elsewhere) = client_and_elsewhere(&balancer, &trust).await;
            for address in &elsewhere[..2] {
                mover.moves_to(*address);
                assert_eq!(mover.home(1).await.as_ref(), Ok(&home), "steady");
                assert_eq!(mover.home(MUCH).await.as_ref(), Ok(&home), "steady");
            }
            let route = Reason::ALL.iter().position(|reason| *reason == Reason::Route).unwrap();
            let by_id = balancer.current.load().pools[0].meter.traffic().decided[route];
            assert!(by_id >= 2, "{by_id} sessions went by a connection id");
            let draining = BackendChange { state: Some(BackendState::Draining), ..BackendChange::default() };
            balancer.control.change("app", &home, &draining).unwrap();
            mover.moves_to(elsewhere[2]);
            assert_eq!(mover.home(MUCH).await.as_ref(), Ok(&home), "drained: it keeps its own");
            let newcomer = Client::connect(client(500), balancer.address, &trust).await;
            assert_ne!(newcomer.home(1).await.as_ref(), Ok(&home), "drained: nobody new");
        });
    }
}

#[test]
fn without_connection_ids_it_loses_its_connection() {
    let (runtime, trust) = (Runtime::new().unwrap(), Trust::new());
    runtime.block_on(async {
        let servers: Vec<_> = (1..=3).map(|n| Server::start(&format!("app{n}"), &trust, None)).collect();
        let balancer = Layer4::start(&configuration(&servers, ""));
        let (mover, _, elsewhere) = client_and_elsewhere(&balancer, &trust).await;
        mover.moves_to(elsewhere[0]);
        assert!(mover.home(1).await.is_err(), "its datagrams reach a server that does not know it");
    });
}

#[test]
fn a_change_of_keys_loses_nobody_while_both_are_in_force() {
    let (runtime, trust, folder) = (Runtime::new().unwrap(), Trust::new(), tempfile::tempdir().unwrap());
    let form = Form { server_id: 3, nonce: 6, key: Some(KEY) };
    runtime.block_on(async {
        let start = |n: u8| Server::start(&format!("app{n}"), &trust, Some(form.writes(n)));
        let servers: Vec<_> = (1..=3).map(start).collect();
        let pool = form.configured(3, folder.path());
        let balancer = Layer4::start(&configuration(&servers, &pool));
        let (mover, home, elsewhere) = client_and_elsewhere(&balancer, &trust).await;
        // Another key is on its way: both are in force.
        let (before, form) = pool.split_once("connection_id: ").unwrap();
        let form = form.trim_end().strip_suffix(" }").unwrap();
        let newer = form.replace("config_id: 3", "config_id: 4");
        balancer
            .reload(&configuration(&servers, &format!("{before}connection_id: [ {newer}, {form} ] }}\n")));
        mover.moves_to(elsewhere[0]);
        assert_eq!(mover.home(MUCH).await.as_ref(), Ok(&home), "steady");
        // The older one is gone: its ids say nothing any more.
        balancer.reload(&configuration(&servers, &format!("{before}connection_id: {newer} }}\n")));
        mover.moves_to(elsewhere[1]);
        assert!(mover.home(1).await.is_err());
    });
}

/// A short header with a connection id in the clear.
fn short(config_id: u8, server_id: &[u8]) -> Vec<u8> {
    [&[0x40, config_id << 5 | 7], server_id, b"4567", b"payload"].concat()
}

/// A long header of version 1, of a type.
fn long(kind: u8, id: &[u8]) -> Vec<u8> {
    let length = u8::try_from(id.len()).unwrap();
    [&[0xc0 | kind << 4, 0, 0, 0, 1, length], id, b"\x00payload"].concat()
}

const CLEAR: &str = "    quic: { connection_id: { nonce_length: 4, server_ids: { app1: \"000001\", app2: \"000002\", app3: \"000003\" } } }\n";

#[test]
fn an_id_leads_to_its_backend_and_all_else_goes_by_the_address() {
    let apps = Datagrams::several("app", 3);
    let balancer = Layer4::start(&udp(&apps.iter().collect::<Vec<_>>(), &[], "", CLEAR));
    for n in 0..20 {
        let asker = Asker::from(client(n), balancer.address);
        let first = asker.ask(b"\xffby address").unwrap();
        let other = (1..=3).find(|n| format!("app{n}") != first.home).unwrap();
        let (own, id) = (first.home.strip_prefix("app").unwrap().parse().unwrap(), [0, 0, other]);
        let by_id = asker.ask(&short(0, &id)).unwrap();
        assert_eq!(by_id.home, format!("app{other}"));
        assert_eq!(
            asker.ask(&long(2, &short(0, &id)[1..9])).unwrap(),
            crate::support::udp::Answer { rest: long(2, &short(0, &id)[1..9]), ..by_id.clone() }
        );
        // One way to one backend, whoever it is found by.
        assert_eq!(asker.ask(&short(0, &[0, 0, own])).unwrap().port, first.port);
        for unsaid in [
            short(0, &[0, 0, 9]),
            short(1, &id),
            short(7, &id),
            long(0, &short(0, &id)[1..9]),
            long(1, &short(0, &id)[1..9]),
            long(2, &short(0, &id)[1..7]),
            b"\x40".to_vec(),
        ] {
            assert_eq!(asker.ask(&unsaid).unwrap().port, first.port, "client {n}: {unsaid:x?}");
        }
    }
}

#[test]
fn an_id_of_a_backend_that_takes_nothing_goes_by_the_address() {
    let mut apps = Datagrams::several("app", 3);
    let balancer = Layer4::start(&udp(&apps.iter().collect::<Vec<_>>(), &[], "", CLEAR));
    let at = |app: &str| (0..).find(|n| Asker::from(client(*n), balancer.address).home() == app).unwrap();
    let asker = Asker::from(client(at("app1")), balancer.address);
    let by_address = asker.ask(b"\xffby address").unwrap().port;
    assert_eq!(asker.ask(&short(0, &[0, 0, 2])).unwrap().home, "app2");
    let out = BackendChange { state: Some(BackendState::Maintenance), ..BackendChange::default() };
    balancer.control.change("app", "app2", &out).unwrap();
    soon("it goes by the address", || {
        (asker.ask(&short(0, &[0, 0, 2])).ok()?.port == by_address).then_some(())
    });
    apps[2].stop();
    soon("it goes by the address", || {
        (asker.ask(&short(0, &[0, 0, 3])).ok()?.port == by_address).then_some(())
    });
}

#[test]
fn a_flood_with_ids_stays_within_the_bounds_of_all_sessions_and_teaches_nothing() {
    let apps = Datagrams::several("app", 3);
    let listener = "    limits: { connections: 60 }\n    udp: { idle: 10m, unproven: 5m }\n";
    let balancer = Layer4::start(&udp(&apps.iter().collect::<Vec<_>>(), &[], listener, CLEAR));
    let talking = Asker::from(client(1), balancer.address);
    let port = talking.ask(b"one").unwrap().port;
    assert_eq!(talking.ask(b"two").unwrap().port, port);
    let known = || balancer.current.load().pools[0].policy.learned.len();
    let before = known();
    apps.iter().for_each(|app| app.mute(true));
    for n in 0..1000 {
        let flood = Asker::from(client(1000 + n), balancer.address);
        flood.socket.send(&short(0, &[0, 0, 1])).unwrap();
        if n % 100 == 99 {
            soon("bounded", || (balancer.listeners[0].open() <= 60).then_some(()));
        }
    }
    let heard = || apps.iter().map(Datagrams::heard).sum::<u64>();
    soon("the newest of them are served", || (heard() > 50).then_some(()));
    assert_eq!(known(), before, "an id says nothing of an address");
    soon("the flood is over", || {
        let received = || balancer.listeners[0].datagrams.received.load(Ordering::Relaxed);
        let before = received();
        thread::sleep(Duration::from_millis(200));
        (received() == before).then_some(())
    });
    apps.iter().for_each(|app| app.mute(false));
    assert_eq!(talking.ask(b"three").unwrap().port, port, "who talks stays");
}

#[test]
fn sessions_of_ids_count_among_those_that_a_client_may_have() {
    let apps = Datagrams::several("app", 3);
    let listener = "    limits: { connections_per_client: 3 }\n";
    let balancer = Layer4::start(&udp(&apps.iter().collect::<Vec<_>>(), &[], listener, CLEAR));
    // One address, one port, and each of the backends.
    let greedy = Asker::from(client(5000), balancer.address);
    let ports: BTreeSet<_> = (1..=3).map(|n| greedy.ask(&short(0, &[0, 0, n])).unwrap().port).collect();
    assert_eq!(ports.len(), 3);
    greedy.socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(greedy.ask_once(b"\xffby address").is_err(), "a fourth is one too many");
}
