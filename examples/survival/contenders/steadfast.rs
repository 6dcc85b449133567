//! Steadfast itself, run as its README says.

use std::fmt::Write as _;
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::contender::{Contender, Failure, Plan};
use crate::server::{free_address, wait_for};

/// Steadfast, with replicas that share nothing but keys and seed.
#[derive(Default)]
pub(crate) struct Steadfast {
    replicas: Vec<Replica>,
}

struct Replica {
    folder: PathBuf,
    address: SocketAddr,
    process: Child,
    reloads: usize,
}

impl Contender for Steadfast {
    fn name(&self) -> &'static str {
        "Steadfast"
    }

    fn start(&mut self, plan: &Plan) -> Result<(), Failure> {
        for number in 0..plan.replicas {
            let folder = plan.folder.join(format!("steadfast-{number}"));
            std::fs::create_dir_all(&folder)?;
            let address = free_address()?;
            std::fs::write(folder.join("steadfast.yaml"), configuration(plan, address)?)?;
            let process = launch(&folder, address)?;
            self.replicas.push(Replica { folder, address, process, reloads: 0 });
        }
        Ok(())
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.replicas.iter().map(|replica| replica.address).collect()
    }

    fn apply(&mut self, plan: &Plan, replica: usize) -> Result<(), Failure> {
        let replica = self.replica(replica)?;
        std::fs::write(replica.folder.join("steadfast.yaml"), configuration(plan, replica.address)?)?;
        kill(replica.serving()?, Signal::SIGHUP)?;
        replica.reloads += 1;
        for _ in 0..500 {
            let log = std::fs::read_to_string(replica.folder.join("log"))?;
            if log.matches("configuration reloaded").count() >= replica.reloads {
                return Ok(());
            }
            if log.contains("configuration refused") {
                return Err(log.into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err("Steadfast did not reload".into())
    }

    fn upgrade(&mut self, replica: usize) -> Result<(), Failure> {
        let replica = self.replica(replica)?;
        let before = replica.serving()?;
        kill(before, Signal::SIGUSR2)?;
        for _ in 0..3000 {
            if replica.serving()? != before {
                // What the old process logs goes to the same file.
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err("Steadfast did not upgrade".into())
    }

    fn kill(&mut self, replica: usize) -> Result<(), Failure> {
        let replica = self.replica(replica)?;
        replica.end();
        Ok(())
    }

    fn restart(&mut self, replica: usize) -> Result<(), Failure> {
        let replica = self.replica(replica)?;
        replica.process = launch(&replica.folder, replica.address)?;
        replica.reloads = 0;
        Ok(())
    }

    /// `pool/backend lost N sessions within …`, in the log of any replica.
    fn reported_losses(&self) -> Option<u64> {
        let logs = self.replicas.iter().filter_map(|it| std::fs::read_to_string(it.folder.join("log")).ok());
        let lost = |line: &str| {
            let number = line.split_once(" lost ")?.1.split_once(" sessions within ")?.0;
            number.parse::<u64>().ok()
        };
        Some(logs.map(|log| log.lines().filter_map(lost).sum::<u64>()).sum())
    }
}

impl Steadfast {
    fn replica(&mut self, number: usize) -> Result<&mut Replica, Failure> {
        self.replicas.get_mut(number).ok_or_else(|| format!("there is no replica {number}").into())
    }
}

impl Replica {
    /// The process that serves.
    fn serving(&self) -> Result<Pid, Failure> {
        Ok(Pid::from_raw(std::fs::read_to_string(self.folder.join("pid"))?.trim().parse()?))
    }

    /// With those that took over from it.
    fn end(&mut self) {
        if let Ok(group) = i32::try_from(self.process.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.process.wait();
        // A killed process leaves its file, which must not pass for that of the next one.
        let _ = std::fs::remove_file(self.folder.join("pid"));
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.end();
    }
}

fn launch(folder: &Path, address: SocketAddr) -> Result<Child, Failure> {
    // `target/…/examples/survival` stands beside `target/…/steadfast`.
    let examples = std::env::current_exe()?;
    let program = examples.parent().and_then(Path::parent).ok_or("no program folder")?.join("steadfast");
    let process = Command::new(program)
        .args(["run", "-c", "steadfast.yaml"])
        .current_dir(folder)
        .env("RUST_LOG", "info")
        .process_group(0)
        .stdin(Stdio::null())
        .stderr(File::create(folder.join("log"))?)
        .spawn()?;
    wait_for(address, "Steadfast")?;
    let pid = folder.join("pid");
    while !pid.exists() {
        thread::sleep(Duration::from_millis(5));
    }
    Ok(process)
}

fn configuration(plan: &Plan, address: SocketAddr) -> Result<String, Failure> {
    let mut text = String::from("version: 1\nstate_dir: state\nserver: { threads: 2, pid_file: pid }\n");
    // The newest key seals; the next one is already known everywhere before any replica seals with it.
    let generation = plan.key_generation;
    let sealing =
        (generation.saturating_sub(2)..=generation + 1).rev().filter(|number| *number != generation + 1);
    let order = sealing.chain([generation + 1]);
    let keys: Vec<_> = order.map(key).collect();
    writeln!(text, "keys: [ {} ]", keys.join(", "))?;
    text.push_str("affinity_seed: { value: survival-survival-1 }\n");
    let http2 = plan.http2;
    writeln!(
        text,
        "listeners:\n  - name: web\n    address: \"{address}\"\n    http2: {{ cleartext: {http2} }}"
    )?;
    text.push_str("    routes: [ { pool: app } ]\n");
    text.push_str("pools:\n  app:\n    backends:\n");
    for backend in &plan.backends {
        let state = if backend.draining { "draining" } else { "up" };
        let (id, address, weight) = (&backend.id, backend.address, backend.weight);
        writeln!(text, "      - {{ id: {id}, address: \"{address}\", weight: {weight}, state: {state} }}")?;
    }
    text.push_str("    affinity: { application_cookie: JSESSIONID, path_parameter: jsessionid }\n");
    text.push_str("    health: { http: { path: /health } }\n");
    if let Some(limit) = plan.backend_limit {
        writeln!(text, "    limits: {{ connections_per_backend: {limit}, queue: {{ wait: 10s }} }}")?;
    }
    Ok(text)
}

/// Made from its number, as replicas would be given it by their operator.
fn key(number: u32) -> String {
    use base64::Engine as _;
    let mut bytes = [0_u8; 32];
    for (byte, value) in bytes.iter_mut().zip(number.to_be_bytes().iter().cycle()) {
        *byte = value.wrapping_mul(31) ^ 0x5A;
    }
    let value = base64::engine::general_purpose::STANDARD.encode(bytes);
    format!("{{ id: k{number}, value: \"{value}\" }}")
}
