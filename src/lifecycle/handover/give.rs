//! The old process's side: it gives, waits for the word "ready", and then only finishes what runs.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::exchange::Exchange;
use super::wire::{Kind, MAX_DESCRIPTORS, Wire};
use super::{Carried, Farewell, HandoverError, Hello, Page, Ready, SocketName, VERSION, udp};
use crate::clock::Now;
use crate::lifecycle::control::Control;
use crate::lifecycle::notify;
use crate::lifecycle::pid_file::PidFile;
use crate::lifecycle::stop::Manner;
use crate::listen::{Accepting, ListenerFacts};
use crate::snapshot::{Current, Snapshot};
use crate::store::Keeper;

/// For the first word.
const GREETING: Duration = Duration::from_secs(10);
/// For the successor to start: it may have a million sessions to take in.
const START: Duration = Duration::from_secs(60);

/// Everything that a successor gets, and what becomes of it afterwards.
pub(crate) struct Estate {
    pub(crate) sockets: Vec<Heirloom>,
    pub(crate) control: Arc<Control>,
    pub(crate) current: Arc<Current>,
    pub(crate) keeper: Arc<Keeper>,
    /// Where the process that serves writes its number, if anywhere.
    pub(crate) pid_file: Option<PathBuf>,
    /// Tells the process to finish, or that it has to go on after all.
    pub(crate) retire: watch::Sender<Option<Manner>>,
}

/// A listening socket.
pub(crate) struct Heirloom {
    /// As the configuration has it.
    pub(crate) address: String,
    /// A second descriptor of the same socket.
    pub(crate) socket: OwnedFd,
    pub(crate) facts: Arc<ListenerFacts>,
}

/// How the last hand-over ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// The successor serves.
    Done {
        /// Its process id.
        pid: u32,
    },
    /// This process goes on.
    Failed(String),
}

/// Waits for successors.
pub(crate) struct Giver {
    path: PathBuf,
    last: Arc<Mutex<Option<Outcome>>>,
}

impl Giver {
    /// Waits at this path for a process of the same user.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub(crate) fn listen(path: &Path, estate: Arc<Estate>) -> io::Result<Self> {
        let mut listener = bind(path)?;
        let last = Arc::default();
        let giver = Self { path: path.to_owned(), last: Arc::clone(&last) };
        let path = path.to_owned();
        let run = move || {
            loop {
                let asked = listener.accept();
                let given =
                    asked.map_err(HandoverError::from).and_then(|(stream, _)| estate.give(stream, &last));
                match given.map(|()| bind(&path)) {
                    // The successor had put its own in that place, and is dead.
                    Ok(Ok(again)) => listener = again,
                    Ok(Err(error)) => return log::error!("no further upgrade is possible: {error}"),
                    Err(error) => {
                        log::error!("an upgrade came to nothing, this process goes on: {error}");
                        *last.lock() = Some(Outcome::Failed(error.to_string()));
                    }
                }
            }
        };
        std::thread::Builder::new().name("handover".to_owned()).spawn(run)?;
        Ok(giver)
    }

    /// Where it waits.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How the last hand-over ended, once.
    pub(crate) fn take_outcome(&self) -> Option<Outcome> {
        self.last.lock().take()
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    // Whoever listened here before has handed over to us, or is dead.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

impl Estate {
    /// Gives everything, and stays with the successor until one of the two ends.
    fn give(&self, stream: UnixStream, last: &Mutex<Option<Outcome>>) -> Result<(), HandoverError> {
        let peer = rustix::net::sockopt::socket_peercred(&stream).map_err(io::Error::from)?;
        if peer.uid != rustix::process::geteuid() {
            return Err(HandoverError::Refused("the process that asks is another user's".to_owned()));
        }
        let mut wire = Wire::new(stream);
        wire.patience(GREETING, START)?;
        let greeting = wire.expect()?;
        if greeting.kind == Kind::Failed {
            return Err(HandoverError::Refused(String::from_utf8_lossy(&greeting.body).into_owned()));
        }
        let hello: Hello = greeting.json()?;
        if hello.version != VERSION {
            return Err(HandoverError::Refused(format!(
                "it speaks version {}, not {VERSION}",
                hello.version
            )));
        }
        log::info!("process {} asks to take over", hello.pid);
        let snapshot = self.current.load();
        let exchange = Exchange::begin(&snapshot);
        self.send(&wire, &snapshot, &exchange)?;
        let answer = exchange.next_word(&mut wire, Some(START))?;
        if answer.kind == Kind::Failed {
            return Err(HandoverError::Refused(String::from_utf8_lossy(&answer.body).into_owned()));
        }
        let ready: Ready = answer.json()?;
        log::info!("process {} has taken over; this one finishes what runs", hello.pid);
        self.retire(&ready);
        *last.lock() = Some(Outcome::Done { pid: hello.pid });
        let ended = std::thread::scope(|scope| {
            // Beside the exchange: it writes to the disk, and the successor's news cannot wait. The successor's own
            // keeper waits for the file.
            scope.spawn(|| self.keeper.stop());
            if ready.takes_udp
                && let Err(error) = self.give_udp(&wire, &ready)
            {
                log::warn!("sessions of UDP go on in this process: {error}");
            }
            exchange.run(&mut wire)
        });
        match ended {
            Ok(Farewell { succeeded }) => {
                log::info!("process {} has ended as it was told to", hello.pid);
                if !succeeded {
                    // Whatever it left is this one's to clear up.
                    self.sockets
                        .iter()
                        .for_each(|heirloom| heirloom.facts.acceptance.set(Accepting::Closing));
                }
            }
            Err(error) => {
                log::error!("process {} is gone, this one accepts again: {error:?}", hello.pid);
                self.resume();
            }
        }
        Ok(())
    }

    fn send(&self, wire: &Wire, snapshot: &Snapshot, exchange: &Exchange) -> Result<(), HandoverError> {
        for sockets in self.sockets.chunks(MAX_DESCRIPTORS) {
            let names: Vec<_> = sockets
                .iter()
                .map(|heirloom| SocketName {
                    listener: heirloom.facts.name.clone(),
                    address: heirloom.address.clone(),
                })
                .collect();
            let descriptors: Vec<_> = sockets.iter().map(|heirloom| heirloom.socket.as_fd()).collect();
            let body =
                serde_json::to_vec(&names).map_err(|error| HandoverError::Garbled(error.to_string()))?;
            wire.send_with(Kind::Sockets, &body, &descriptors)?;
        }
        let now = Now::read();
        let live = snapshot.pools.iter().flat_map(|served| {
            let name = served.pool.name();
            let backends = served.pool.backends().iter();
            backends.map(move |backend| (name.clone(), backend.id().clone(), backend.live().carried(now)))
        });
        let carried = Carried { world: self.control.carried(now), live: live.collect(), udp_follows: true };
        wire.send_json(Kind::Carried, &carried)?;
        for served in &snapshot.pools {
            let pool = served.pool.name();
            for page in served.book.carried(now) {
                wire.send_json(Kind::Page, &Page { pool: pool.clone(), page })?;
            }
        }
        exchange.send_all(wire, now)?;
        wire.send(Kind::Complete, &[])
    }

    /// The successor accepts: from here on, this process only finishes what runs.
    fn retire(&self, ready: &Ready) {
        self.control.hand_over(true);
        for Heirloom { facts, .. } in &self.sockets {
            let taken = ready.took.contains(&facts.name);
            facts.acceptance.set(if taken { Accepting::Paused } else { Accepting::Closing });
        }
        self.retire.send_replace(Some(Manner::Retire));
    }

    /// Sends the sessions of UDP of those listeners that the successor has taken.
    fn give_udp(&self, wire: &Wire, ready: &Ready) -> Result<(), HandoverError> {
        let mut listeners = BTreeMap::new();
        for Heirloom { facts, .. } in &self.sockets {
            if ready.took.contains(&facts.name) {
                listeners.insert(facts.name.clone(), Arc::clone(facts));
            }
        }
        udp::give(wire, &listeners)
    }

    /// The successor is dead, and this process is not yet.
    fn resume(&self) {
        self.retire.send_replace(None);
        for Heirloom { facts, .. } in &self.sockets {
            facts.acceptance.set(Accepting::Yes);
        }
        self.keeper.resume(self.current.load().kept());
        if let Some(Err(error)) = self.pid_file.as_deref().map(PidFile::rewrite) {
            log::warn!("cannot write server.pid_file: {error}");
        }
        notify::ready(true);
        self.control.hand_over(false);
    }
}
