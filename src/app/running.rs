//! A running balancer, until it has ended.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::watch;

use crate::lifecycle::{Estate, Giver, Manner, Stopper, Upgrader, wait_for_drain};
use crate::listen::Counts;
use crate::telemetry::Spans;

/// Pingora's own grace period: longer than any process lives. When one ends, so do the threads of its runtimes, and threads
/// that are started later find handles of the dead runtimes in their place (`pingora_runtime` keeps them by thread
/// ids, which are reused): another balancer in the same program would drop its connections. Ours is kept by
/// [`wait_for_drain`], and the process that then ends takes the threads with it.
pub(super) const NEVER_S: u64 = 10 * 365 * 24 * 3600;

/// How long an end waits for the last spans: a collector that does not answer is not waited for any longer.
const LAST_SPANS: Duration = Duration::from_secs(1);

pub(super) struct Run {
    pub(super) said: watch::Receiver<Option<Manner>>,
    pub(super) started: mpsc::Receiver<()>,
    pub(super) counts: Vec<Arc<Counts>>,
    pub(super) grace: Duration,
    pub(super) estate: Arc<Estate>,
    pub(super) spans: Arc<Spans>,
    /// Dropped when the last request has ended.
    pub(super) ends: watch::Sender<()>,
}

impl Run {
    pub(super) fn wait_until_started(&self) {
        // An error: the server has ended before it began, which `wait` will notice.
        let _ = self.started.recv();
    }

    /// From now on, another process may take over.
    pub(super) fn wait_for_successors(&self, path: &Path) {
        let upgrader = Giver::listen(path, Arc::clone(&self.estate)).and_then(Upgrader::new);
        match upgrader {
            Ok(upgrader) => self.estate.control.upgrade_by(upgrader),
            Err(error) => log::warn!(
                "no other process can take over from this one: {}: {error}; set `server.upgrade_sock` to a path of \
                 at most 100 bytes in a folder that this user may write to",
                path.display()
            ),
        }
    }

    pub(super) fn wait(self) {
        wait_for_drain(&self.said, &self.counts, self.grace);
        self.estate.keeper.stop();
        self.estate.current.load().logs.flush();
        self.spans.flush(LAST_SPANS);
        drop(self.ends);
    }
}

/// A running balancer; stops when dropped.
#[derive(Debug)]
pub struct Running {
    pub(super) stopper: Option<Stopper>,
    pub(super) waiter: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    /// Stops it: running requests finish within the grace period.
    pub fn stop(mut self) {
        self.stopper = None;
        if let Some(waiter) = self.waiter.take() {
            let _ = waiter.join();
        }
    }
}
