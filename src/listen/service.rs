//! The service that accepts on all HTTP listeners: one service, because Pingora's threads are per service.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::HttpServerApp;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use tokio::time::timeout;

use super::acceptance::Accepting;
use super::counts::{Slot, add};
use super::door::Door;
use crate::limits::ClientPlace;

/// All HTTP listeners.
pub struct HttpListeners<A> {
    doors: Vec<(TcpListener, Arc<Door<A>>)>,
    threads: usize,
    started: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl<A> HttpListeners<A> {
    /// A service for bound sockets, each with its door, on `threads` threads.
    pub fn new(doors: Vec<(TcpListener, Arc<Door<A>>)>, threads: usize) -> Self {
        Self { doors, threads, started: None }
    }

    /// Calls this once all listeners accept. It must not block.
    #[must_use]
    pub fn when_started(mut self, started: impl FnOnce() + Send + Sync + 'static) -> Self {
        self.started = Some(Box::new(started));
        self
    }
}

#[async_trait]
impl<A: HttpServerApp + Send + Sync + 'static> Service for HttpListeners<A> {
    async fn start_service(&mut self, _fds: Option<ListenFds>, shutdown: ShutdownWatch, _per_fd: usize) {
        let mut accepting = tokio::task::JoinSet::new();
        let mut apps = Vec::new();
        for (socket, door) in self.doors.drain(..) {
            apps.push(Arc::clone(door.app()));
            accepting.spawn(accept(socket, door, shutdown.clone()));
        }
        if let Some(started) = self.started.take() {
            started();
        }
        accepting.join_all().await;
        // Also when every listener was closed: requests under way are served until the end.
        let _ = shutdown.clone().wait_for(|stopping| *stopping).await;
        for app in apps {
            app.http_cleanup().await;
        }
    }

    fn name(&self) -> &str {
        "http"
    }

    fn threads(&self) -> Option<usize> {
        Some(self.threads)
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        // Says that no inherited socket belongs to this service, so that unclaimed ones are closed.
        Some(Vec::new())
    }
}

async fn accept<A: HttpServerApp + Send + Sync + 'static>(
    socket: TcpListener,
    door: Arc<Door<A>>,
    mut shutdown: ShutdownWatch,
) {
    let listener = match tokio::net::TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return log::error!("{}: cannot accept: {error}", door.facts().name),
    };
    let mut acceptance = door.facts().acceptance.subscribe();
    loop {
        let accepting = *acceptance.borrow_and_update();
        let accepted = match accepting {
            Accepting::Yes => tokio::select! {
                accepted = listener.accept() => accepted,
                _ = acceptance.changed() => continue,
                _ = shutdown.wait_for(|stopping| *stopping) => return,
            },
            Accepting::Paused => tokio::select! {
                _ = acceptance.changed() => continue,
                _ = shutdown.wait_for(|stopping| *stopping) => return,
            },
            // Whoever waits already is served; then nobody is.
            Accepting::Closing => match timeout(Duration::ZERO, listener.accept()).await {
                Ok(accepted) => accepted,
                Err(_) => return,
            },
        };
        match accepted {
            Ok((tcp, peer)) => {
                // Without a place the connection is closed at once: a bound must cost nothing.
                if let Some(place) = door.enter(peer.ip()) {
                    start(tcp, Arc::clone(&door), place, shutdown.clone());
                }
            }
            Err(error) => {
                add(&door.counts().over_limit);
                log::warn!("{}: cannot accept: {error}; raise the limit of open files", door.facts().name);
                // Out of file descriptors: give connections time to end instead of spinning.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Serves the connection on one of the service's threads, and registers the socket with that thread's own
/// reactor: woken across threads, each read would cost more.
fn start<A: HttpServerApp + Send + Sync + 'static>(
    tcp: tokio::net::TcpStream,
    door: Arc<Door<A>>,
    place: (Slot, ClientPlace),
    shutdown: ShutdownWatch,
) {
    let _ = tcp.set_nodelay(true);
    let Ok(tcp) = tcp.into_std() else { return };
    pingora_runtime::current_handle().spawn(async move {
        let _place = place;
        if let Ok(tcp) = tokio::net::TcpStream::from_std(tcp) {
            door.serve(tcp, shutdown).await;
        }
    });
}
