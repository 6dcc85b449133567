//! The service that accepts on all HTTP listeners: one service, because Pingora's threads are per service.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use async_trait::async_trait;
use pingora::apps::HttpServerApp;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;

use super::accept::on_own_thread;
use super::door::Door;

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
    shutdown: ShutdownWatch,
) {
    let start = |tcp: TcpStream, _, slot| {
        let (door, shutdown) = (Arc::clone(&door), shutdown.clone());
        on_own_thread(tcp, async move |tcp| {
            let _slot = slot;
            door.serve(tcp, shutdown).await;
        });
    };
    let limit = || door.connection_limit();
    super::accept::accept(socket, door.facts(), door.counts(), limit, shutdown.clone(), start).await;
}
