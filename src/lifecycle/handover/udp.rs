//! The sessions of UDP, each with the socket to its backend: the old process sends them once the successor is ready.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use super::HandoverError;
use super::wire::{Frame, Kind, MAX_DESCRIPTORS, Wire};
use crate::listen::{CarriedSession, ListenerFacts, SessionRecord};
use crate::names::ListenerName;

/// For the next sessions that lanes give: one that is busy gives none before.
const PATIENCE: Duration = Duration::from_secs(2);

type Listeners = BTreeMap<ListenerName, Arc<ListenerFacts>>;

/// Sends all sessions that these listeners have, and says that those were all. They end here.
///
/// # Errors
/// The successor does not take them. Those that were not sent go on here.
pub(super) fn give(wire: &Wire, listeners: &Listeners) -> Result<(), HandoverError> {
    let (way, given) = mpsc::channel();
    listeners.values().for_each(|facts| facts.passage.leave(&way));
    drop(way);
    let mut count = 0;
    while let Some(sessions) = next(&given) {
        if let Err(error) = send(wire, &sessions) {
            let more = std::iter::from_fn(|| next(&given)).flatten();
            for session in sessions.into_iter().chain(more) {
                if let Some(facts) = listeners.get(&session.record.listener) {
                    facts.passage.adopt(session);
                }
            }
            return Err(error);
        }
        count += sessions.len();
    }
    // Whatever a lane would still give, it keeps.
    drop(given);
    if count > 0 {
        log::info!("{count} sessions of UDP are handed over");
    }
    wire.send(Kind::UdpComplete, &[])
}

/// As many as there are, of those that fit into one frame; `None`: no more come.
fn next(given: &Receiver<CarriedSession>) -> Option<Vec<CarriedSession>> {
    let first = given.recv_timeout(PATIENCE).ok()?;
    Some(std::iter::once(first).chain(given.try_iter().take(MAX_DESCRIPTORS - 1)).collect())
}

fn send(wire: &Wire, sessions: &[CarriedSession]) -> Result<(), HandoverError> {
    let records: Vec<_> = sessions.iter().map(|session| &session.record).collect();
    let sockets: Vec<_> = sessions.iter().map(|session| session.socket.as_fd()).collect();
    let body = serde_json::to_vec(&records).map_err(|error| HandoverError::Garbled(error.to_string()))?;
    wire.send_with(Kind::Udp, &body, &sockets)
}

/// What comes in the successor, on its way to the lanes. When dropped, these read.
pub(super) struct Arrivals {
    listeners: Listeners,
    /// Sockets whose sessions have not come yet, by both of their ends.
    sockets: HashMap<Ends, UdpSocket>,
    /// Sessions that have come, with and without their sockets.
    came: usize,
    bare: usize,
    complete: bool,
}

/// Where a socket is, and where it leads.
type Ends = (SocketAddr, SocketAddr);

impl Arrivals {
    /// For these listeners.
    pub(super) fn new(listeners: Vec<Arc<ListenerFacts>>) -> Self {
        let listeners = listeners.into_iter().map(|facts| (facts.name.clone(), facts)).collect();
        Self { listeners, sockets: HashMap::new(), came: 0, bare: 0, complete: false }
    }

    /// Whether the lanes read.
    pub(super) fn are_complete(&self) -> bool {
        self.complete
    }

    /// Takes sessions with what has come beside them, or hears that they were all.
    ///
    /// # Errors
    /// The old process says what is not understood.
    pub(super) fn take(&mut self, frame: &Frame, wire: &mut Wire) -> Result<(), HandoverError> {
        match frame.kind {
            Kind::Udp => self.enter(frame.json()?, wire.take_all_descriptors().map(UdpSocket::from)),
            Kind::UdpComplete => self.complete(),
            _ => return Err(HandoverError::Garbled(format!("{:?} at this time", frame.kind))),
        }
        Ok(())
    }

    fn enter(&mut self, records: Vec<SessionRecord>, sockets: impl Iterator<Item = UdpSocket>) {
        // By their ends, not by their order: where some are missing, none may come to another client.
        self.sockets.extend(sockets.filter_map(|socket| Some((ends(&socket).ok()?, socket))));
        for record in records {
            self.came += 1;
            let Some(socket) = self.sockets.remove(&(plain(record.from), plain(record.to))) else {
                self.bare += 1;
                continue;
            };
            if let Some(facts) = self.listeners.get(&record.listener) {
                facts.passage.adopt(CarriedSession { record, socket, slot: None });
            }
        }
    }

    /// From now on the lanes read.
    pub(super) fn complete(&mut self) {
        if !std::mem::replace(&mut self.complete, true) {
            self.listeners.values().for_each(|facts| facts.passage.complete());
            if self.came > 0 {
                log::info!("{} sessions of UDP are taken over", self.came - self.bare);
            }
        }
        if self.bare > 0 {
            log::warn!(
                "{} sessions of UDP begin anew: raise the limit of open files",
                std::mem::take(&mut self.bare)
            );
        }
        // Whatever belongs to no session.
        self.sockets.clear();
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.complete();
    }
}

fn ends(socket: &UdpSocket) -> io::Result<Ends> {
    Ok((plain(socket.local_addr()?), plain(socket.peer_addr()?)))
}

/// Without what a text of it may lack.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::thread;

    use tokio::sync::mpsc::UnboundedReceiver;

    use super::*;
    use crate::listen::{Acceptance, Passage, Word};
    use crate::names::{BackendId, PoolName, Reason};

    fn listener(awaits: bool) -> Arc<ListenerFacts> {
        Arc::new(ListenerFacts {
            name: ListenerName::new("dns"),
            index: 0,
            acceptance: Acceptance::default(),
            clients: Arc::default(),
            buffers: Arc::default(),
            pages: Arc::default(),
            passage: Passage::new(2, awaits),
        })
    }

    fn wires() -> (Wire, Wire) {
        let (one, other) = UnixStream::pair().unwrap();
        let (one, other) = (Wire::new(one), Wire::new(other));
        one.patience(Duration::from_secs(20), Duration::from_secs(20)).unwrap();
        other.patience(Duration::from_secs(20), Duration::from_secs(20)).unwrap();
        (one, other)
    }

    /// All of them at one backend: only their own ends tell their sockets apart.
    fn session(n: u16) -> CarriedSession {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect("127.0.0.1:9").unwrap();
        let record = SessionRecord {
            listener: ListenerName::new("dns"),
            lane: usize::from(n % 2),
            client: ([192, 0, 2, 1], n).into(),
            local: None,
            named: None,
            pool: PoolName::new("app"),
            backend: BackendId::new("app1"),
            to: socket.peer_addr().unwrap(),
            from: socket.local_addr().unwrap(),
            many: false,
            reason: Reason::Learned,
            retries: 0,
            proven: true,
            answered: true,
            up: 1,
            down: 2,
            datagrams: 3,
            age: Duration::from_secs(4),
            quiet: Duration::from_millis(5),
        };
        CarriedSession { record, socket, slot: None }
    }

    /// The clients' ports of the sessions that a lane has been told to go on with, each with a socket of its own.
    fn adopted(words: &mut UnboundedReceiver<Word>) -> Vec<u16> {
        let mut ports = Vec::new();
        while let Ok(word) = words.try_recv() {
            if let Word::Adopt(session) = word {
                assert_eq!(session.socket.local_addr().unwrap(), session.record.from, "its own socket");
                ports.push(session.record.client.port());
            }
        }
        ports
    }

    #[test]
    fn sessions_arrive_at_their_lanes_with_their_own_sockets_and_then_the_lanes_read() {
        const ALL: u16 = 2 * 64 + 20;
        let ((old, mut new), from, to) = (wires(), listener(false), listener(true));
        let mut lanes = [from.passage.words(0).unwrap(), from.passage.words(1).unwrap()];
        let listeners = BTreeMap::from([(from.name.clone(), Arc::clone(&from))]);
        let giver = thread::spawn(move || give(&old, &listeners));
        for (lane, words) in (0..).zip(&mut lanes) {
            let Some(Word::Leave(way)) = words.blocking_recv() else { panic!("it is to leave") };
            (0..ALL).filter(|n| n % 2 == lane).for_each(|n| way.send(session(n)).unwrap());
        }
        let mut arrivals = Arrivals::new(vec![Arc::clone(&to)]);
        while !arrivals.are_complete() {
            let frame = new.expect().unwrap();
            arrivals.take(&frame, &mut new).unwrap();
        }
        giver.join().unwrap().unwrap();
        for lane in 0..2 {
            let mut words = to.passage.words(usize::from(lane)).unwrap();
            let mut all: Vec<_> = std::iter::from_fn(|| words.try_recv().ok()).collect();
            assert!(matches!(all.pop(), Some(Word::Complete)), "the last word");
            assert_eq!(all.len(), usize::from(ALL / 2));
            let own = |word: &Word| match word {
                Word::Adopt(session) => {
                    session.socket.local_addr().unwrap() == session.record.from
                        && session.record.client.port() % 2 == lane
                }
                Word::Complete | Word::Leave(_) => false,
            };
            assert!(all.iter().all(own));
        }
    }

    #[test]
    fn where_descriptors_are_cut_off_no_session_gets_the_socket_of_another_one() {
        let ((old, mut new), to) = (wires(), listener(true));
        let frames = [[0, 2, 4], [6, 8, 10]].map(|numbers| numbers.map(session));
        for (sessions, arrive) in frames.iter().zip([1, 3]) {
            // As the kernel does it where the receiver has no room for more.
            let records: Vec<_> = sessions.iter().map(|session| &session.record).collect();
            let body = serde_json::to_vec(&records).unwrap();
            let sockets: Vec<_> =
                sessions.iter().take(arrive).map(|session| session.socket.as_fd()).collect();
            old.send_with(Kind::Udp, &body, &sockets).unwrap();
        }
        // Both are here before the first one is looked at.
        let first = new.expect().unwrap();
        let second = new.expect().unwrap();
        let mut arrivals = Arrivals::new(vec![Arc::clone(&to)]);
        arrivals.take(&first, &mut new).unwrap();
        arrivals.take(&second, &mut new).unwrap();
        assert_eq!(adopted(&mut to.passage.words(0).unwrap()), [0, 6, 8, 10]);
        assert_eq!(arrivals.bare, 2);
    }

    #[test]
    fn sessions_that_nobody_takes_go_on_where_they_were() {
        let ((old, new), from) = (wires(), listener(false));
        drop(new);
        let mut lanes = [from.passage.words(0).unwrap(), from.passage.words(1).unwrap()];
        let listeners = BTreeMap::from([(from.name.clone(), Arc::clone(&from))]);
        let giver = thread::spawn(move || give(&old, &listeners));
        for (lane, words) in (0..).zip(&mut lanes) {
            let Some(Word::Leave(way)) = words.blocking_recv() else { panic!("it is to leave") };
            // A lane hears from a failed one when nobody listens any more, and keeps the session itself.
            (0..100_u16).filter(|n| n % 2 == lane).for_each(|n| {
                if let Err(mpsc::SendError(session)) = way.send(session(n)) {
                    from.passage.adopt(session);
                }
            });
        }
        giver.join().unwrap().unwrap_err();
        let mut back: Vec<_> = lanes.iter_mut().flat_map(adopted).collect();
        back.sort_unstable();
        assert_eq!(back, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn lanes_read_when_the_old_process_is_lost_before_it_was_ready() {
        let to = listener(true);
        drop(Arrivals::new(vec![Arc::clone(&to)]));
        assert!(matches!(to.passage.words(1).unwrap().try_recv(), Ok(Word::Complete)));
    }
}
