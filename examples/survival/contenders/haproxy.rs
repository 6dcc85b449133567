//! HAProxy in master-worker mode, three times: by its cookie, by its table, and by both.

mod command_line;
mod configuration;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use self::command_line::{ask, has_stopped, knows_table, workers};
use self::configuration::{Affinity, Configuration, weight};
use super::process::{Process, free_addresses};
use crate::contender::{Backend, Contender, Failure, Plan};

const PROGRAM: &str = "/usr/sbin/haproxy";

/// HAProxy, with one way to keep a session on its server.
pub(crate) struct Haproxy {
    name: &'static str,
    slug: &'static str,
    affinity: Affinity,
    replicas: Vec<Replica>,
    /// Every server there ever was: its place gives the number that the tables know it by.
    known: Vec<String>,
}

struct Replica {
    folder: PathBuf,
    address: SocketAddr,
    peer: SocketAddr,
    /// None while it is killed.
    process: Option<Process>,
    /// What the running process has been told.
    applied: Plan,
}

impl Haproxy {
    /// "HAProxy cookie".
    pub(crate) fn cookie() -> Self {
        Self::new("HAProxy cookie", "haproxy-cookie", Affinity::Cookie)
    }

    /// "HAProxy table".
    pub(crate) fn table() -> Self {
        Self::new("HAProxy table", "haproxy-table", Affinity::Table)
    }

    /// "HAProxy both".
    pub(crate) fn both() -> Self {
        Self::new("HAProxy both", "haproxy-both", Affinity::Both)
    }

    fn new(name: &'static str, slug: &'static str, affinity: Affinity) -> Self {
        Self { name, slug, affinity, replicas: Vec::new(), known: Vec::new() }
    }

    fn add_replica(&mut self, plan: &Plan, number: usize) -> Result<(), Failure> {
        let folder = std::path::absolute(plan.folder.join(format!("{}-{number}", self.slug)))?;
        std::fs::create_dir_all(&folder)?;
        let [address, peer] = free_addresses(2)?[..] else {
            return Err("two addresses were asked for".into());
        };
        self.replicas.push(Replica { folder, address, peer, process: None, applied: plan.clone() });
        Ok(())
    }

    fn learn_names(&mut self, plan: &Plan) {
        for backend in &plan.backends {
            if !self.known.contains(&backend.id) {
                self.known.push(backend.id.clone());
            }
        }
    }

    fn write_configuration(&self, plan: &Plan, number: usize) -> Result<(), Failure> {
        let replica = self.replicas.get(number).ok_or("no such replica")?;
        let peers: Vec<SocketAddr> = self.replicas.iter().map(|replica| replica.peer).collect();
        let configuration = Configuration {
            affinity: self.affinity,
            folder: &replica.folder,
            address: replica.address,
            replica: number,
            peers: &peers,
            known: &self.known,
            plan,
        };
        Ok(std::fs::write(replica.configuration(), configuration.text())?)
    }

    fn replica(&mut self, number: usize) -> Result<&mut Replica, Failure> {
        self.replicas.get_mut(number).ok_or_else(|| format!("{} has no replica {number}", self.name).into())
    }
}

impl Contender for Haproxy {
    fn name(&self) -> &'static str {
        self.name
    }

    fn start(&mut self, plan: &Plan) -> Result<(), Failure> {
        self.learn_names(plan);
        // All of them first: each configuration names the peers of all.
        for number in 0..plan.replicas {
            self.add_replica(plan, number)?;
        }
        for number in 0..plan.replicas {
            self.write_configuration(plan, number)?;
            self.replica(number)?.start()?;
        }
        if self.affinity == Affinity::Cookie {
            return Ok(());
        }
        self.replicas.iter_mut().try_for_each(Replica::settle)
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.replicas.iter().map(|replica| replica.address).collect()
    }

    fn apply(&mut self, plan: &Plan, replica: usize) -> Result<(), Failure> {
        self.learn_names(plan);
        self.write_configuration(plan, replica)?;
        self.replica(replica)?.apply(plan)
    }

    /// In master-worker mode a reload executes the binary anew and hands sockets and tables to the new worker: the same as
    /// an upgrade.
    fn upgrade(&mut self, replica: usize) -> Result<(), Failure> {
        let replica = self.replica(replica)?;
        let before = replica.applied.clone();
        replica.dump_states(&before)?;
        replica.reload()
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
    fn start(&mut self) -> Result<(), Failure> {
        // A dump of before the crash says nothing about the servers of today.
        let _ = std::fs::remove_file(self.server_states());
        let mut command = Command::new(PROGRAM);
        command.arg("-W").arg("-f").arg(self.configuration()).arg("-p").arg(self.folder.join("pid"));
        command.arg("-S").arg(self.master_socket());
        let log = self.folder.join("log");
        self.process = Some(Process::start("HAProxy", &mut command, &log, self.address)?);
        Ok(())
    }

    /// A process waits five seconds for the table of a predecessor, and if it is reloaded before that it hands
    /// nothing over itself. No real service is reloaded so young: this would be an incident of our making.
    fn settle(&mut self) -> Result<(), Failure> {
        let socket = self.stats_socket();
        let process = self.process.as_mut().ok_or("HAProxy is not running")?;
        process.wait_until("end its first learning", || knows_table(&socket))
    }

    /// Draining and weights go by the runtime API alone; all else by a reload.
    fn apply(&mut self, plan: &Plan) -> Result<(), Failure> {
        let before = std::mem::replace(&mut self.applied, plan.clone());
        if self.process.is_none() {
            return Ok(());
        }
        // Before a reload too, because the dump of states would carry the old ones over.
        for backend in &plan.backends {
            self.adjust(&before, backend)?;
        }
        if servers(&before) != servers(plan) || before.backend_limit != plan.backend_limit {
            self.dump_states(&before)?;
            self.reload()?;
        }
        Ok(())
    }

    fn adjust(&self, before: &Plan, backend: &Backend) -> Result<(), Failure> {
        let Some(old) = before.backends.iter().find(|old| old.id == backend.id) else { return Ok(()) };
        let id = &backend.id;
        if old.draining != backend.draining {
            let state = if backend.draining { "drain" } else { "ready" };
            self.command(&format!("set server app/{id} state {state}"))?;
        }
        // A server that was started as drained has no weight yet.
        if weight(old) != weight(backend) && !backend.draining {
            self.command(&format!("set server app/{id} weight {}", backend.weight))?;
        }
        Ok(())
    }

    /// As doc/seamless_reload.txt says, before each reload; without the servers that move, because what health
    /// checks have found at the old address says nothing about the new one.
    fn dump_states(&self, before: &Plan) -> Result<(), Failure> {
        let (old, new) = (servers(before), servers(&self.applied));
        let stays = |line: &str| match line.split(' ').nth(3) {
            Some(id) => old.get(id) == new.get(id),
            None => true,
        };
        let dump = ask(&self.stats_socket(), "show servers state")?;
        let lines: Vec<&str> = dump.lines().filter(|line| stays(line)).collect();
        Ok(std::fs::write(self.server_states(), lines.join("\n") + "\n")?)
    }

    /// SIGUSR2 to the master. Returns when a new worker is there and the old ones accept no more.
    fn reload(&mut self) -> Result<(), Failure> {
        let master = self.master_socket();
        let old = workers(&master)?;
        let process = self.process.as_mut().ok_or("HAProxy is not running")?;
        process.signal(Signal::SIGUSR2)?;
        process.wait_until("reload", || {
            let Ok(now) = workers(&master) else { return false };
            now.iter().any(|pid| !old.contains(pid)) && old.iter().all(|pid| has_stopped(&master, pid))
        })
    }

    /// A command that says nothing when it succeeds.
    fn command(&self, command: &str) -> Result<(), Failure> {
        let answer = ask(&self.stats_socket(), command)?;
        if answer.trim().is_empty() {
            return Ok(());
        }
        Err(format!("HAProxy refuses \"{command}\": {}", answer.trim()).into())
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join("haproxy.cfg")
    }

    fn server_states(&self) -> PathBuf {
        self.folder.join("servers.state")
    }

    fn stats_socket(&self) -> PathBuf {
        self.folder.join("stats.sock")
    }

    fn master_socket(&self) -> PathBuf {
        self.folder.join("master.sock")
    }
}

/// What only a reload can change.
fn servers(plan: &Plan) -> BTreeMap<&str, SocketAddr> {
    plan.backends.iter().map(|backend| (backend.id.as_str(), backend.address)).collect()
}
