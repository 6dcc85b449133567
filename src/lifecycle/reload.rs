//! What signals and changed files ask for (SIGHUP: reload, SIGUSR2: upgrade), and the upkeep of what is in force.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::apply::Applied;
use super::control::Control;
use super::notify;
use super::watched_files::WatchedFiles;
use crate::clock::Now;

/// From one look at who has left to the next.
const TURN: Duration = Duration::from_secs(1);
/// From one look whether an upgrade is possible already to the next, of two seconds.
const READY_TURN: Duration = Duration::from_millis(10);
const READY_TURNS: u32 = 200;

/// Signals that ask for a change.
pub(crate) struct Asked {
    hangups: Signal,
    upgrades: Signal,
    reopens: Signal,
}

impl Asked {
    /// Hears SIGHUP (reload) and SIGUSR2 (upgrade) from now on; unheard, one that comes early would end the process.
    ///
    /// # Errors
    /// The system allows no signal handler.
    pub(crate) fn hear() -> std::io::Result<Self> {
        // Only for its handlers; whichever runtime waits for the signals will hear them.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let _inside = runtime.enter();
        Ok(Self {
            hangups: signal(SignalKind::hangup())?,
            upgrades: signal(SignalKind::user_defined2())?,
            reopens: signal(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Ask {
        tokio::select! {
            _ = self.hangups.recv() => Ask::Reload,
            _ = self.upgrades.recv() => Ask::Upgrade,
            _ = self.reopens.recv() => Ask::Reopen,
        }
    }
}

enum Ask {
    Reload,
    Upgrade,
    Reopen,
}

/// Reloads and upgrades when a signal asks for it, and lets backends go that have drained.
pub(crate) struct ControlService {
    control: Arc<Control>,
    asked: Mutex<Option<Asked>>,
}

impl ControlService {
    /// Changes whenever one of these comes; `None`: whoever embeds us minds the signals.
    pub(crate) fn new(control: Arc<Control>, asked: Option<Asked>) -> Self {
        Self { control, asked: Mutex::new(asked) }
    }

    async fn reload(&self) {
        notify::reloading();
        let control = Arc::clone(&self.control);
        let applied = match tokio::task::spawn_blocking(move || control.reload_or_upgrade()).await {
            Ok(applied) => applied.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match applied {
            // That one has said that it is ready.
            Ok(Applied::Upgraded { pid }) => return log::info!("upgraded: process {pid} serves"),
            Ok(Applied::Reloaded(plan)) => {
                let text = format!("configuration reloaded: {}", plan.summary());
                notify::status(&text);
                log::info!("{text}");
            }
            Err(error) => {
                let text = format!("configuration refused, the one before stays in force: {error}");
                notify::status(&text);
                log::error!("{text}");
            }
        }
        notify::ready(false);
    }

    /// Reloads if a change of the watched files has settled.
    async fn look(&self, mut files: WatchedFiles, watched: Vec<PathBuf>) -> WatchedFiles {
        let looked = tokio::task::spawn_blocking(move || (files.changed(&watched), files)).await;
        let Ok((changed, files)) = looked else { return WatchedFiles::default() };
        if changed {
            log::info!("a watched file has changed");
            self.reload().await;
        }
        files
    }

    async fn upgrade(&self) {
        let control = Arc::clone(&self.control);
        let upgrade = move || {
            // A signal may come in the moment between the start and the first possible upgrade.
            for _ in 0..READY_TURNS {
                if control.can_upgrade() {
                    break;
                }
                std::thread::sleep(READY_TURN);
            }
            control.upgrade()
        };
        match tokio::task::spawn_blocking(upgrade).await {
            Ok(Ok(pid)) => log::info!("upgraded: process {pid} serves"),
            Ok(Err(error)) => log::error!("not upgraded, this process goes on: {error}"),
            Err(error) => log::error!("not upgraded, this process goes on: {error}"),
        }
    }
}

#[async_trait]
impl BackgroundService for ControlService {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut asked = self.asked.lock().take();
        // Whoever embeds us tells the service manager what it wants.
        let watchdog = asked.as_ref().and_then(|_| notify::watchdog());
        let mut turns = interval(watchdog.map_or(TURN, |most| TURN.min(most / 2)));
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut files = WatchedFiles::default();
        loop {
            let stopping = shutdown.wait_for(|stopping| *stopping);
            tokio::select! {
                ask = next(&mut asked) => match ask {
                    Ask::Reload => self.reload().await,
                    Ask::Upgrade => self.upgrade().await,
                    Ask::Reopen => self.control.reopen_logs(),
                },
                _ = turns.tick() => {
                    self.control.upkeep(Now::read());
                    if watchdog.is_some() {
                        notify::alive();
                    }
                    if let Some(watched) = self.control.watched_files() {
                        files = self.look(files, watched).await;
                    }
                }
                // Not its guard over the next wait.
                () = async { drop(stopping.await) } => return,
            }
        }
    }
}

async fn next(asked: &mut Option<Asked>) -> Ask {
    match asked {
        Some(asked) => asked.next().await,
        None => std::future::pending().await,
    }
}
