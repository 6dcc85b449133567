//! UDP applications of this process that say their name and whom they see before they repeat what they hear, and clients at any
//! address of 127.0.0.0/8.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use quinn_udp::{Transmit, UdpSocketState};
use socket2::{Domain, Socket, Type};

use super::tcp::client;

/// Long enough for a busy machine; datagrams are lost in full buffers alone.
const PATIENCE: Duration = Duration::from_secs(3);
const TRIES: u32 = 5;

/// A port of 127.0.0.1, reserved for one server for as long as this lives. While no server has it, datagrams are refused: the
/// reservation is connected, and so takes none but from where none come.
struct UdpPort {
    address: SocketAddr,
    _reservation: Socket,
}

impl UdpPort {
    fn reserve() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        socket.connect(&SocketAddr::from(([127, 255, 255, 254], 9)).into()).unwrap();
        Self { address, _reservation: socket }
    }
}

/// A UDP application; ends when it is dropped.
pub(crate) struct Datagrams {
    pub(crate) name: String,
    port: UdpPort,
    heard: Arc<AtomicU64>,
    mute: Arc<AtomicBool>,
    /// To say something unasked.
    mouth: Option<UdpSocket>,
    running: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Datagrams {
    /// Starts it on a port of its own.
    pub(crate) fn start(name: &str) -> Self {
        let mut app = Self {
            name: name.to_owned(),
            port: UdpPort::reserve(),
            heard: Arc::default(),
            mute: Arc::default(),
            mouth: None,
            running: None,
        };
        app.restart();
        app
    }

    /// Applications `PREFIX1` to `PREFIXN`.
    pub(crate) fn several(prefix: &str, count: usize) -> Vec<Self> {
        (1..=count).map(|n| Self::start(&format!("{prefix}{n}"))).collect()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address
    }

    /// Datagrams that it has heard, without empty ones, which only knock.
    pub(crate) fn heard(&self) -> u64 {
        self.heard.load(Ordering::SeqCst)
    }

    /// From now on it says nothing, or speaks again.
    pub(crate) fn mute(&self, mute: bool) {
        self.mute.store(mute, Ordering::SeqCst);
    }

    /// Says something to whoever is at this port of 127.0.0.1, unasked.
    pub(crate) fn say(&self, port: u16, what: &[u8]) {
        self.mouth.as_ref().unwrap().send_to(what, (Ipv4Addr::LOCALHOST, port)).unwrap();
    }

    /// The same in datagrams of one size, by one call.
    pub(crate) fn say_in_one_piece(&self, port: u16, all: &[u8], size: usize) {
        in_one_piece(self.mouth.as_ref().unwrap(), all, size, (Ipv4Addr::LOCALHOST, port).into());
    }

    /// Stops it: its port refuses.
    pub(crate) fn stop(&mut self) {
        self.mouth = None;
        if let Some((stop, thread)) = self.running.take() {
            stop.store(true, Ordering::SeqCst);
            thread.join().unwrap();
        }
    }

    /// Starts it again on its port.
    pub(crate) fn restart(&mut self) {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.set_recv_buffer_size(8 << 20).unwrap();
        socket.bind(&self.address().into()).unwrap();
        let socket = UdpSocket::from(socket);
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        self.mouth = Some(socket.try_clone().unwrap());
        let stop = Arc::<AtomicBool>::default();
        let (name, ends) = (self.name.clone(), Arc::clone(&stop));
        let (heard, mute) = (Arc::clone(&self.heard), Arc::clone(&self.mute));
        let thread = thread::spawn(move || {
            let mut room = vec![0; 1 << 16];
            while !ends.load(Ordering::SeqCst) {
                let Ok((length, from)) = socket.recv_from(&mut room) else { continue };
                if length == 0 {
                    continue;
                }
                heard.fetch_add(1, Ordering::SeqCst);
                if !mute.load(Ordering::SeqCst) {
                    let answer = [format!("{name} {} ", from.port()).as_bytes(), &room[..length]].concat();
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        self.running = Some((stop, thread));
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sends datagrams of one size by one call, which leaves it to the kernel to cut them (GSO).
pub(crate) fn in_one_piece(socket: &UdpSocket, all: &[u8], size: usize, to: SocketAddr) {
    let state = UdpSocketState::new(socket.into()).unwrap();
    let all = Transmit { destination: to, ecn: None, contents: all, segment_size: Some(size), src_ip: None };
    state.try_send(socket.into(), &all).unwrap();
    socket.set_nonblocking(false).unwrap();
}

/// What an application answered: who it is, and the port that it sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) home: String,
    pub(crate) port: u16,
    pub(crate) rest: Vec<u8>,
}

/// A client at an address and port.
pub(crate) struct Asker {
    pub(crate) socket: UdpSocket,
}

impl Asker {
    /// From an address, at a port that the kernel chooses.
    pub(crate) fn from(client: Ipv4Addr, to: SocketAddr) -> Self {
        let socket = UdpSocket::bind((client, 0)).unwrap();
        socket.connect(to).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket }
    }

    /// Asks, again where nothing comes back.
    pub(crate) fn ask(&self, what: &[u8]) -> io::Result<Answer> {
        let mut error = io::ErrorKind::TimedOut.into();
        for _ in 0..TRIES {
            match self.ask_once(what) {
                Ok(answer) => return Ok(answer),
                Err(failed) => error = failed,
            }
        }
        Err(error)
    }

    /// Asks once.
    pub(crate) fn ask_once(&self, what: &[u8]) -> io::Result<Answer> {
        self.socket.send(what)?;
        let mut room = vec![0; 1 << 16];
        loop {
            let length = self.socket.recv(&mut room)?;
            let mut parts = room[..length].splitn(3, |byte| *byte == b' ');
            let (home, port, rest) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            // The answer to an earlier try may come late.
            if rest == what {
                return Ok(Answer {
                    home: text(home),
                    port: text(port).parse().unwrap(),
                    rest: rest.to_vec(),
                });
            }
        }
    }

    /// Who answers.
    pub(crate) fn home(&self) -> String {
        self.ask(b"who").map_or_else(|error| error.to_string(), |answer| answer.home)
    }
}

/// Where each of the first `count` clients is served, from a fresh port each, many at a time.
pub(crate) fn homes(count: u32, to: SocketAddr) -> Vec<String> {
    const AT_ONCE: u32 = 4;
    let mut homes = vec![String::new(); usize::try_from(count).unwrap()];
    thread::scope(|scope| {
        let ask = |n| {
            let home = Asker::from(client(n), to).home();
            // At this pace some hundred sessions are open at a time.
            thread::sleep(Duration::from_millis(4));
            home
        };
        let asking: Vec<_> = (0..AT_ONCE)
            .map(|first| {
                scope.spawn(move || (first..count).step_by(4).map(|n| (n, ask(n))).collect::<Vec<_>>())
            })
            .collect();
        for (n, home) in asking.into_iter().flat_map(|asked| asked.join().unwrap()) {
            homes[usize::try_from(n).unwrap()] = home;
        }
    });
    homes
}

/// A configuration with a UDP listener before these backends; `weights` says those that are not 1.
pub(crate) fn udp(backends: &[&Datagrams], weights: &[(&str, u16)], listener: &str, pool: &str) -> String {
    let backend = |app: &&Datagrams| {
        let weight = weights.iter().find(|(name, _)| *name == app.name).map_or(1, |(_, weight)| *weight);
        format!("{{ id: {}, address: \"{}\", weight: {weight} }}", app.name, app.address())
    };
    let backends: Vec<_> = backends.iter().map(backend).collect();
    format!(
        "version: 1\nstate_dir: state\n{}listeners:\n  - name: udp\n    protocol: udp\n    address: 127.0.0.1:0\n    pool: \
         app\n{listener}pools:\n  app:\n    backends: [ {} ]\n{pool}",
        super::balancer::SHARED,
        backends.join(", ")
    )
}
