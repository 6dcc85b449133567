//! SIGHUP: another configuration in the same process.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::support::app::App;
use crate::support::balancer::{SHARED, apps, configuration};
use crate::support::exchange::get;
use crate::support::ports::Port;

struct Program {
    child: Child,
    folder: TempDir,
    address: SocketAddr,
    _port: Port,
}

impl Program {
    fn start(apps: &[App]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = Port::reserve();
        let address = port.address();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        fs::write(folder.path().join("steadfast.yaml"), text(address, apps, "")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_steadfast"))
            .args(["run", "-c", "steadfast.yaml"])
            .current_dir(folder.path())
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        while TcpStream::connect(address).is_err() {
            thread::sleep(Duration::from_millis(10));
        }
        Self { child, folder, address, _port: port }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("steadfast.yaml")
    }

    /// Writes the file, sends SIGHUP, and waits for a line of the log.
    fn reload(&self, text: &str, expected: &str) -> String {
        fs::write(self.file(), text).unwrap();
        let before = self.log().len();
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGHUP).unwrap();
        for _ in 0..500 {
            let log = self.log().split_off(before);
            if log.contains(expected) {
                return log;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("no `{expected}` in {}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(address: SocketAddr, apps: &[App], pool: &str) -> String {
    configuration(apps, SHARED, "", pool).replace("127.0.0.1:0", &address.to_string())
}

#[test]
fn a_reload_adds_backends_and_moves_nobody() {
    let mut apps = apps(2);
    let program = Program::start(&apps);
    let clients: Vec<_> = (0..20)
        .map(|n| get(program.address, "/", &[&format!("User-Agent: agent {n}")]))
        .map(|first| (first.server().to_owned(), format!("Cookie: {}", first.cookie("JSESSIONID").unwrap())))
        .collect();
    apps.push(App::start("app3"));
    program.reload(&text(program.address, &apps, ""), "configuration reloaded");
    for (server, cookie) in &clients {
        let answer = get(program.address, "/", &[cookie]);
        assert_eq!((answer.server(), answer.word("fresh=")), (server.as_str(), "false"), "{answer:?}");
    }
    let news: Vec<_> = (0..60)
        .map(|n| get(program.address, "/", &[&format!("User-Agent: new {n}")]).server().to_owned())
        .collect();
    assert!(news.iter().any(|server| server == "app3"), "{news:?}");
}

#[test]
fn a_bad_file_changes_nothing_and_says_where() {
    let apps = apps(1);
    let program = Program::start(&apps);
    let bad = text(program.address, &apps, "    retires: { attempts: 1 }\n");
    let log = program.reload(&bad, "configuration refused");
    assert!(log.contains("retires") && log.contains("steadfast.yaml:"), "{log}");
    let elsewhere = text("127.0.0.1:1".parse().unwrap(), &apps, "");
    let log = program.reload(&elsewhere, "configuration refused");
    assert!(log.contains("listener `web`") && log.contains("restart"), "{log}");
    assert_eq!(get(program.address, "/", &[]).status, 200);
    program.reload(&text(program.address, &apps, "    retries: { attempts: 1 }\n"), "configuration reloaded");
}
