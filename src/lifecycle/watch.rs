//! The health monitor as a service of Pingora's, on one thread of its own.

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;

use crate::health::Monitor;

/// Runs the health monitor until the server stops.
#[derive(Debug)]
pub(crate) struct HealthService(pub Monitor);

#[async_trait]
impl BackgroundService for HealthService {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            () = self.0.run() => {}
            _ = shutdown.wait_for(|stopping| *stopping) => {}
        }
    }
}
