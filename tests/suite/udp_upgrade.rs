//! Layer 4: an upgrade hands sessions of UDP over with their sockets, so that backends see nothing of it.

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::eventually::soon;
use crate::support::ports::Port;
use crate::support::program::Program;
use crate::support::quic::Writes;
use crate::support::tcp::{Echo, Talk, client};
use crate::support::udp::{Answer, Asker, Datagrams, udp};

/// So that nothing ends by itself, however slow the machine is.
const LONG: &str = "    udp: { idle: 10m, unproven: 10m }\n";

/// A process with a listener of UDP and one of TCP, which tells when it serves.
struct Balancer {
    program: Program,
    udp: SocketAddr,
    echo: Echo,
}

impl Balancer {
    fn start(apps: &[Datagrams], listener: &str, pool: &str) -> Self {
        Self::start_on("127.0.0.1:0", apps, listener, pool)
    }

    fn start_on(address: &str, apps: &[Datagrams], listener: &str, pool: &str) -> Self {
        let (port, echo) = (Port::reserve(), Echo::start("echo"));
        let text = configuration(apps, listener, pool, &port.address(), &echo);
        let text = text.replace("address: 127.0.0.1:0\n", &format!("address: {address}\n"));
        let program = Program::run(port, &text);
        let log = program.log();
        let udp = log.lines().find_map(|line| line.split_once("listener udp on ")).unwrap().1;
        let udp = udp.trim().parse().unwrap();
        Self { program, udp, echo }
    }

    /// Another process takes over; gives the old one and the new one.
    fn upgrade(&self) -> (Pid, Pid) {
        let old = self.program.pid();
        // From a moment after it has said that it serves, or serves again.
        soon("it is succeeded", || {
            self.program.signal(Signal::SIGUSR2, "upgraded").contains("upgraded: process").then_some(())
        });
        let new = self.program.pid();
        assert_ne!(old, new);
        (old, new)
    }

    /// Keeps the process that serves from ending when another one takes over.
    fn busy(&self) -> Talk {
        Talk::from(client(0), self.program.address).unwrap()
    }

    fn askers(&self, count: u32) -> Vec<Asker> {
        (0..count).map(|n| Asker::from(client(n), self.udp)).collect()
    }
}

fn configuration(apps: &[Datagrams], listener: &str, pool: &str, serves: &SocketAddr, echo: &Echo) -> String {
    let tcp = format!(
        "  - {{ name: tcp, protocol: tcp, address: \"{serves}\", pool: tcp }}\npools:\n  tcp: {{ backends: [ {{ id: echo1, address: \
         \"{}\" }} ] }}\n",
        echo.address()
    );
    // So that only what the old process hands over leads home: neither the hash nor what the state folder has.
    let pool = format!(
        "    balance: {{ algorithm: round_robin }}\n    affinity: {{ learn: {{ persist: false }} }}\n{pool}"
    );
    udp(&apps.iter().collect::<Vec<_>>(), &[], listener, &pool)
        .replace("listeners:", "server: { pid_file: pid, threads: 2 }\nlisteners:")
        .replace("pools:\n", &tcp)
}

fn ask_all(askers: &[Asker], what: &[u8]) -> Vec<Answer> {
    askers.iter().map(|asker| asker.ask(what).unwrap()).collect()
}

/// Who is somewhere else now, or comes from another port.
fn changed(before: &[Answer], after: &[Answer]) -> Vec<String> {
    let both = before.iter().zip(after).enumerate();
    let changed =
        both.filter(|(_, (before, after))| (&before.home, before.port) != (&after.home, after.port));
    changed.map(|(n, (before, after))| format!("{n}: {before:?} → {after:?}")).collect()
}

fn descriptors(of: Pid) -> usize {
    fs::read_dir(format!("/proc/{of}/fd")).map_or(0, Iterator::count)
}

#[test]
fn backends_see_each_session_from_the_same_port_and_reach_it_unasked() {
    let apps = Datagrams::several("app", 3);
    let balancer = Balancer::start(&apps, LONG, "");
    let askers = balancer.askers(400);
    let before = ask_all(&askers, b"one");
    // Some of them have proven their address, the others have not.
    ask_all(&askers[..150], b"two");
    for turn in 0..2 {
        balancer.upgrade();
        let mut room = [0; 64];
        for (asker, answer) in askers.iter().zip(&before).step_by(3) {
            let home = apps.iter().find(|app| app.name == answer.home).unwrap();
            home.say(answer.port, b"unasked");
            let length = asker.socket.recv(&mut room).unwrap();
            assert_eq!(&room[..length], b"unasked", "turn {turn}");
        }
        let after = ask_all(&askers, format!("turn {turn}").as_bytes());
        assert_eq!(changed(&before, &after), Vec::<String>::new(), "turn {turn}");
    }
}

#[test]
fn clients_that_talk_during_upgrades_miss_no_answer_and_get_them_in_order() {
    const CLIENTS: u32 = 60;
    let apps = Datagrams::several("app", 3);
    let balancer = Balancer::start(&apps, LONG, "");
    // So that it takes a while: some datagrams are there before their sessions.
    let silent = balancer.askers(1500);
    ask_all(&silent, b"one");
    let (over, rounds) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        for first in 0..4 {
            let (udp, over, rounds) = (balancer.udp, &over, &rounds);
            scope.spawn(move || {
                let askers: Vec<_> =
                    (first..CLIENTS).step_by(4).map(|n| Asker::from(client(n), udp)).collect();
                askers
                    .iter()
                    .for_each(|it| it.socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap());
                let before: Vec<_> = askers.iter().map(|asker| asker.ask_once(b"first").unwrap()).collect();
                while !over.load(Ordering::SeqCst) {
                    let round = rounds.fetch_add(1, Ordering::SeqCst);
                    for asker in &askers {
                        (0..3)
                            .for_each(|n| _ = asker.socket.send(format!("{round}/{n}").as_bytes()).unwrap());
                    }
                    for (asker, Answer { home, port, .. }) in askers.iter().zip(&before) {
                        for n in 0..3 {
                            let mut room = [0; 64];
                            let length = asker.socket.recv(&mut room).unwrap();
                            let answer = String::from_utf8_lossy(&room[..length]);
                            assert_eq!(
                                answer,
                                format!("{home} {port} {round}/{n}"),
                                "all, in order, one port"
                            );
                        }
                    }
                }
            });
        }
        let more = |rounds: &AtomicU32| {
            let before = rounds.load(Ordering::SeqCst);
            soon("they talk", || (rounds.load(Ordering::SeqCst) > before + 8).then_some(()));
        };
        // Ends them also where something fails here.
        let _over = Ends(&over);
        for _ in 0..3 {
            more(&rounds);
            balancer.upgrade();
        }
        more(&rounds);
    });
}

struct Ends<'o>(&'o AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn sessions_of_a_backend_that_the_new_process_does_not_have_go_elsewhere() {
    let apps = Datagrams::several("app", 3);
    let balancer = Balancer::start(&apps, LONG, "    removal: at_once\n");
    let askers = balancer.askers(30);
    let before = ask_all(&askers, b"one");
    let fewer =
        configuration(&apps[..2], LONG, "    removal: at_once\n", &balancer.program.address, &balancer.echo);
    fs::write(balancer.program.file(), fewer).unwrap();
    balancer.upgrade();
    let after = ask_all(&askers, b"two");
    for (before, after) in before.iter().zip(&after) {
        if before.home == "app3" {
            assert_ne!(after.home, "app3");
        } else {
            assert_eq!((&before.home, before.port), (&after.home, after.port));
        }
    }
    assert!(before.iter().any(|answer| answer.home == "app3"));
}

#[test]
fn the_old_process_keeps_no_socket_of_them_and_in_the_new_one_they_end() {
    const CLIENTS: usize = 200;
    let apps = Datagrams::several("app", 2);
    let balancer = Balancer::start(&apps, "    udp: { idle: 10m, unproven: 15s }\n", "");
    let _busy = balancer.busy();
    let empty = descriptors(balancer.program.pid());
    let askers = balancer.askers(CLIENTS.try_into().unwrap());
    ask_all(&askers, b"one");
    let (old, new) = balancer.upgrade();
    soon("the old process has given its sockets", || (descriptors(old) < empty + 20).then_some(()));
    soon("the new one has them", || (descriptors(new) >= CLIENTS).then_some(()));
    soon("its sessions have ended", || (descriptors(new) <= empty + 5).then_some(()));
    assert_eq!(ask_all(&askers, b"two").len(), CLIENTS);
}

#[test]
fn an_old_process_whose_successor_dies_serves_again_and_hands_over_again() {
    let apps = Datagrams::several("app", 2);
    let balancer = Balancer::start(&apps, LONG, "");
    let _busy = balancer.busy();
    let askers = balancer.askers(40);
    let before = ask_all(&askers, b"one");
    let (old, new) = balancer.upgrade();
    assert_eq!(changed(&before, &ask_all(&askers, b"two")), Vec::<String>::new());
    let behind = balancer.program.log().len();
    kill(new, Signal::SIGKILL).unwrap();
    balancer.program.wait_for(behind, "accepts again");
    soon("its number is in the file again", || (balancer.program.pid() == old).then_some(()));
    let again = ask_all(&askers, b"three");
    let homes = |answers: &[Answer]| answers.iter().map(|answer| answer.home.clone()).collect::<Vec<_>>();
    assert_eq!(homes(&before), homes(&again), "begun anew, at the same backends");
    balancer.upgrade();
    assert_eq!(changed(&again, &ask_all(&askers, b"four")), Vec::<String>::new());
}

#[test]
fn what_a_session_was_asked_for_and_its_place_go_with_it() {
    let apps = Datagrams::several("app", 2);
    let writes = |n| Writes { config_id: 3, server_id: vec![7, n], nonce_length: 6, key: None };
    let quic = "    quic: { connection_id: { config_id: 3, nonce_length: 6, encodes_length: true, server_ids: { app1: \"0701\", app2: \
                \"0702\" } } }\n    limits: { connections_per_backend: 1000 }\n";
    let listener = format!("{LONG}    limits: {{ connections_per_client: 2 }}\n");
    let balancer = Balancer::start_on("0.0.0.0:0", &apps, &listener, quic);
    // By another address of ours, in two sessions of one port: one by the address, one by a connection id.
    let asker = Asker::from(client(1), ([127, 0, 3, 9], balancer.udp.port()).into());
    let by_address = asker.ask(b"by address").unwrap();
    let other = if by_address.home == "app1" { 2 } else { 1 };
    let named = [&[0x40], &writes(other).id()[..], b"named"].concat();
    let by_name = asker.ask(&named).unwrap();
    assert_eq!(by_name.home, format!("app{other}"));
    // Its socket is prepared for many datagrams at a time by then.
    (0..20).for_each(|_| _ = asker.ask(b"more").unwrap());
    let behind = balancer.program.log().len();
    balancer.upgrade();
    // The old process could still tell the pieces apart.
    balancer.program.wait_for(behind, "2 sessions of UDP are taken over");
    let home = apps.iter().find(|app| app.name == by_address.home).unwrap();
    let all: Vec<u8> = (0..20).flat_map(|n| [n; 100]).collect();
    home.say_in_one_piece(by_address.port, &all, 100);
    let mut room = [0; 4096];
    for n in 0..20 {
        assert_eq!(asker.socket.recv(&mut room).unwrap(), 100, "each as it was");
        assert_eq!(room[..100], [n; 100]);
    }
    assert_eq!(asker.ask(b"by address").unwrap(), by_address);
    assert_eq!(asker.ask(&named).unwrap(), by_name);
    let third = Asker::from(client(1), asker.socket.peer_addr().unwrap());
    third.socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(third.ask_once(b"x").is_err(), "its client has its two places");
}
