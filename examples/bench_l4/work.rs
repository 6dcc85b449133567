//! What the proxies are given to do.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use socket2::{Domain, Socket, Type};

use super::bench_support::{Failure, Proxy};

/// One GB in each bulk round: two streams up, two down.
const STREAMS: u64 = 4;
const CHUNKS: usize = 1_000;
const CHUNK: usize = 250_000;
/// Connections of one round, one after another on each of four threads.
const CONNECTIONS: u64 = 8_000;
const CLIENTS: u64 = 4;
/// What the goal speaks of; fewer where the system allows no more descriptors.
const IDLE: u64 = 20_000;

/// Fewer than the backend lets wait for it to accept them.
const UNDER_WAY: usize = 64;

/// What a client asks for with its first byte.
const SEND: u8 = b's';
const TAKE: u8 = b't';
const ECHO: u8 = b'e';
const STAY: u8 = b'.';

/// A backend that sends, takes, echoes or just stays, as its client says.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    staying: Arc<Staying>,
}

impl Backend {
    pub(crate) fn start() -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let backend = Self { address: listener.local_addr()?, staying: Arc::default() };
        let staying = Arc::clone(&backend.staying);
        thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                let mut wish = [0];
                // A health check says nothing, and is gone at once.
                match connection.read(&mut wish) {
                    Ok(1) if wish == [STAY] => staying.all().push(connection),
                    Ok(1) if wish == [ECHO] => drop(connection.write_all(&wish)),
                    Ok(1) => drop(thread::spawn(move || serve(wish == [SEND], connection))),
                    _ => {}
                }
            }
        });
        Ok(backend)
    }
}

impl Backend {
    /// Waits until so many connections stay.
    fn has(&self, count: usize, proxy: &Proxy) -> Result<(), Failure> {
        for _ in 0..3_000 {
            if self.staying.all().len() >= count {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(format!("{} did not pass all connections on", proxy.name).into())
    }
}

/// Connections that just stay.
#[derive(Default)]
struct Staying(Mutex<Vec<TcpStream>>);

impl Staying {
    fn all(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(sends: bool, mut connection: TcpStream) -> std::io::Result<()> {
    match sends {
        true => send(&mut connection),
        false => take(&mut connection).and_then(|()| connection.write_all(b".")),
    }
}

/// One stream's bytes. No half-close after them: NGINX does not pass it on unless asked to.
fn send(connection: &mut TcpStream) -> std::io::Result<()> {
    let chunk = vec![7; CHUNK];
    (0..CHUNKS).try_for_each(|_| connection.write_all(&chunk))
}

fn take(connection: &mut TcpStream) -> std::io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    (0..CHUNKS).try_for_each(|_| connection.read_exact(&mut chunk))
}

/// A GB in four streams, two in each direction; seconds of the proxy's CPU.
pub(crate) fn bulk(proxy: &Proxy) -> Result<f64, Failure> {
    let stream = |n: u64| -> std::io::Result<()> {
        let mut connection = TcpStream::connect(proxy.address)?;
        if n.is_multiple_of(2) {
            connection.write_all(&[SEND])?;
            take(&mut connection)
        } else {
            connection.write_all(&[TAKE])?;
            send(&mut connection)?;
            connection.read_exact(&mut [0])
        }
    };
    let ns = spent(proxy, STREAMS, stream)?;
    Ok(ns / 1e9)
}

/// Connections that say one byte and hear it; microseconds of the proxy's CPU for each.
pub(crate) fn connections(proxy: &Proxy) -> Result<f64, Failure> {
    let client = |n: u64| -> std::io::Result<()> {
        // Each round and client with an address of its own, so that ports last.
        let source = Ipv4Addr::new(127, 0, 1, u8::try_from(n + 1).unwrap_or(1));
        for _ in 0..CONNECTIONS / CLIENTS {
            let mut connection = connect(source, proxy.address)?;
            connection.write_all(&[ECHO])?;
            connection.read_exact(&mut [0])?;
            // The port is free at once, on all sides.
            Socket::from(connection).set_linger(Some(Duration::ZERO))?;
        }
        Ok(())
    };
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok(spent(proxy, CLIENTS, client)? / 1e3 / CONNECTIONS as f64)
}

/// Descriptors that a process may have.
pub(crate) fn descriptors() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// As many connections as are to stay, or as fit: each takes two descriptors of the proxy.
pub(crate) fn idle_connections() -> u64 {
    IDLE.min(descriptors().saturating_sub(800) / 2)
}

/// Connections that just stay; how many, and the proxy's growth for each, in bytes.
pub(crate) fn idle(proxy: &Proxy, backend: &Backend) -> Result<(u64, u64), Failure> {
    let count = idle_connections();
    let before = proxy.resident()?;
    let mut open = Vec::new();
    for n in 0..count {
        let source = Ipv4Addr::new(127, 0, 2, u8::try_from(n % 200 + 1).unwrap_or(1));
        let mut connection = connect(source, proxy.address)?;
        connection.write_all(&[STAY])?;
        open.push(connection);
        if open.len() % UNDER_WAY == 0 {
            backend.has(open.len(), proxy)?;
        }
    }
    backend.has(open.len(), proxy)?;
    let each = proxy.resident()?.saturating_sub(before) / count;
    backend.staying.all().clear();
    Ok((count, each))
}

fn connect(source: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.connect(&to.into())?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

/// The proxy's CPU while so many threads do that, in nanoseconds.
pub(crate) fn spent(
    proxy: &Proxy,
    threads: u64,
    work: impl Fn(u64) -> std::io::Result<()> + Sync,
) -> Result<f64, Failure> {
    let before = proxy.processor_ns()?;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|n| {
                scope.spawn({
                    let work = &work;
                    move || work(n)
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(std::io::Error::other("a client panicked")))
        })
    })?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok((proxy.processor_ns()? - before) as f64)
}
