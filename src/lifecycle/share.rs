//! The learned tables that replicas share, as a service of Pingora's, on one thread of its own.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::watch::hears;
use crate::snapshot::Current;
use crate::store::SharedTable;

/// Connects the shared tables of the snapshot in force to their engines until the last request has ended.
#[derive(Debug)]
pub(crate) struct SharingService {
    pub(crate) current: Arc<Current>,
    /// Hears when another snapshot is in force.
    pub(crate) changed: watch::Receiver<()>,
    /// Closed when the last request has ended. Not Pingora's own sign, which comes first: what the last requests
    /// start is shared, too.
    pub(crate) ended: watch::Receiver<()>,
}

#[async_trait]
impl BackgroundService for SharingService {
    async fn start(&self, _: ShutdownWatch) {
        let (mut changed, mut ended) = (self.changed.clone(), self.ended.clone());
        let mut running: Vec<Running> = Vec::new();
        loop {
            let wanted = self.current.load().shared();
            running.retain(|running| wanted.iter().any(|table| Arc::ptr_eq(table, &running.table)));
            for table in wanted {
                if !running.iter().any(|running| Arc::ptr_eq(&running.table, &table)) {
                    running.push(Running::start(table));
                }
            }
            tokio::select! {
                () = hears(&mut changed) => {}
                _ = ended.changed() => return,
            }
        }
    }
}

/// A table that shares; ends when dropped.
struct Running {
    table: Arc<SharedTable>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(table: Arc<SharedTable>) -> Self {
        let shares = Arc::clone(&table);
        Self { table, task: tokio::spawn(async move { shares.run().await }) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
