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
    revived: Vec<Child>,
    folder: TempDir,
    pub(crate) address: SocketAddr,
    _port: Port,
}

impl Program {
    pub(crate) fn start(apps: &[App]) -> Self {
        Self::start_with(apps, "")
    }

    /// Starts it with variables and further keys of `server`.
    pub(crate) fn start_in(variables: &[(&str, String)], apps: &[App], server: &str) -> Self {
        let port = Port::reserve();
        let text = text(port.address(), apps, "").replace("threads: 2", &format!("threads: 2, {server}"));
        Self::run_in(tempfile::tempdir().unwrap(), variables, port, &text)
    }

    /// Starts it with further lines of YAML for the pool.
    pub(crate) fn start_with(apps: &[App], pool: &str) -> Self {
        let port = Port::reserve();
        let text = text(port.address(), apps, pool);
        Self::run(port, &text)
    }

    /// Starts it as root, to become this user, to whom its folder belongs.
    pub(crate) fn start_as(apps: &[App], user: &str) -> Self {
        Self::start_as_with(apps, user, |text| text)
    }

    /// The same, with this done to its configuration.
    pub(crate) fn start_as_with(apps: &[App], user: &str, change: impl Fn(String) -> String) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), Port::reserve());
        let ids = User::from_name(user).unwrap().unwrap();
        std::os::unix::fs::chown(folder.path(), Some(ids.uid.as_raw()), Some(ids.gid.as_raw())).unwrap();
        let text = text(port.address(), apps, "").replace("threads: 2", &format!("threads: 2, user: {user}"));
        Self::run_in(folder, &[], port, &change(text))
    }

    /// Starts it with a configuration that listens at that port.
    pub(crate) fn run(port: Port, text: &str) -> Self {
        Self::run_in(tempfile::tempdir().unwrap(), &[], port, text)
    }

    fn run_in(folder: TempDir, variables: &[(&str, String)], port: Port, text: &str) -> Self {
        let address = port.address();
        fs::write(folder.path().join("steadfast.yaml"), text).unwrap();
        // Its own name of the binary, which a test may take away.
        fs::hard_link(env!("CARGO_BIN_EXE_steadfast"), folder.path().join("steadfast"))
            .or_else(|_| fs::copy(env!("CARGO_BIN_EXE_steadfast"), folder.path().join("steadfast")).map(drop))
            .unwrap();
        let child = spawn(folder.path(), variables);
        let program = Self { child, revived: Vec::new(), folder, address, _port: port };
        while TcpStream::connect(address).is_err() || program.pid_in_file().is_none() {
            thread::sleep(Duration::from_millis(10));
        }
        program
    }

    /// Starts it again if no process of it is left that serves; returns when one does.
    pub(crate) fn revive_if_dead(&mut self) {
        while TcpStream::connect(self.address).is_err() {
            let _ = self.child.try_wait();
            self.revived.iter_mut().for_each(|child| _ = child.try_wait());
            if self.living().is_empty() {
                self.revived.push(spawn(self.folder.path(), &[]));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until one process is left, and its number is in the file.
    pub(crate) fn settle(&mut self) {
        loop {
            let _ = self.child.try_wait();
            self.revived.iter_mut().for_each(|child| _ = child.try_wait());
            if let [only] = self.living()[..]
                && self.pid_in_file() == Some(only)
            {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its processes, by the folder that they run in.
    fn living(&self) -> Vec<Pid> {
        let ours = |process: &fs::DirEntry| {
            let folder = fs::read_link(process.path().join("cwd")).ok()?;
            let pid = process.file_name().to_str()?.parse().ok()?;
            // One that is dead and waited for by nobody has no memory map.
            let lives = fs::read(process.path().join("maps")).is_ok_and(|maps| !maps.is_empty());
            (lives && folder == self.folder.path()).then(|| Pid::from_raw(pid))
        };
        fs::read_dir("/proc").unwrap().flatten().filter_map(|process| ours(&process)).collect()
    }

    /// Its own name of the binary.
    pub(crate) fn binary(&self) -> PathBuf {
        self.folder.path().join("steadfast")
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("steadfast.yaml")
    }

    /// The socket of its admin API.
    pub(crate) fn admin(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
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

    /// Runs a command against it; gives its exit code and what it printed.
    pub(crate) fn command(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_steadfast"))
            .args(arguments)
            .args(["-c", "steadfast.yaml"])
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
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
        for child in std::iter::once(&mut self.child).chain(&mut self.revived) {
            let _ = killpg(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGKILL);
            let _ = child.wait();
        }
        if thread::panicking() {
            eprintln!("--- steadfast said:\n{}---", self.log());
        }
    }
}

fn spawn(folder: &Path, variables: &[(&str, String)]) -> Child {
    let log = fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    Command::new(folder.join("steadfast"))
        .args(["run", "-c", "steadfast.yaml"])
        .current_dir(folder)
        .env("RUST_LOG", "info")
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .process_group(0)
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// The configuration of such a program.
pub(crate) fn text(address: SocketAddr, apps: &[App], pool: &str) -> String {
    let top = format!(
        "{SHARED}server: {{ pid_file: pid, threads: 2 }}\nadmin: {{ listen: \"unix:admin.sock\" }}\n"
    );
    configuration(apps, &top, "", pool).replace("127.0.0.1:0", &address.to_string())
}
