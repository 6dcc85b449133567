//! Reload: another configuration in the same process. Everything is read, checked and compiled before anything
//! changes; requests under way finish with the snapshot that they began with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::config::{self, Checked, Problems, checked};
use crate::listen::{Bounds, HeadLimits};
use crate::names::ListenerName;
use crate::snapshot::{Current, Secrets, SecretsError, Snapshot};
use crate::store::Keeper;

/// A listener that is bound: what a reload can change of it, and what it cannot.
#[derive(Debug)]
pub(crate) struct BoundListener {
    pub(crate) name: ListenerName,
    /// As the configuration has it; the port may be 0.
    pub(crate) address: SocketAddr,
    /// What the door goes by, from the next connection on.
    pub(crate) bounds: Arc<ArcSwap<Bounds>>,
}

/// Puts another configuration in force.
#[derive(Debug)]
pub(crate) struct Reloader {
    source: PathBuf,
    current: Arc<Current>,
    keeper: Arc<Keeper>,
    listeners: Vec<BoundListener>,
    threads: usize,
    /// Tells the health monitor that there are other pools to watch.
    changed: watch::Sender<()>,
}

/// Why a configuration was not put in force. The one before still is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadError {
    /// It has errors.
    #[error("{0}")]
    Configuration(#[from] Problems),
    /// A key or the seed could not be read.
    #[error("{0}")]
    Secrets(#[from] SecretsError),
    /// It asks for what only another process can do.
    #[error("{0}: a reload cannot change that; restart to put it in force")]
    NeedsAnotherProcess(String),
}

impl Reloader {
    /// Reloads from `source` into `current`; the receiver hears of each change.
    pub(crate) fn new(
        source: PathBuf,
        current: Arc<Current>,
        keeper: Arc<Keeper>,
        listeners: Vec<BoundListener>,
        threads: usize,
    ) -> (Self, watch::Receiver<()>) {
        let (changed, hears) = watch::channel(());
        (Self { source, current, keeper, listeners, threads, changed }, hears)
    }

    /// Reads, checks and compiles the configuration, and puts it in force.
    ///
    /// # Errors
    /// It was refused, and nothing has changed.
    pub(crate) fn reload(&self) -> Result<(), ReloadError> {
        let mut checked = config::load(&self.source)?;
        self.can_take(&checked)?;
        // Connections know their listener by its place at start.
        let place = |name: &ListenerName| self.listeners.iter().position(|bound| bound.name == *name);
        checked.listeners.sort_by_key(|listener| place(&listener.name));
        let bounds: Vec<_> = checked.listeners.iter().map(bounds).collect();
        let secrets = Secrets::open(&checked)?;
        let before = self.current.load();
        self.current.replace(Snapshot::compile(checked, secrets, Some(&before)));
        for (bound, bounds) in self.listeners.iter().zip(bounds) {
            bound.bounds.store(Arc::new(bounds));
        }
        self.keeper.serve(self.current.load().kept());
        self.changed.send_replace(());
        Ok(())
    }

    fn can_take(&self, checked: &Checked) -> Result<(), ReloadError> {
        let needs = |what: String| Err(ReloadError::NeedsAnotherProcess(what));
        if checked.server.threads != self.threads {
            return needs(format!("`server.threads` was {}", self.threads));
        }
        for bound in &self.listeners {
            match checked.listeners.iter().find(|listener| listener.name == bound.name) {
                None => return needs(format!("listener `{}` was removed", bound.name)),
                Some(listener) if listener.address != bound.address => {
                    return needs(format!("listener `{}` was on {}", bound.name, bound.address));
                }
                Some(_) => {}
            }
        }
        let is_new =
            |listener: &&checked::Listener| self.listeners.iter().all(|bound| bound.name != listener.name);
        match checked.listeners.iter().find(is_new) {
            Some(listener) => needs(format!("listener `{}` is new", listener.name)),
            None => Ok(()),
        }
    }
}

/// What a listener's door goes by.
pub(crate) fn bounds(listener: &checked::Listener) -> Bounds {
    Bounds {
        head: HeadLimits {
            bytes: listener.limits.head_bytes,
            fields: listener.limits.header_fields,
            target_bytes: listener.limits.uri_bytes,
            body_bytes: listener.limits.body_bytes,
        },
        head_timeout: listener.timeouts.head,
        idle: listener.timeouts.idle,
        connections: listener.limits.connections,
    }
}

/// Hears SIGHUP from now on; without it, one that comes early would end the process.
///
/// # Errors
/// The system allows no signal handler.
pub(crate) fn hear_hangups() -> std::io::Result<Signal> {
    // Only for its handler; whichever runtime waits for the signal will hear it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    signal(SignalKind::hangup())
}

/// Reloads on SIGHUP.
pub(crate) struct ReloadService {
    reloader: Reloader,
    hangups: Mutex<Option<Signal>>,
}

impl ReloadService {
    /// Reloads whenever one of these comes.
    pub(crate) fn new(reloader: Reloader, hangups: Signal) -> Self {
        Self { reloader, hangups: Mutex::new(Some(hangups)) }
    }
}

#[async_trait]
impl BackgroundService for ReloadService {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let Some(mut hangups) = self.hangups.lock().take() else { return };
        loop {
            tokio::select! {
                _ = hangups.recv() => {}
                _ = shutdown.wait_for(|stopping| *stopping) => return,
            }
            match self.reloader.reload() {
                Ok(()) => log::info!("configuration reloaded from {}", self.reloader.source.display()),
                Err(error) => log::error!("configuration refused, the one before stays in force: {error}"),
            }
        }
    }
}
