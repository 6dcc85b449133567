//! A running balancer, until it has ended.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use crate::lifecycle::{Estate, Farewell, Giver, Manner, Predecessor, Stopper, Upgrader, wait_for_drain};
use crate::listen::{Counts, ListenerFacts, SocketFile};
use crate::telemetry::Spans;

/// Pingora's own grace period: longer than any process lives. When one ends, so do the threads of its runtimes, and threads
/// that are started later find handles of the dead runtimes in their place (`pingora_runtime` keeps them by thread
/// ids, which are reused): another balancer in the same program would drop its connections. Ours is kept by
/// [`wait_for_drain`], and the process that then ends takes the threads with it.
pub(super) const NEVER_S: u64 = 10 * 365 * 24 * 3600;

/// How long an end waits for the last spans: a collector that does not answer is not waited for any longer.
const LAST_SPANS: Duration = Duration::from_secs(1);

/// The files of sockets, each with what says whether this process accepts there.
pub(super) type Files = Vec<(Arc<SocketFile>, Arc<ListenerFacts>)>;

pub(super) struct Run {
    pub(super) said: watch::Receiver<Option<Manner>>,
    pub(super) started: mpsc::Receiver<()>,
    pub(super) counts: Vec<Arc<Counts>>,
    pub(super) files: Files,
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

    /// Waits until it has ended.
    pub(super) fn wait(self, predecessor: Option<Predecessor>) {
        wait_for_drain(&self.said, &self.counts, self.grace);
        if let Some(before) = &predecessor {
            before.say_farewell(Farewell { succeeded: *self.said.borrow() == Some(Manner::Retire) });
        }
        // Where another process listens, the file is that one's: the successor's, or the one's before, which accepts again.
        if predecessor.is_none_or(|before| before.has_finished()) {
            let ours = self.files.iter().filter(|(_, facts)| !facts.acceptance.is_paused());
            ours.for_each(|(file, _)| file.remove());
        }
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
    pub(super) waiter: Option<JoinHandle<()>>,
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
