//! SIGUSR2: a new process takes over, and nobody notices.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use crate::support::balancer::apps;
use crate::support::exchange::{Connection, Response, get, request};
use crate::support::ports::Port;
use crate::support::program::{Program, text};

/// Clients that ask all the time, each with a session; what went wrong is counted in words.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Habit {
    /// Both cookies, on a kept connection.
    Kept,
    /// Both cookies, each request on a connection of its own.
    New,
    /// Only the application's cookie, so that only the learned table knows.
    Learned,
    /// No cookies, and a new session all the time, whose next request comes at once.
    Fresh,
}

impl Load {
    fn start(address: SocketAddr) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let habits = [Habit::Kept, Habit::New, Habit::Learned, Habit::Fresh];
        let clients = habits.iter().cycle().take(16).enumerate().map(|(n, habit)| {
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            let habit = *habit;
            thread::spawn(move || client(n, habit, address, &stop, &asked))
        });
        let clients = clients.collect();
        let load = Self { stop, asked, clients };
        load.wait(200);
        load
    }

    /// Waits until so many more requests were answered.
    fn wait(&self, more: usize) {
        let goal = self.asked.load(Ordering::Relaxed) + more;
        while self.asked.load(Ordering::Relaxed) < goal {
            assert!(!self.clients.iter().all(JoinHandle::is_finished), "all clients have given up");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let faults: Vec<_> = self.clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        assert!(
            faults.is_empty(),
            "whole: {} faults, such as {:?}",
            faults.len(),
            &faults[..faults.len().min(5)]
        );
    }
}

fn client(
    n: usize,
    habit: Habit,
    address: SocketAddr,
    stop: &AtomicBool,
    asked: &AtomicUsize,
) -> Vec<String> {
    let mut faults = Vec::new();
    let mut connection = None;
    let (mut home, mut fields) = (String::new(), vec![format!("User-Agent: load {n}")]);
    while !stop.load(Ordering::Relaxed) && faults.len() < 20 {
        if habit == Habit::Fresh {
            home.clear();
            fields = vec![format!("User-Agent: load {n}")];
        }
        for _ in 0..2 {
            let lines: Vec<_> = fields.iter().map(String::as_str).collect();
            match ask(&mut connection, address, &lines) {
                Err(fault) => faults.push(fault),
                Ok(answer) if answer.status != 200 => faults.push(format!("status {}", answer.status)),
                Ok(answer) => {
                    if home.is_empty() {
                        home = answer.server().to_owned();
                        let cookies = match habit {
                            Habit::Kept | Habit::New => answer.cookies(),
                            Habit::Learned | Habit::Fresh => answer.cookie("JSESSIONID").unwrap(),
                        };
                        fields.push(format!("Cookie: {cookies}"));
                    } else if answer.server() != home || answer.word("fresh=") == "true" {
                        faults
                            .push(format!("{habit:?}: a session of {home} was lost at {}", answer.server()));
                    }
                    asked.fetch_add(1, Ordering::Relaxed);
                    let closes = answer.all("connection").contains(&"close");
                    if closes || habit == Habit::New {
                        connection = None;
                    }
                }
            }
        }
    }
    faults
}

fn ask(
    connection: &mut Option<Connection>,
    address: SocketAddr,
    fields: &[&str],
) -> Result<Response, String> {
    let open = connection.get_or_insert_with(|| Connection::open(address));
    open.send(request("GET", "/", fields).as_bytes());
    let answer = open.receive();
    if answer.is_none() {
        *connection = None;
    }
    answer.ok_or_else(|| "a connection was reset, or closed without an answer".to_owned())
}

#[test]
fn an_upgrade_under_load_loses_no_request_and_no_session() {
    let apps = apps(3);
    let program = Program::start(&apps);
    let load = Load::start(program.address);
    for _ in 0..3 {
        let before = program.pid();
        program.signal(Signal::SIGUSR2, "upgraded: process");
        assert_ne!(program.pid(), before);
        load.wait(300);
    }
    load.end();
}

#[test]
fn an_upgrade_that_fails_changes_nothing_and_says_why() {
    let apps = apps(2);
    let program = Program::start(&apps);
    let load = Load::start(program.address);
    let before = program.pid();
    let good = fs::read_to_string(program.file()).unwrap();
    fs::write(program.file(), good.replace("pools:", "pulls:")).unwrap();
    let log = program.signal(Signal::SIGUSR2, "not upgraded");
    assert!(log.contains("pulls") && log.contains("steadfast.yaml:"), "{log}");
    let taken = Port::reserve();
    let _listens = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = _listens.local_addr().unwrap();
    fs::write(program.file(), good.replace(&program.address.to_string(), &busy.to_string())).unwrap();
    let log = program.signal(Signal::SIGUSR2, "not upgraded");
    assert!(log.contains("cannot listen on"), "{log}");
    drop(taken);
    fs::write(program.file(), good).unwrap();
    assert_eq!(program.pid(), before);
    load.wait(100);
    program.signal(Signal::SIGUSR2, "upgraded: process");
    load.wait(100);
    load.end();
}

#[test]
fn a_reload_that_needs_another_process_gets_one() {
    let apps = apps(2);
    let program = Program::start(&apps);
    let load = Load::start(program.address);
    let before = program.pid();
    let more = Port::reserve();
    let listener =
        format!("  - {{ name: more, address: \"{}\", routes: [ {{ pool: app }} ] }}\npools:", more.address());
    let with_more = text(program.address, &apps, "").replace("pools:", &listener);
    program.reload(&with_more, "upgraded: process");
    assert_ne!(program.pid(), before);
    assert_eq!(get(more.address(), "/", &[]).status, 200);
    load.wait(200);
    program.reload(&text(program.address, &apps, ""), "upgraded: process");
    load.wait(200);
    load.end();
}

#[test]
fn a_successor_that_dies_while_the_old_process_finishes_is_replaced_by_it() {
    let apps = apps(2);
    let program = Program::start(&apps);
    let old = program.pid();
    // A request that keeps the old process busy.
    let mut busy = Connection::open(program.address);
    busy.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\n12");
    program.signal(Signal::SIGUSR2, "upgraded: process");
    let new = program.pid();
    assert_ne!(new, old);
    let first = get(program.address, "/", &[]);
    // What it learned reaches the old process within milliseconds.
    thread::sleep(Duration::from_millis(200));
    let before = program.log().len();
    kill(new, Signal::SIGKILL).unwrap();
    program.wait_for(before, "accepts again");
    let cookie = format!("Cookie: {}", first.cookie("JSESSIONID").unwrap());
    let again = get(program.address, "/", &[&cookie]);
    assert_eq!(
        (again.server(), again.word("fresh=")),
        (first.server(), "false"),
        "what the dead one learned"
    );
    busy.send(b"345");
    assert_eq!(busy.receive().unwrap().status, 200);
    kill(old, Signal::SIGKILL).unwrap();
}
