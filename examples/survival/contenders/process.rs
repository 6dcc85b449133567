//! A load balancer as a group of processes: started, signalled, and gone when dropped.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgid};

use crate::contender::Failure;

const STEP: Duration = Duration::from_millis(10);
/// Ten seconds: a reload with two processors shared by many takes one at most.
const PATIENCE_STEPS: u32 = 1000;
const TAIL_LINES: usize = 12;

/// A master process and its workers, in a process group of their own so that none outlives a kill.
pub(super) struct Process {
    program: &'static str,
    log: PathBuf,
    address: SocketAddr,
    child: Child,
    group: Pid,
    /// Where signals go; at first the child.
    master: Pid,
    /// The child may end: another process of its group is the master.
    retired: bool,
}

impl Process {
    /// Starts `command` and waits until `address` accepts connections. What it prints goes to `log`, after
    /// what earlier runs have printed.
    pub(super) fn start(
        program: &'static str,
        command: &mut Command,
        log: &Path,
        address: SocketAddr,
    ) -> Result<Self, Failure> {
        let mut process = Self::spawn(program, command, log, address)?;
        process.wait_until("accept connections", || TcpStream::connect(address).is_ok())?;
        Ok(process)
    }

    /// The same, for a command that starts the master and ends.
    pub(super) fn start_daemon(
        program: &'static str,
        command: &mut Command,
        log: &Path,
        address: SocketAddr,
        pid_file: &Path,
    ) -> Result<Self, Failure> {
        let mut process = Self::spawn(program, command, log, address)?;
        process.retired = true;
        let master = || std::fs::read_to_string(pid_file).ok()?.trim().parse().ok();
        process
            .wait_until("accept connections", || master().is_some() && TcpStream::connect(address).is_ok())?;
        process.master = Pid::from_raw(master().ok_or("its process number is gone again")?);
        process.group = getpgid(Some(process.master))?;
        Ok(process)
    }

    fn spawn(
        program: &'static str,
        command: &mut Command,
        log: &Path,
        address: SocketAddr,
    ) -> Result<Self, Failure> {
        let output = File::options().create(true).append(true).open(log)?;
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .map_err(|error| format!("{program} does not start: {error}"))?;
        let group = Pid::from_raw(i32::try_from(child.id())?);
        Ok(Self { program, log: log.to_owned(), address, child, group, master: group, retired: false })
    }

    /// The process that signals are for.
    pub(super) fn master(&self) -> Pid {
        self.master
    }

    /// Sends a signal to the master alone.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), Failure> {
        kill(self.master, signal).map_err(|error| self.failure(&format!("takes no {signal}: {error}")))
    }

    /// Lets the master finish (SIGQUIT), because another one of its group serves now.
    pub(super) fn retire(&mut self, master: Pid) -> Result<(), Failure> {
        self.signal(Signal::SIGQUIT)?;
        self.retired = true;
        self.master = master;
        Ok(())
    }

    /// Waits until `done` holds; fails when the process ends before, or after ten seconds.
    pub(super) fn wait_until(&mut self, what: &str, mut done: impl FnMut() -> bool) -> Result<(), Failure> {
        for _ in 0..PATIENCE_STEPS {
            if let Some(status) = self.child.try_wait()?.filter(|_| !self.retired) {
                return Err(self.failure(&format!("ended before it did {what}: {status}")));
            }
            if done() {
                return Ok(());
            }
            thread::sleep(STEP);
        }
        Err(self.failure(&format!("did not {what} within ten seconds")))
    }

    /// An error that names the program and shows the end of its log.
    pub(super) fn failure(&self, what: &str) -> Failure {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let mut tail: Vec<&str> = log.lines().rev().take(TAIL_LINES).collect();
        tail.reverse();
        format!("{} {what}\n{}", self.program, tail.join("\n")).into()
    }
}

impl Drop for Process {
    /// SIGKILL to all of them at once: a master that outlived its workers would start new ones.
    fn drop(&mut self) {
        let _ = killpg(self.group, Signal::SIGKILL);
        let _ = self.child.wait();
        // Only the master can be waited for. A worker is gone when its socket is.
        for _ in 0..PATIENCE_STEPS {
            if TcpStream::connect(self.address).is_err() {
                return;
            }
            thread::sleep(STEP);
        }
    }
}

/// Addresses that the kernel gives, all different, and free again.
pub(super) fn free_addresses(count: usize) -> Result<Vec<SocketAddr>, Failure> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?)).collect()
}
