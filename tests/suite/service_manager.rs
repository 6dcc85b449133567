//! What the service manager is told, and when.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use crate::support::balancer::apps;
use crate::support::exchange::{Connection, get};
use crate::support::program::{Program, text};

/// A service manager's socket.
struct Manager {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { socket, folder }
    }

    fn environment(&self, watchdog_us: &str) -> Vec<(&'static str, String)> {
        let socket = self.folder.path().join("notify").display().to_string();
        vec![("NOTIFY_SOCKET", socket), ("WATCHDOG_USEC", watchdog_us.to_owned())]
    }

    /// The next message, but for signs of life.
    fn hears(&self) -> Vec<String> {
        loop {
            let message = self.any();
            if message != ["WATCHDOG=1"] {
                return message;
            }
        }
    }

    fn any(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned).collect()
    }
}

#[test]
fn it_hears_of_start_reload_upgrade_and_stop_in_their_order() {
    let apps = apps(1);
    let manager = Manager::new();
    let program = Program::start_in(&manager.environment("60000000"), &apps, "");
    assert_eq!(manager.hears(), ["READY=1"]);
    let reloaded = |expected: &str| {
        let reloading = manager.hears();
        assert!(
            reloading[0] == "RELOADING=1" && reloading[1].starts_with("MONOTONIC_USEC="),
            "{reloading:?}"
        );
        let status = manager.hears();
        assert!(status[0].starts_with("STATUS=configuration ") && status[0].contains(expected), "{status:?}");
        assert_eq!(manager.hears(), ["READY=1"]);
    };
    kill(program.pid(), Signal::SIGHUP).unwrap();
    reloaded("nothing has changed");
    let bad = text(program.address, &apps, "").replace("pools:", "pulls:");
    program.reload(&bad, "configuration refused");
    reloaded("refused");
    std::fs::write(program.file(), text(program.address, &apps, "")).unwrap();
    program.signal(Signal::SIGUSR2, "upgraded: process");
    assert_eq!(manager.hears(), [format!("MAINPID={}", program.pid()), "READY=1".to_owned()]);
    kill(program.pid(), Signal::SIGTERM).unwrap();
    assert_eq!(manager.hears(), ["STOPPING=1"]);
}

#[test]
fn it_gets_signs_of_life_also_from_the_process_that_took_over() {
    let apps = apps(1);
    let manager = Manager::new();
    let mut environment = manager.environment("200000");
    environment.push(("WATCHDOG_PID", "1".to_owned()));
    let other = Program::start_in(&environment, &apps, "");
    assert_eq!(manager.any(), ["READY=1"]);
    other.signal(Signal::SIGHUP, "configuration reloaded");
    (0..3).for_each(|_| assert_ne!(manager.any(), ["WATCHDOG=1"], "another process is watched"));
    drop(other);
    let manager = Manager::new();
    let program = Program::start_in(&manager.environment("200000"), &apps, "");
    while manager.any() != ["WATCHDOG=1"] {}
    program.signal(Signal::SIGUSR2, "upgraded: process");
    while !manager.any()[0].starts_with("MAINPID=") {}
    while manager.any() != ["WATCHDOG=1"] {}
}

#[test]
fn a_stop_is_announced_before_listeners_close() {
    let apps = apps(1);
    let manager = Manager::new();
    let program = Program::start_in(&manager.environment("60000000"), &apps, "stop_delay: 1h");
    assert_eq!(manager.hears(), ["READY=1"]);
    let ready = || {
        let mut admin = std::os::unix::net::UnixStream::connect(program.admin()).unwrap();
        std::io::Write::write_all(&mut admin, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        std::io::read_to_string(admin).unwrap()
    };
    assert!(ready().starts_with("HTTP/1.1 200"), "{}", ready());
    program.signal(Signal::SIGTERM, "another signal stops at once");
    assert_eq!(manager.hears(), ["STOPPING=1"]);
    let answer = ready();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("is stopping"), "{answer}");
    assert_eq!(get(program.address, "/", &[]).status, 200, "clients are still served");
    let mut running = Connection::open(program.address);
    running.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\n12");
    let pid = program.pid();
    kill(pid, Signal::SIGTERM).unwrap();
    while std::net::TcpStream::connect(program.address).is_ok() {
        std::thread::sleep(Duration::from_millis(10));
    }
    running.send(b"345");
    assert_eq!(running.receive().unwrap().status, 200, "running requests finish");
}

#[test]
fn the_unit_starts_the_program_as_it_can_be_started() {
    let unit = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/steadfast.service");
    let unit = std::fs::read_to_string(unit).unwrap();
    let value = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap();
    assert_eq!((value("Type"), value("NotifyAccess")), ("notify-reload", "all"));
    let start: Vec<_> = value("ExecStart").split(' ').collect();
    assert_eq!(start, ["/usr/bin/steadfast", "run", "-c", "/etc/steadfast/steadfast.yaml"]);
    let check: Vec<_> = value("ExecStartPre").split(' ').skip(1).collect();
    assert_eq!(check, ["check", "-c", "/etc/steadfast/steadfast.yaml"]);
}
