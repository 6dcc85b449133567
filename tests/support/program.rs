//! `steadfast run` as a process that is sent signals, before applications of this process.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, User};
use tempfile::TempDir;

use super::app::App;
use super::balancer::{SHARED, configuration};
use super::ports::Port;

/// A running program in a folder of its own; it and its successors are killed when dropped.
pub(crate) struct Program {
    child: Child,
    folder: TempDir,
    pub(crate) address: SocketAddr,
    _port: Port,
}

impl Program {
    pub(crate) fn start(apps: &[App]) -> Self {
        Self::start_with(apps, "")
    }

    /// Starts it with further lines of YAML for the pool.
    pub(crate) fn start_with(apps: &[App], pool: &str) -> Self {
        let port = Port::reserve();
        let text = text(port.address(), apps, pool);
        Self::run(port, &text)
    }

    /// Starts it as root, to become this user, to whom its folder belongs.
    pub(crate) fn start_as(apps: &[App], user: &str) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), Port::reserve());
        let built = env!("CARGO_BIN_EXE_steadfast");
        let program = folder.path().join("steadfast");
        // In a folder that the user may enter, for an upgrade.
        fs::hard_link(built, &program).or_else(|_| fs::copy(built, &program).map(drop)).unwrap();
        let ids = User::from_name(user).unwrap().unwrap();
        std::os::unix::fs::chown(folder.path(), Some(ids.uid.as_raw()), Some(ids.gid.as_raw())).unwrap();
        let text = text(port.address(), apps, "").replace("threads: 2", &format!("threads: 2, user: {user}"));
        Self::run_in(folder, &program, port, &text)
    }

    /// Starts it with a configuration that listens at that port.
    pub(crate) fn run(port: Port, text: &str) -> Self {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_steadfast"));
        Self::run_in(tempfile::tempdir().unwrap(), &program, port, text)
    }

    fn run_in(folder: TempDir, program: &Path, port: Port, text: &str) -> Self {
        let address = port.address();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        fs::write(folder.path().join("steadfast.yaml"), text).unwrap();
        let child = Command::new(program)
            .args(["run", "-c", "steadfast.yaml"])
            .current_dir(folder.path())
            .env("RUST_LOG", "info")
            .process_group(0)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let program = Self { child, folder, address, _port: port };
        while TcpStream::connect(address).is_err() || program.pid_in_file().is_none() {
            thread::sleep(Duration::from_millis(10));
        }
        program
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("steadfast.yaml")
    }

    /// The process that serves.
    pub(crate) fn pid(&self) -> Pid {
        self.pid_in_file().unwrap()
    }

    fn pid_in_file(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.folder.path().join("pid")).ok()?;
        Some(Pid::from_raw(text.trim().parse().ok()?))
    }

    /// Sends a signal to the process that serves, and waits for a line of the log; gives what was logged.
    pub(crate) fn signal(&self, signal: Signal, expected: &str) -> String {
        let before = self.log().len();
        kill(self.pid(), signal).unwrap();
        self.wait_for(before, expected)
    }

    /// Writes the file, sends SIGHUP, and waits for a line of the log.
    pub(crate) fn reload(&self, text: &str, expected: &str) -> String {
        fs::write(self.file(), text).unwrap();
        self.signal(Signal::SIGHUP, expected)
    }

    /// Waits for a line of the log behind its first bytes.
    pub(crate) fn wait_for(&self, behind: usize, expected: &str) -> String {
        for _ in 0..3000 {
            let log = self.log().split_off(behind);
            if log.contains(expected) {
                return log;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("no `{expected}` in {}", self.log());
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // All of them at once: a process whose successor dies goes on.
        let _ = killpg(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGKILL);
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- steadfast said:\n{}---", self.log());
        }
    }
}

/// The configuration of such a program.
pub(crate) fn text(address: SocketAddr, apps: &[App], pool: &str) -> String {
    let top = format!("{SHARED}server: {{ pid_file: pid, threads: 2 }}\n");
    configuration(apps, &top, "", pool).replace("127.0.0.1:0", &address.to_string())
}
