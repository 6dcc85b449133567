//! The accept loop of one listening socket: it pauses and closes as upgrades want it, and bounds open connections.

use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pingora::server::ShutdownWatch;
use rustix::net::{SocketFlags, acceptfrom_with};
use tokio::io::Interest;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::acceptance::Accepting;
use super::connection::ListenerFacts;
use super::counts::{Counts, Slot, add};

/// Connections that are accepted in a row before it is looked whether any more are wanted.
const ROW: u32 = 64;

/// Accepts until the server stops or the listener is closed. `limit` says how many connections may be open; `start` is given
/// each one, with its client's address and its place.
pub(crate) async fn accept(
    socket: TcpListener,
    facts: &ListenerFacts,
    counts: &Arc<Counts>,
    limit: impl Fn() -> usize,
    mut shutdown: ShutdownWatch,
    start: impl Fn(TcpStream, SocketAddr, Slot),
) {
    // What it accepts has it, too.
    let _ = socket2::SockRef::from(&socket).set_tcp_nodelay(true);
    let listener = match Listener::new(socket) {
        Ok(listener) => listener,
        Err(error) => return log::error!("{}: cannot accept: {error}", facts.name),
    };
    let mut acceptance = facts.acceptance.subscribe();
    let take = async |accepted: io::Result<(TcpStream, SocketAddr)>| match accepted {
        Ok((tcp, peer)) => {
            // Without a place the connection is closed at once: a bound must cost nothing.
            if let Some(slot) = counts.enter(limit())
                && let Some(place) = facts.clients.enter(peer.ip())
            {
                start(tcp, peer, slot.of_client(place));
            }
        }
        Err(error) => {
            add(&counts.over_limit);
            log::warn!("{}: cannot accept: {error}; raise the limit of open files", facts.name);
            // Out of file descriptors: give connections time to end instead of spinning.
            tokio::time::sleep(Duration::from_millis(50)).await;
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
                        accepted = listener.accept() => take(accepted).await,
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
                Ok(accepted) => take(accepted).await,
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
    fn new(socket: TcpListener) -> io::Result<Self> {
        tokio::net::TcpStream::from_std(OwnedFd::from(socket).into()).map(Self)
    }

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let accept = || {
            let (connection, peer) = acceptfrom_with(&self.0, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
            let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
            Ok((connection.into(), peer.ok_or(io::ErrorKind::ConnectionAborted)?))
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
pub(crate) fn on_own_thread<F: Future<Output = ()> + Send>(
    tcp: TcpStream,
    serve: impl FnOnce(tokio::net::TcpStream) -> F + Send + 'static,
) -> JoinHandle<()> {
    pingora_runtime::current_handle().spawn(async move {
        if let Ok(tcp) = tokio::net::TcpStream::from_std(tcp) {
            serve(tcp).await;
        }
    })
}
