//! The health monitor as a service of Pingora's, on one thread of its own.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::sync::watch;

use crate::health::Monitor;
use crate::snapshot::Current;

/// Watches the pools of the snapshot in force until the server stops.
#[derive(Debug)]
pub(crate) struct HealthService {
    pub(crate) current: Arc<Current>,
    /// Hears when another snapshot is in force.
    pub(crate) changed: watch::Receiver<()>,
}

#[async_trait]
impl BackgroundService for HealthService {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut changed = self.changed.clone();
        let mut monitor = Monitor::default();
        loop {
            // Seen before it is read: a change in between is seen again.
            changed.mark_unchanged();
            monitor.watch(&self.current.load().watched());
            tokio::select! {
                () = hears(&mut changed) => {}
                _ = shutdown.wait_for(|stopping| *stopping) => return,
            }
        }
    }
}

/// Hears of the next change; waits for ever when nobody is left who could change anything.
pub(super) async fn hears(changed: &mut watch::Receiver<()>) {
    if changed.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
