//! What the proxies are given to do with datagrams.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::bench_support::{Failure, Proxy};
use super::work::spent;

/// Clients, each on a thread of its own.
const CLIENTS: u64 = 4;
/// Sockets of a client, each of which has one question open.
const SOCKETS: usize = 16;
const TURNS: usize = 500;
const QUESTION: [u8; 60] = [7; 60];
/// Datagrams that a client of bursts sends before it waits for the answers.
const BURST: usize = 32;
const BURSTS: usize = 300;
const LONG: [u8; 1200] = [7; 1200];
/// Sessions of one question.
const SESSIONS: u64 = 4_000;
/// Longer than the proxies keep a session that is silent.
const UNTIL_SESSIONS_END: Duration = Duration::from_secs(3);
/// After this an answer counts as lost.
const PATIENCE: Duration = Duration::from_millis(300);

/// Sends back what comes; ends with the process.
pub(crate) fn echo(address: SocketAddr) -> Result<(), Failure> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_recv_buffer_size(8 << 20)?;
    socket.bind(&address.into())?;
    let socket = UdpSocket::from(socket);
    thread::spawn(move || {
        let mut room = [0; 2048];
        loop {
            if let Ok((length, from)) = socket.recv_from(&mut room) {
                let _ = socket.send_to(room.get(..length).unwrap_or_default(), from);
            }
        }
    });
    Ok(())
}

/// Short questions in sessions that go on, as of syslog or DNS; microseconds of the proxy's CPU for each datagram.
pub(crate) fn questions(proxy: &Proxy) -> Result<f64, Failure> {
    let client = |n: u64| {
        let sockets: Vec<_> =
            (0..SOCKETS).map(|_| socket(n, proxy.address)).collect::<Result<_, std::io::Error>>()?;
        let mut answers = 0;
        for _ in 0..TURNS {
            for socket in &sockets {
                socket.send(&QUESTION)?;
            }
            for socket in &sockets {
                answers += u64::from(answer(socket)?);
            }
        }
        Ok(answers)
    };
    each(proxy, 2, client)
}

/// Long datagrams, many at a time in one session, as of QUIC; the same.
pub(crate) fn bursts(proxy: &Proxy) -> Result<f64, Failure> {
    let client = |n: u64| {
        let socket = socket(n, proxy.address)?;
        let mut answers = 0;
        for _ in 0..BURSTS {
            for _ in 0..BURST {
                socket.send(&LONG)?;
            }
            for _ in 0..BURST {
                answers += u64::from(answer(&socket)?);
            }
        }
        Ok(answers)
    };
    each(proxy, 2, client)
}

/// Sessions of one question, from a port of its own, until they have ended; microseconds of the proxy's CPU for each session.
pub(crate) fn sessions(proxy: &Proxy) -> Result<f64, Failure> {
    let client = |n: u64| {
        let mut answers = 0;
        for _ in 0..SESSIONS / CLIENTS {
            let socket = socket(n, proxy.address)?;
            socket.send(&QUESTION)?;
            answers += u64::from(answer(&socket)?);
        }
        if n == 0 {
            thread::sleep(UNTIL_SESSIONS_END);
        }
        Ok(answers)
    };
    each(proxy, 1, client)
}

/// The proxy's CPU for each of the `parts` of an answer, in microseconds.
fn each(
    proxy: &Proxy,
    parts: u64,
    client: impl Fn(u64) -> std::io::Result<u64> + Sync,
) -> Result<f64, Failure> {
    let answers = std::sync::atomic::AtomicU64::new(0);
    let count = |n| {
        answers.fetch_add(client(n)?, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    };
    let ns = spent(proxy, CLIENTS, count)?;
    let answers = answers.into_inner();
    if answers == 0 {
        return Err("nothing was answered".into());
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok(ns / 1e3 / (answers * parts) as f64)
}

fn socket(client: u64, to: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 3, u8::try_from(client + 1).unwrap_or(1)), 0))?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Whether an answer came.
fn answer(socket: &UdpSocket) -> std::io::Result<bool> {
    match socket.recv(&mut [0; 2048]) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
        Err(error) => Err(error),
    }
}
