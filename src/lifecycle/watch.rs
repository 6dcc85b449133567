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
    /// Hears when another snapshot is in force; `None`: never.
    pub(crate) changed: Option<watch::Receiver<()>>,
}

#[async_trait]
impl BackgroundService for HealthService {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut changed = self.changed.clone();
        loop {
            let monitor = Monitor::new(self.current.load().watched());
            tokio::select! {
                () = monitor.run() => return,
                () = hears(&mut changed) => {}
                _ = shutdown.wait_for(|stopping| *stopping) => return,
            }
        }
    }
}

/// Waits until another snapshot is in force; for ever, where nobody will say so.
pub(super) async fn hears(changed: &mut Option<watch::Receiver<()>>) {
    let heard = match changed {
        Some(changed) => changed.changed().await.is_ok(),
        None => false,
    };
    if !heard {
        std::future::pending::<()>().await;
    }
}
