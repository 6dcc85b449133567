//! The accept loop of one listening socket: it pauses and closes as upgrades want it, and bounds open connections.

use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use pingora::server::ShutdownWatch;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::acceptance::Accepting;
use super::connection::ListenerFacts;
use super::counts::{Counts, Slot, add};

/// Accepts until the server stops or the listener is closed. `limit` says how many connections may be open; `start` is given
/// each one, with its place.
pub(crate) async fn accept(
    socket: TcpListener,
    facts: &ListenerFacts,
    counts: &Arc<Counts>,
    limit: impl Fn() -> usize,
    mut shutdown: ShutdownWatch,
    start: impl Fn(TcpStream, Slot),
) {
    // What it accepts has it, too.
    let _ = socket2::SockRef::from(&socket).set_tcp_nodelay(true);
    let listener = match tokio::net::TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return log::error!("{}: cannot accept: {error}", facts.name),
    };
    let mut acceptance = facts.acceptance.subscribe();
    let mut stopping = false;
    loop {
        let asked = *acceptance.borrow_and_update();
        let accepting = if stopping { Accepting::Closing } else { asked };
        let accepted = match accepting {
            Accepting::Yes => tokio::select! {
                accepted = listener.accept() => accepted,
                _ = acceptance.changed() => continue,
                _ = shutdown.wait_for(|stopping| *stopping) => {
                    stopping = true;
                    continue;
                }
            },
            Accepting::Paused => tokio::select! {
                _ = acceptance.changed() => continue,
                _ = shutdown.wait_for(|stopping| *stopping) => return,
            },
            // Whoever waits already is served; then nobody is.
            Accepting::Closing => match timeout(Duration::ZERO, listener.accept()).await {
                Ok(accepted) => accepted,
                Err(_) => {
                    // What is kept of it for a successor would go on queueing connections that nobody takes.
                    let _ = socket2::SockRef::from(&listener).shutdown(Shutdown::Both);
                    return;
                }
            },
        };
        match accepted {
            Ok((tcp, peer)) => {
                // Without a place the connection is closed at once: a bound must cost nothing.
                if let Some(slot) = counts.enter(limit())
                    && let Some(place) = facts.clients.enter(peer.ip())
                {
                    start(tcp, slot.of_client(place));
                }
            }
            Err(error) => {
                add(&counts.over_limit);
                log::warn!("{}: cannot accept: {error}; raise the limit of open files", facts.name);
                // Out of file descriptors: give connections time to end instead of spinning.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Runs `serve` on one of the service's threads, and registers the socket with that thread's own reactor: woken across
/// threads, each read would cost more.
pub(crate) fn on_own_thread<F: Future<Output = ()> + Send>(
    tcp: TcpStream,
    serve: impl FnOnce(TcpStream) -> F + Send + 'static,
) {
    let Ok(tcp) = tcp.into_std() else { return };
    pingora_runtime::current_handle().spawn(async move {
        if let Ok(tcp) = TcpStream::from_std(tcp) {
            serve(tcp).await;
        }
    });
}
