//! NGINX as open source: a consistent hash, for it has no `sticky` and no draining.

mod configuration;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use self::configuration::{Configuration, Key};
use super::process::{Process, free_addresses};
use crate::contender::{Contender, Failure, Plan};

const PROGRAM: &str = "/usr/sbin/nginx";

/// NGINX, with one key that it hashes.
pub(crate) struct Nginx {
    name: &'static str,
    slug: &'static str,
    key: Key,
    replicas: Vec<Replica>,
}

struct Replica {
    folder: PathBuf,
    address: SocketAddr,
    /// None while it is killed.
    process: Option<Process>,
}

impl Nginx {
    /// "NGINX hash": by the application's session id.
    pub(crate) fn hash() -> Self {
        Self { name: "NGINX hash", slug: "nginx-hash", key: Key::SessionId, replicas: Vec::new() }
    }

    /// "NGINX own cookie": by a cookie that NGINX gives to every browser.
    pub(crate) fn own_cookie() -> Self {
        Self { name: "NGINX own cookie", slug: "nginx-own-cookie", key: Key::OwnCookie, replicas: Vec::new() }
    }

    fn add_replica(&mut self, plan: &Plan, number: usize) -> Result<&mut Replica, Failure> {
        let folder = std::path::absolute(plan.folder.join(format!("{}-{number}", self.slug)))?;
        std::fs::create_dir_all(&folder)?;
        let address = *free_addresses(1)?.first().ok_or("an address was asked for")?;
        self.replicas.push(Replica { folder, address, process: None });
        self.replica(number)
    }

    fn replica(&mut self, number: usize) -> Result<&mut Replica, Failure> {
        self.replicas.get_mut(number).ok_or_else(|| format!("{} has no replica {number}", self.name).into())
    }
}

impl Contender for Nginx {
    fn name(&self) -> &'static str {
        self.name
    }

    fn start(&mut self, plan: &Plan) -> Result<(), Failure> {
        let key = self.key;
        for number in 0..plan.replicas {
            let replica = self.add_replica(plan, number)?;
            replica.write_configuration(key, plan)?;
            replica.start()?;
        }
        Ok(())
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.replicas.iter().map(|replica| replica.address).collect()
    }

    fn apply(&mut self, plan: &Plan, replica: usize) -> Result<(), Failure> {
        let key = self.key;
        let replica = self.replica(replica)?;
        replica.write_configuration(key, plan)?;
        replica.reload()
    }

    fn upgrade(&mut self, replica: usize) -> Result<(), Failure> {
        self.replica(replica)?.upgrade()
    }

    fn kill(&mut self, replica: usize) -> Result<(), Failure> {
        self.replica(replica)?.process = None;
        Ok(())
    }

    fn restart(&mut self, replica: usize) -> Result<(), Failure> {
        self.replica(replica)?.start()
    }
}

impl Replica {
    fn write_configuration(&self, key: Key, plan: &Plan) -> Result<(), Failure> {
        let configuration = Configuration { key, folder: &self.folder, address: self.address, plan };
        Ok(std::fs::write(self.configuration(), configuration.text())?)
    }

    fn start(&mut self) -> Result<(), Failure> {
        // As a daemon: a master in the foreground takes no USR2.
        let mut command = Command::new(PROGRAM);
        command.arg("-p").arg(&self.folder).arg("-c").arg(self.configuration());
        let log = self.folder.join("log");
        let pid_file = self.folder.join("pid");
        let _ = std::fs::remove_file(&pid_file);
        self.process = Some(Process::start_daemon("NGINX", &mut command, &log, self.address, &pid_file)?);
        Ok(())
    }

    /// SIGHUP to the master. Returns when new workers are there and the old ones accept no more.
    fn reload(&mut self) -> Result<(), Failure> {
        let Some(process) = self.process.as_mut() else { return Ok(()) };
        let master = process.master();
        let old = workers(master)?;
        process.signal(Signal::SIGHUP)?;
        process.wait_until("reload", || {
            let Ok(now) = workers(master) else { return false };
            now.iter().any(|worker| !old.contains(worker)) && old.iter().all(|worker| has_stopped(*worker))
        })
    }

    /// "Upgrading Executable on the Fly": USR2 starts a second master with its workers, and QUIT to the first one lets that
    /// finish.
    fn upgrade(&mut self) -> Result<(), Failure> {
        let Some(process) = self.process.as_mut() else { return Ok(()) };
        let pid = self.folder.join("pid");
        let before = std::fs::read_to_string(&pid)?;
        process.signal(Signal::SIGUSR2)?;
        process.wait_until("start a second master", || {
            let now = std::fs::read_to_string(&pid).unwrap_or_default();
            let master = now.trim().parse().map(Pid::from_raw);
            now != before
                && master.is_ok_and(|master| workers(master).is_ok_and(|workers| !workers.is_empty()))
        })?;
        process.retire(Pid::from_raw(std::fs::read_to_string(&pid)?.trim().parse()?))
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join("nginx.conf")
    }
}

/// The processes that the master has started and that still run.
fn workers(master: Pid) -> Result<Vec<Pid>, Failure> {
    let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children"))?;
    children.split_whitespace().map(|pid| Ok(Pid::from_raw(pid.parse()?))).collect()
}

/// Whether a worker is gone, or says in its title that it serves only what it has already.
fn has_stopped(worker: Pid) -> bool {
    let title =
        std::fs::read(Path::new("/proc").join(worker.to_string()).join("cmdline")).unwrap_or_default();
    title.is_empty() || String::from_utf8_lossy(&title).contains("shutting down")
}
