//! SIGUSR2: a new process takes over, and nobody notices.

use std::fs;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::balancer::apps;
use crate::support::eventually::soon;
use crate::support::exchange::{Connection, get, try_get};
use crate::support::load::Load;
use crate::support::ports::Port;
use crate::support::program::{Program, text};

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
fn the_commands_upgrade_and_reload_say_which_process_serves() {
    let apps = apps(2);
    let program = Program::start(&apps);
    let first = program.pid();
    let (code, said) = program.command(&["upgrade"]);
    let second = program.pid();
    assert_eq!((code, said), (0, format!("upgraded: process {second} serves\n")));
    assert_ne!(first, second);
    let good = fs::read_to_string(program.file()).unwrap();
    fs::write(program.file(), good.replace("pools:", "pulls:")).unwrap();
    let (code, said) =
        program.command(&["upgrade", "--admin", &format!("unix:{}", program.admin().display())]);
    assert!(code == 1 && said.contains("pulls"), "{code} {said}");
    assert_eq!(program.pid(), second, "the old process goes on");
    let more = Port::reserve();
    let listener =
        format!("  - {{ name: more, address: \"{}\", routes: [ {{ pool: app }} ] }}\npools:", more.address());
    fs::write(program.file(), good.replace("pools:", &listener)).unwrap();
    let (code, said) = program.command(&["reload", "--dry-run"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("another process would take over: listener `more` is new"), "{said}");
    assert_eq!(program.pid(), second, "a dry run changes nothing");
    let (code, said) = program.command(&["reload"]);
    let third = program.pid();
    assert!(code == 0 && said.starts_with(&format!("upgraded: process {third} serves")), "{code} {said}");
    assert_ne!(third, second);
    assert_eq!(get(more.address(), "/", &[]).status, 200);
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

#[test]
fn a_successor_that_is_told_to_end_leaves_nobody_who_accepts_in_its_place() {
    for stopped in [true, false] {
        let apps = apps(1);
        let program = Program::start(&apps);
        let oldest = program.pid();
        let mut busy = Connection::open(program.address);
        busy.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\n12");
        program.signal(Signal::SIGUSR2, "upgraded: process");
        let before = program.log().len();
        if stopped {
            kill(program.pid(), Signal::SIGTERM).unwrap();
        } else {
            // Succeeded itself, it is the one in the middle.
            soon("it is succeeded", || {
                program.signal(Signal::SIGUSR2, "upgraded").contains("upgraded: process").then_some(())
            });
        }
        program.wait_for(before, "has ended as it was told to");
        assert!(!program.log()[before..].contains("accepts again"));
        assert_eq!(try_get(program.address, "/", &[]).is_none(), stopped);
        busy.send(b"345");
        assert_eq!(busy.receive().unwrap().status, 200, "what ran there is finished");
        let ended =
            || fs::read_to_string(format!("/proc/{oldest}/stat")).is_ok_and(|stat| stat.contains(") Z "));
        soon("the oldest ends, too", || ended().then_some(()));
    }
}

/// The processes that a process has started and that live.
fn children(of: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{of}/task")).into_iter().flatten().flatten();
    let listed = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let pids =
        listed.flat_map(|line| line.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<i32>>());
    pids.map(Pid::from_raw).collect()
}

#[test]
fn either_process_killed_in_the_middle_leaves_one_that_serves_or_can_be_started_again() {
    let apps = apps(3);
    let mut program = Program::start(&apps);
    let homes: Vec<_> = (0..12).map(|n| get(program.address, "/", &[&format!("User-Agent: {n}")])).collect();
    // From the first moment of the successor's life to long after its word that it is ready.
    for turn in 0..12_u64 {
        let old = program.pid();
        kill(old, Signal::SIGUSR2).unwrap();
        let new = loop {
            if let Some(child) = children(old).first() {
                break *child;
            }
            thread::sleep(Duration::from_millis(1));
        };
        thread::sleep(Duration::from_millis(turn / 2 * 25));
        let _ = kill(if turn % 2 == 0 { old } else { new }, Signal::SIGKILL);
        for home in &homes {
            let cookies = format!("Cookie: {}", home.cookies());
            let again = loop {
                // As a service manager does it.
                program.revive_if_dead();
                // A process that dies takes its connections along.
                if let Some(answer) = try_get(program.address, "/", &[&cookies]) {
                    break answer;
                }
            };
            assert_eq!(
                (again.server(), again.word("fresh=")),
                (home.server(), "false"),
                "steady, turn {turn}: tokens still route"
            );
        }
        // The next turn begins with one process, or the old one of this turn could be the one that is asked.
        program.settle();
    }
}
