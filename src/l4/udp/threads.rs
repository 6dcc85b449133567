//! The threads that read UDP. Each has its sockets, and their sessions, to itself.

use std::cell::RefCell;
use std::net::UdpSocket;
use std::rc::Rc;
use std::sync::Arc;

use pingora::server::ShutdownWatch;
use tokio::runtime::Builder;
use tokio::task::{JoinSet, LocalSet};

use super::batch::Batch;
use super::lane::Lane;
use crate::l4::gate::Gate;

/// Reads the listeners' sockets on so many threads, which end when the server has stopped.
pub(in crate::l4) fn serve(
    listeners: impl Iterator<Item = (Vec<UdpSocket>, Arc<Gate>)>,
    threads: usize,
    shutdown: &ShutdownWatch,
) {
    let mut parts: Vec<Vec<(usize, UdpSocket, Arc<Gate>)>> = Vec::new();
    parts.resize_with(threads.max(1), Vec::new);
    for (sockets, gate) in listeners {
        for (number, socket) in sockets.into_iter().enumerate() {
            // The remainder is below the number of parts.
            let at = number % parts.len();
            if let Some(part) = parts.get_mut(at) {
                part.push((number, socket, Arc::clone(&gate)));
            }
        }
    }
    for (at, part) in parts.into_iter().enumerate().filter(|(_, part)| !part.is_empty()) {
        let shutdown = shutdown.clone();
        let run = move || run(part, shutdown);
        if let Err(error) = std::thread::Builder::new().name(format!("udp {at}")).spawn(run) {
            log::error!("no thread for UDP: {error}");
        }
    }
}

fn run(sockets: Vec<(usize, UdpSocket, Arc<Gate>)>, shutdown: ShutdownWatch) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return log::error!("no runtime for UDP: {error}"),
    };
    LocalSet::new().block_on(&runtime, async {
        let batch = Rc::new(RefCell::new(Batch::new()));
        let mut lanes = JoinSet::new();
        for (number, socket, gate) in sockets {
            let name = gate.facts.name.clone();
            match Lane::new(socket, number, gate, Rc::clone(&batch)) {
                Ok(lane) => _ = lanes.spawn_local(Rc::new(lane).run(shutdown.clone())),
                Err(error) => log::error!("{name}: cannot receive: {error}"),
            }
        }
        while lanes.join_next().await.is_some() {}
    });
}
