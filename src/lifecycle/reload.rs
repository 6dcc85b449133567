//! Reload on SIGHUP, and the upkeep of what is in force.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::control::Control;
use crate::clock::Now;

/// From one look at who has left to the next.
const TURN: Duration = Duration::from_secs(1);

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

/// Reloads on SIGHUP, and lets backends go that have drained.
pub(crate) struct ControlService {
    control: Arc<Control>,
    hangups: Mutex<Option<Signal>>,
}

impl ControlService {
    /// Reloads whenever one of these comes; `None`: whoever embeds us minds the signals.
    pub(crate) fn new(control: Arc<Control>, hangups: Option<Signal>) -> Self {
        Self { control, hangups: Mutex::new(hangups) }
    }

    fn reload(&self) {
        match self.control.reload() {
            Ok(plan) if plan.changes.is_empty() => log::info!("configuration reloaded: nothing has changed"),
            Ok(plan) => log::info!("configuration reloaded: {}", plan.changes.join("; ")),
            Err(error) => log::error!("configuration refused, the one before stays in force: {error}"),
        }
    }
}

#[async_trait]
impl BackgroundService for ControlService {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut hangups = self.hangups.lock().take();
        let mut turns = interval(TURN);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = heard(&mut hangups) => self.reload(),
                _ = turns.tick() => self.control.upkeep(Now::read()),
                _ = shutdown.wait_for(|stopping| *stopping) => return,
            }
        }
    }
}

async fn heard(hangups: &mut Option<Signal>) {
    match hangups {
        Some(hangups) => drop(hangups.recv().await),
        None => std::future::pending().await,
    }
}
