//! Stopping: by signal, or by the program that embeds us.
//!
//! Pingora asks once how to stop, and then sleeps its whole grace period even when nobody is left. So the
//! process does not wait for Pingora, but for the last connection.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::notify;
use crate::listen::Counts;

/// Asks a running balancer to stop; also when dropped.
#[derive(Debug)]
pub(crate) struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// Asks it to stop: no new connections, and running requests finish within the grace period.
    pub(crate) fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Waits for a reason to stop, and says that it came.
#[derive(Debug)]
pub(crate) struct Stop {
    asked: watch::Receiver<bool>,
    said: watch::Sender<Option<Manner>>,
    signals: bool,
    /// Between the word that the process will stop, and its stop.
    delay: Duration,
}

/// How to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Manner {
    /// Soon: new clients had better go elsewhere, but all are served.
    Announced,
    /// Running requests finish.
    Graceful,
    /// At once.
    Fast,
    /// Another process has taken over: connections end politely, with the next response on each.
    Retire,
}

impl Stop {
    /// A stop by [`Stopper`], and by SIGTERM, SIGQUIT (graceful) and SIGINT (at once) where `signals` says so.
    /// Before a graceful stop it is announced for `delay`.
    pub(crate) fn new(signals: bool, delay: Duration) -> (Self, Stopper, watch::Receiver<Option<Manner>>) {
        let (stopper, asked) = watch::channel(false);
        let (said, saying) = watch::channel(None);
        (Self { asked, said, signals, delay }, Stopper(stopper), saying)
    }

    /// Says how to stop, or with `None` that the process goes on after all.
    pub(crate) fn sayer(&self) -> watch::Sender<Option<Manner>> {
        self.said.clone()
    }

    async fn reason(&self) -> Manner {
        let mut asked = self.asked.clone();
        let by_stopper = async move {
            let _ = asked.wait_for(|asked| *asked).await;
            Manner::Graceful
        };
        if !self.signals {
            return by_stopper.await;
        }
        tokio::select! {
            manner = by_stopper => manner,
            () = received(SignalKind::terminate()) => Manner::Graceful,
            () = received(SignalKind::quit()) => Manner::Graceful,
            () = received(SignalKind::interrupt()) => Manner::Fast,
        }
    }
}

#[async_trait]
impl ShutdownSignalWatch for Stop {
    async fn recv(&self) -> ShutdownSignal {
        let mut manner = self.reason().await;
        if self.signals && manner != Manner::Retire {
            notify::stopping();
        }
        if manner == Manner::Graceful && self.signals && !self.delay.is_zero() {
            self.said.send_replace(Some(Manner::Announced));
            log::info!("stopping in {:?}; another signal stops at once", self.delay);
            manner = tokio::time::timeout(self.delay, self.reason()).await.unwrap_or(manner);
        }
        self.said.send_replace(Some(manner));
        match manner {
            Manner::Announced | Manner::Graceful | Manner::Retire => ShutdownSignal::GracefulTerminate,
            Manner::Fast => ShutdownSignal::FastShutdown,
        }
    }
}

async fn received(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signals) => {
            signals.recv().await;
        }
        Err(error) => {
            log::error!("cannot listen to signals: {error}");
            std::future::pending::<()>().await;
        }
    }
}

/// Waits, once a stop was asked for, until the last connection has ended or the grace period is over. Blocks.
pub(crate) fn wait_for_drain(
    said: &watch::Receiver<Option<Manner>>,
    counts: &[Arc<Counts>],
    grace: Duration,
) {
    const PAUSE: Duration = Duration::from_millis(20);
    /// Whoever asked for an upgrade is still to hear that it came about.
    const FAREWELL: Duration = Duration::from_millis(500);
    /// Those who were waiting to be accepted when the stop came are served.
    const LAST_CALL: Duration = Duration::from_millis(100);
    let (mut said, mut left) = (said.clone(), grace);
    loop {
        let manner = *said.borrow_and_update();
        let open: usize = counts.iter().map(|counts| counts.open()).sum();
        match manner {
            Some(Manner::Fast) => return,
            Some(Manner::Graceful) if open == 0 && left + LAST_CALL <= grace || left.is_zero() => return,
            Some(Manner::Retire) if open == 0 && left + FAREWELL <= grace || left.is_zero() => return,
            Some(Manner::Graceful | Manner::Retire) => left = left.saturating_sub(PAUSE),
            None | Some(Manner::Announced) => {
                left = grace;
                match wait_for_news(&mut said) {
                    Ok(()) => continue,
                    // The server has ended by itself.
                    Err(Ended::Server) => return,
                    Err(Ended::Waiting) => {}
                }
            }
        }
        std::thread::sleep(PAUSE);
    }
}

/// Why there is no more news.
enum Ended {
    Server,
    /// The system has nothing to wait with.
    Waiting,
}

/// Blocks until something else is said: for days, as a rule, so without looking again and again.
fn wait_for_news(said: &mut watch::Receiver<Option<Manner>>) -> Result<(), Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| {
        log::debug!("cannot wait for the word to stop: {error}");
        Ended::Waiting
    })?;
    runtime.block_on(said.changed()).map_err(|_closed| Ended::Server)
}
