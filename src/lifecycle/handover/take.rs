//! The successor's side: it takes what the old process gives, and says when it is ready.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::exchange::Exchange;
use super::udp::Arrivals;
use super::wire::{Kind, Wire};
use super::{Carried, Farewell, HandoverError, Hello, Page, Ready, SocketName, VERSION, record};
use crate::affinity::Change;
use crate::clock::Now;
use crate::lifecycle::control::CarriedWorld;
use crate::listen::ListenerFacts;
use crate::names::{ListenerName, PoolName};
use crate::snapshot::Snapshot;

/// Names the socket to connect to, in the environment of a process that was started to take over.
pub(crate) const SOCKET_VARIABLE: &str = "STEADFAST_UPGRADE_SOCKET";

/// The process before, while it finishes what runs there.
pub(crate) struct Predecessor {
    exchange: Arc<Exchange>,
    thread: JoinHandle<()>,
}

impl Predecessor {
    /// Whether it has finished.
    pub(crate) fn has_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Tells it that this process ends because it was told to: nobody has to stand in for it.
    pub(crate) fn say_farewell(&self, farewell: Farewell) {
        if !self.has_finished() {
            self.exchange.say_farewell(farewell);
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
/// For the next sessions of UDP, while their clients' datagrams wait.
const UDP_PATIENCE: Duration = Duration::from_secs(5);

/// What the old process has given.
#[derive(Debug)]
pub(crate) struct Inheritance {
    wire: Wire,
    sockets: Vec<(SocketName, OwnedFd)>,
    carried: Carried,
    pages: Vec<Page>,
    sessions: Vec<(PoolName, Vec<Change>)>,
    took: Vec<ListenerName>,
    exchange: Option<Exchange>,
}

/// Connects to the old process and takes all it has.
///
/// # Errors
/// Nobody is there, or it ended in the middle.
pub(crate) fn connect(path: &Path) -> Result<Inheritance, HandoverError> {
    let mut wire = Wire::new(UnixStream::connect(path)?);
    wire.patience(PATIENCE, PATIENCE)?;
    wire.send_json(Kind::Hello, &Hello { version: VERSION, pid: std::process::id() })?;
    let (mut sockets, mut carried, mut sessions) = (Vec::new(), Carried::default(), Vec::new());
    let mut pages = Vec::new();
    loop {
        let frame = wire.expect()?;
        match frame.kind {
            Kind::Sockets => {
                let names: VecDeque<SocketName> = frame.json()?;
                let descriptors = wire.take_descriptors(names.len());
                if descriptors.len() != names.len() {
                    return Err(HandoverError::Garbled("sockets are missing".to_owned()));
                }
                sockets.extend(names.into_iter().zip(descriptors));
            }
            Kind::Carried => carried = frame.json()?,
            Kind::Page => pages.push(frame.json()?),
            Kind::Sessions => sessions.extend(record::decode(&frame.body)),
            Kind::Complete => {
                return Ok(Inheritance {
                    wire,
                    sockets,
                    carried,
                    pages,
                    sessions,
                    took: Vec::new(),
                    exchange: None,
                });
            }
            Kind::Hello | Kind::Ready | Kind::Failed | Kind::Udp | Kind::UdpComplete | Kind::Farewell => {
                return Err(HandoverError::Garbled(format!("{:?} at this time", frame.kind)));
            }
        }
    }
}

/// Tells the process that wanted to be succeeded by this one why it cannot be.
pub(crate) fn tell_predecessor(reason: &dyn std::fmt::Display) {
    let Some(path) = std::env::var_os(SOCKET_VARIABLE) else { return };
    let told = UnixStream::connect(path)
        .map_err(HandoverError::from)
        .and_then(|stream| Wire::new(stream).send(Kind::Failed, reason.to_string().as_bytes()));
    if let Err(error) = told {
        log::debug!("the process before does not hear: {error}");
    }
}

impl Inheritance {
    /// What differs from the file at run time.
    pub(crate) fn world(&self) -> CarriedWorld {
        self.carried.world.clone()
    }

    /// The inherited socket of a listener, if its address is still the same.
    pub(crate) fn socket(&mut self, listener: &ListenerName, address: &str) -> Option<OwnedFd> {
        let is = |(name, _): &(SocketName, OwnedFd)| name.listener == *listener && name.address == address;
        let at = self.sockets.iter().position(is)?;
        // In their order, by which a listener's sockets are numbered.
        let (name, socket) = self.sockets.remove(at);
        self.took.push(name.listener);
        Some(socket)
    }

    /// Whether the old process has sessions of UDP for a listener, whose sockets were taken over.
    pub(crate) fn has_sessions_of(&self, listener: &ListenerName) -> bool {
        self.carried.udp_follows && self.took.contains(listener)
    }

    /// Enters what was carried over into a snapshot that nobody uses yet.
    pub(crate) fn enter(&mut self, snapshot: &Snapshot, now: Now) {
        for (pool, id, live) in &self.carried.live {
            let pool = snapshot.pool_named(pool).map(|served| &served.pool);
            if let Some(backend) = pool.and_then(|pool| pool.backend(pool.find(id.as_str())?)) {
                backend.live().resume(live, now);
            }
        }
        for Page { pool, page } in &self.pages {
            if let Some(served) = snapshot.pool_named(pool) {
                served.book.resume(page, now);
            }
        }
        for (pool, changes) in self.sessions.drain(..) {
            let Some(served) = snapshot.pool_named(&pool) else { continue };
            for change in &changes {
                if let Change::Learned(session) = change {
                    // Whoever finds no room in a smaller table was the least recently used.
                    let _ = served.policy.learned.restore(session, now);
                }
            }
        }
        // Before the first request, so that nothing that is learned escapes it.
        self.exchange = Some(Exchange::begin(snapshot));
    }

    /// Says that this process can not take over after all.
    pub(crate) fn fail(&self, reason: &dyn std::fmt::Display) {
        if let Err(error) = self.wire.send(Kind::Failed, reason.to_string().as_bytes()) {
            log::debug!("the process before does not hear: {error}");
        }
    }

    /// Says that this process accepts, takes the sessions of UDP, and stays with the old one, on a thread of its own, until that
    /// has finished.
    pub(crate) fn ready(mut self, listeners: Vec<Arc<ListenerFacts>>) -> Option<Predecessor> {
        // Whatever ends it lets them read.
        let mut arrivals = Arrivals::new(listeners);
        let exchange = Arc::new(self.exchange.take()?);
        let told = Arc::clone(&exchange);
        let ready = Ready { took: std::mem::take(&mut self.took), takes_udp: true };
        if let Err(error) = self.wire.send_json(Kind::Ready, &ready) {
            log::warn!("the process before was lost: {error}");
            return None;
        }
        let run = move || {
            if let Err(HandoverError::Garbled(what)) = self.stay(&exchange, &mut arrivals) {
                log::warn!("the process before says what is not understood: {what}");
            }
            log::info!("the process before has finished");
        };
        let thread = std::thread::Builder::new().name("inherit".to_owned()).spawn(run);
        let unheard = |error: &std::io::Error| {
            log::warn!("no thread to hear what the process before still learns: {error}");
        };
        let thread = thread.inspect_err(unheard).ok()?;
        Some(Predecessor { exchange: told, thread })
    }

    /// Takes what the old process still has, and hears what it learns, until it is gone.
    fn stay(&mut self, exchange: &Exchange, arrivals: &mut Arrivals) -> Result<(), HandoverError> {
        if self.carried.udp_follows {
            self.wire.patience(UDP_PATIENCE, PATIENCE)?;
            while !arrivals.are_complete() {
                match self.wire.receive()? {
                    Some(frame) if frame.kind == Kind::Sessions => exchange.enter(&frame)?,
                    Some(frame) => arrivals.take(&frame, &mut self.wire)?,
                    // Clients cannot wait for ever; what still comes is taken then.
                    None => arrivals.complete(),
                }
            }
        }
        arrivals.complete();
        loop {
            let frame = exchange.next_word(&mut self.wire, None)?;
            arrivals.take(&frame, &mut self.wire)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn the_sockets_of_a_listener_come_in_their_order_whatever_others_there_are() {
        let name = |listener: &str| SocketName {
            listener: ListenerName::new(listener),
            address: "udp 127.0.0.1:53".to_owned(),
        };
        let names = ["other", "dns", "dns", "other", "dns", "dns", "other"];
        let sockets: Vec<_> = names.iter().map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let all = sockets.iter().map(|socket| socket.local_addr().unwrap());
        let of_dns: Vec<_> = all.zip(names).filter(|(_, name)| *name == "dns").map(|(at, _)| at).collect();
        let sockets = names.iter().map(|listener| name(listener)).zip(sockets.into_iter().map(OwnedFd::from));
        let mut inherited = Inheritance {
            wire: Wire::new(UnixStream::pair().unwrap().0),
            sockets: sockets.collect(),
            carried: Carried::default(),
            pages: Vec::new(),
            sessions: Vec::new(),
            took: Vec::new(),
            exchange: None,
        };
        let next = || inherited.socket(&ListenerName::new("dns"), "udp 127.0.0.1:53");
        let taken = std::iter::from_fn(next).map(|socket| UdpSocket::from(socket).local_addr().unwrap());
        assert_eq!(taken.collect::<Vec<_>>(), of_dns);
    }
}
