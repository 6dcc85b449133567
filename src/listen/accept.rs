//! The accept loop of one listening socket: it pauses and closes as upgrades want it, and bounds open connections.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pingora::server::ShutdownWatch;
use rustix::net::{SocketAddrAny, SocketFlags, acceptfrom_with};
use tokio::io::Interest;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::acceptance::Accepting;
use super::connection::ListenerFacts;
use super::counts::{Counts, Slot, add};

/// Connections that are accepted in a row before it is looked whether any more are wanted.
const ROW: u32 = 64;

/// A connection as it is accepted: of TCP, or of a socket in the file system.
pub(crate) trait Incoming: From<OwnedFd> + Send + 'static {
    /// The same with a thread's reactor.
    type Registered: Send;

    /// Registers it with this thread's reactor.
    fn register(self) -> io::Result<Self::Registered>;

    /// The client's address, from the word of the kernel.
    fn client(peer: Option<SocketAddrAny>) -> Option<SocketAddr>;
}

impl Incoming for TcpStream {
    type Registered = tokio::net::TcpStream;

    fn register(self) -> io::Result<Self::Registered> {
        tokio::net::TcpStream::from_std(self)
    }

    fn client(peer: Option<SocketAddrAny>) -> Option<SocketAddr> {
        peer.and_then(|peer| SocketAddr::try_from(peer).ok())
    }
}

impl Incoming for UnixStream {
    type Registered = tokio::net::UnixStream;

    fn register(self) -> io::Result<Self::Registered> {
        tokio::net::UnixStream::from_std(self)
    }

    /// It has none, and is on this machine.
    fn client(_: Option<SocketAddrAny>) -> Option<SocketAddr> {
        Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }
}

/// Accepts until the server stops or the listener is closed. `limit` says how many connections may be open; `start` is given
/// each one, with its client's address and its place.
pub(crate) async fn accept<C: Incoming>(
    socket: impl Into<OwnedFd>,
    facts: &ListenerFacts,
    counts: &Arc<Counts>,
    limit: impl Fn() -> usize,
    mut shutdown: ShutdownWatch,
    start: impl Fn(C, SocketAddr, Slot),
) {
    let socket = socket.into();
    // What it accepts has it, too, where it is TCP.
    let _ = socket2::SockRef::from(&socket).set_tcp_nodelay(true);
    let listener = match Listener::new(socket) {
        Ok(listener) => listener,
        Err(error) => return log::error!("{}: cannot accept: {error}", facts.name),
    };
    let mut acceptance = facts.acceptance.subscribe();
    // Tells whether the socket is still there.
    let take = async |accepted: io::Result<(C, SocketAddr)>| match accepted {
        Ok((connection, peer)) => {
            // Without a place the connection is closed at once: a bound must cost nothing.
            if let Some(slot) = counts.enter(limit())
                && let Some(place) = facts.clients.enter(peer.ip())
            {
                start(connection, peer, slot.of_client(place));
            }
            true
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            log::warn!("{}: another process that shares the socket has closed it", facts.name);
            false
        }
        Err(error) => {
            add(&counts.over_limit);
            log::warn!("{}: cannot accept: {error}; raise the limit of open files", facts.name);
            // Out of file descriptors: give connections time to end instead of spinning.
            tokio::time::sleep(Duration::from_millis(50)).await;
            true
        }
    };
    loop {
        let asked = *acceptance.borrow_and_update();
        // Whoever could say so is gone with the server.
        let stopping = *shutdown.borrow_and_update() || shutdown.has_changed().is_err();
        match if stopping { Accepting::Closing } else { asked } {
            Accepting::Yes => {
                // Once for many connections: to begin it anew for each would cost more than all else here.
                let mut news = pin!(async {
                    tokio::select! {
                        _ = acceptance.changed() => {}
                        _ = shutdown.wait_for(|stopping| *stopping) => {}
                    }
                });
                for _ in 0..ROW {
                    tokio::select! {
                        biased;
                        accepted = listener.accept() => if !take(accepted).await {
                            return;
                        },
                        () = &mut news => break,
                    }
                }
            }
            Accepting::Paused => tokio::select! {
                _ = acceptance.changed() => {}
                _ = shutdown.wait_for(|stopping| *stopping) => return,
            },
            // Whoever waits already is served; then nobody is.
            Accepting::Closing => match timeout(Duration::ZERO, listener.accept()).await {
                Ok(accepted) => {
                    if !take(accepted).await {
                        return;
                    }
                }
                Err(_) => {
                    // What is kept of it for a successor would go on queueing connections that nobody takes.
                    let _ = socket2::SockRef::from(&listener.0).shutdown(Shutdown::Both);
                    return;
                }
            },
        }
    }
}

/// A listening socket. What it accepts is not registered with this thread's reactor, where it does not stay: that would take two
/// system calls for each connection.
///
/// A stream by its type alone: tokio's own listener does not say when it can be read, and lets nobody else accept.
struct Listener(tokio::net::TcpStream);

impl Listener {
    fn new(socket: OwnedFd) -> io::Result<Self> {
        tokio::net::TcpStream::from_std(socket.into()).map(Self)
    }

    async fn accept<C: Incoming>(&self) -> io::Result<(C, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    fn poll_accept<C: Incoming>(&self, cx: &mut Context<'_>) -> Poll<io::Result<(C, SocketAddr)>> {
        let accept = || {
            let (connection, peer) = acceptfrom_with(&self.0, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
            Ok((connection.into(), C::client(peer).ok_or(io::ErrorKind::ConnectionAborted)?))
        };
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_io(Interest::READABLE, accept) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                accepted => return Poll::Ready(accepted),
            }
        }
    }
}

/// Runs `serve` on one of the service's threads, and registers the socket with that thread's own reactor: woken across
/// threads, each read would cost more.
pub(crate) fn on_own_thread<C: Incoming, F: Future<Output = ()> + Send>(
    connection: C,
    serve: impl FnOnce(C::Registered) -> F + Send + 'static,
) -> JoinHandle<()> {
    pingora_runtime::current_handle().spawn(async move {
        if let Ok(connection) = connection.register() {
            serve(connection).await;
        }
    })
}
