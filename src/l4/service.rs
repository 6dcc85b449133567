//! The service that accepts on all listeners of layer 4: one service, because Pingora's threads are per service.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use async_trait::async_trait;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;

use super::gate::Gate;
use super::side::Side;
use super::ties::{OwnTask, Ties};
use super::udp;
use crate::listen::{Incoming, accept, on_own_thread};
use crate::snapshot::Current;

/// All listeners of layer 4.
pub(crate) struct Layer4Listeners {
    pub(crate) tcp: Vec<(TcpListener, Arc<Gate>)>,
    /// Those of TCP at sockets in the file system.
    pub(crate) unix: Vec<(UnixListener, Arc<Gate>)>,
    /// Each with its sockets, which clients are spread over.
    pub(crate) udp: Vec<(Vec<UdpSocket>, Arc<Gate>)>,
    pub(crate) ties: Arc<Ties>,
    pub(crate) current: Arc<Current>,
    pub(crate) threads: usize,
}

#[async_trait]
impl Service for Layer4Listeners {
    async fn start_service(&mut self, _fds: Option<ListenFds>, shutdown: ShutdownWatch, _per_fd: usize) {
        let mut accepting = tokio::task::JoinSet::new();
        for (socket, gate) in self.tcp.drain(..) {
            accepting.spawn(run::<TcpStream>(socket, Side::Tcp, gate, shutdown.clone()));
        }
        for (socket, gate) in self.unix.drain(..) {
            accepting.spawn(run::<UnixStream>(socket, Side::Unix, gate, shutdown.clone()));
        }
        udp::serve(self.udp.drain(..), self.threads, &shutdown);
        // Goes on when nothing is accepted any more: connections run until the end.
        self.ties.look_after(&self.current).await;
    }

    fn name(&self) -> &str {
        "layer 4"
    }

    fn threads(&self) -> Option<usize> {
        Some(self.threads)
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        // Says that no inherited socket of Pingora's belongs to this service.
        Some(Vec::new())
    }
}

async fn run<C: Incoming>(
    socket: impl Into<OwnedFd>,
    side: fn(C::Registered) -> Side,
    gate: Arc<Gate>,
    shutdown: ShutdownWatch,
) {
    let start = |connection: C, peer, slot| {
        let (gate, own) = (Arc::clone(&gate), OwnTask::default());
        let task = Arc::clone(&own);
        let serving = on_own_thread(connection, move |client| gate.serve(side(client), peer, slot, own));
        let _ = task.set(serving.abort_handle());
    };
    accept(socket, &gate.facts, &gate.counts, || gate.connection_limit(), shutdown, start).await;
}
