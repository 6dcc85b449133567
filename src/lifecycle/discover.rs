//! Discovery as a service: one watcher for each pool's source, and the first answers before the first request.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::control::Control;
use super::watch::hears;
use crate::config::checked::{Backend, BackendState};
use crate::discovery::{Found, Sink, Spec, Watcher};
use crate::names::PoolName;

/// How long a start waits for the first answers. Without them a session whose backend discovery names would seem to
/// have lost it, and would move.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

/// Asks every source once, all at the same time, and enters what they answer in time. Blocks.
pub(crate) fn first_answers(control: &Control) {
    let specs = control.discovered();
    if specs.is_empty() {
        return;
    }
    // A thread and a runtime of its own: whoever embeds us may call from within one.
    let ask = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut asked = JoinSet::new();
            for (pool, spec) in specs {
                asked.spawn(async move {
                    let mut source = spec.source();
                    (pool, timeout(FIRST_ANSWER, source.next()).await)
                });
            }
            while let Some(answer) = asked.join_next().await {
                match answer {
                    Ok((pool, Ok(Ok(answer)))) => control.found(&pool, answer.found),
                    Ok((pool, Ok(Err(fault)))) => {
                        log::warn!("discovery of pool {pool}: no first answer: {fault}")
                    }
                    Ok((pool, Err(_))) => {
                        log::warn!("discovery of pool {pool}: no first answer in {FIRST_ANSWER:?}")
                    }
                    Err(error) => log::error!("discovery: a source broke at its first look: {error}"),
                }
            }
        });
        Ok::<_, std::io::Error>(())
    };
    match std::thread::scope(|scope| scope.spawn(ask).join()) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => log::warn!("discovery: the start does not wait for it: {error}"),
        Err(_) => log::error!("discovery: the first look has panicked"),
    }
}

impl Sink for Control {
    /// They stand beside those of the file, which has the last word on an id; who is no longer found drains first.
    fn found(&self, pool: &PoolName, backends: Vec<Found>) {
        let backend = |found: Found| Backend {
            id: found.id,
            address: found.address.into(),
            weight: found.weight,
            state: BackendState::Up,
            drain_deadline: None,
        };
        let backends = backends.into_iter().map(backend).collect();
        let altered = self.alter(pool.as_str(), |pool, world| {
            world.overlay.found(&pool.name, backends);
            Ok(())
        });
        if let Err(error) = altered {
            log::debug!("discovery: {error}");
        }
    }
}

/// Runs the sources of the configuration in force until the server stops.
#[derive(Debug)]
pub(crate) struct DiscoveryService {
    pub(crate) control: Arc<Control>,
    /// Hears when another configuration is in force.
    pub(crate) changed: watch::Receiver<()>,
}

#[async_trait]
impl BackgroundService for DiscoveryService {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut changed = self.changed.clone();
        let mut running: Vec<Running> = Vec::new();
        loop {
            // Seen before it is read: a change in between is seen again.
            changed.mark_unchanged();
            self.follow(&mut running);
            tokio::select! {
                () = hears(&mut changed) => {}
                _ = shutdown.wait_for(|stopping| *stopping) => return,
            }
        }
    }
}

impl DiscoveryService {
    /// A source that is still wanted goes on; what a pool without discovery had found is found no more.
    fn follow(&self, running: &mut Vec<Running>) {
        let wanted = self.control.discovered();
        let (stays, over): (Vec<_>, Vec<_>) =
            running.drain(..).partition(|one| wanted.iter().any(|(pool, spec)| one.is(pool, spec)));
        *running = stays;
        for Running { pool, .. } in over.iter().filter(|one| wanted.iter().all(|(pool, _)| *pool != one.pool))
        {
            self.control.found(pool, Vec::new());
        }
        for (pool, spec) in wanted {
            if !running.iter().any(|one| one.is(&pool, &spec)) {
                running.push(Running::start(pool, spec, Arc::clone(&self.control)));
            }
        }
    }
}

/// The watcher of one pool; ends when dropped.
struct Running {
    pool: PoolName,
    spec: Spec,
    task: JoinHandle<()>,
}

impl Running {
    fn start(pool: PoolName, spec: Spec, sink: Arc<Control>) -> Self {
        let watcher = Watcher::new(vec![(pool.clone(), spec.source())], sink);
        Self { pool, spec, task: tokio::spawn(watcher.run()) }
    }

    fn is(&self, pool: &PoolName, spec: &Spec) -> bool {
        self.pool == *pool && self.spec == *spec
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
