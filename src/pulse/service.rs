//! The pulse as a service of Pingora's, on one thread of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::alerts::{Alerts, Board};
use super::exporter;
use super::look::Look;
use super::sampler::Sampler;
use super::webhook::Messenger;
use crate::clock::Now;
use crate::lifecycle::Control;
use crate::names::PoolName;
use crate::snapshot::Current;
use crate::telemetry::{Events, HISTORY_STEP_S, History, Recent, Spans};

/// From one look at states to the next.
const TURN: Duration = Duration::from_millis(250);
/// Turns of a second.
const TURNS: u64 = 4;

/// What the pulse reads, and whom it tells.
#[derive(Clone, Debug)]
pub(crate) struct Pulse {
    pub(crate) current: Arc<Current>,
    pub(crate) control: Arc<Control>,
    pub(crate) recent: Arc<Recent>,
    pub(crate) events: Arc<Events>,
    pub(crate) history: Arc<History>,
    pub(crate) board: Arc<Board>,
    pub(crate) spans: Arc<Spans>,
    /// Fails once the last request has ended.
    pub(crate) ended: watch::Receiver<()>,
}

/// Beats until the server stops.
#[derive(Debug)]
pub(crate) struct PulseService(pub(crate) Pulse);

#[async_trait]
impl BackgroundService for PulseService {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut turns = interval(TURN);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = Seen::default();
        let messenger = Messenger::start();
        exporter::start(Arc::clone(&self.0.current), Arc::clone(&self.0.spans), self.0.ended.clone());
        let mut turn = 0_u64;
        loop {
            tokio::select! {
                _ = turns.tick() => {}
                () = async { drop(shutdown.wait_for(|stopping| *stopping).await) } => return,
            }
            self.0.beat(&mut seen, &messenger, turn, Now::read());
            turn = turn.wrapping_add(1);
        }
    }
}

/// What was seen until now.
#[derive(Debug, Default)]
struct Seen {
    look: Look,
    alerts: Alerts,
    sampler: Sampler,
}

impl Pulse {
    fn beat(&self, seen: &mut Seen, messenger: &Messenger, turn: u64, now: Now) {
        let Seen { look, alerts, sampler } = seen;
        let snapshot = self.current.load();
        look.states(&snapshot, &self.events, now);
        look.requests(&self.recent, &self.events, now);
        if !turn.is_multiple_of(TURNS) {
            return;
        }
        let told = alerts.look(&snapshot, &self.board, &self.events, now);
        if let Some(webhook) = &snapshot.webhook {
            told.iter().for_each(|alert| messenger.post(webhook, alert));
        }
        if self.events.has_listeners() {
            let sample = sampler.sample(&snapshot, self.control.differences(), now);
            self.events.sample(Arc::new(sample));
        } else {
            sampler.rest();
        }
        if turn.is_multiple_of(TURNS * HISTORY_STEP_S) {
            self.history.enter(now.unix_s, snapshot.pools.iter().map(|served| line(served, now)).collect());
        }
    }
}

/// The live, moved and lost sessions of a pool.
fn line(served: &crate::snapshot::ServedPool, now: Now) -> (PoolName, u64, u64, u64) {
    let report = served.sessions(now);
    let sum = |of: fn(&crate::telemetry::BackendReport) -> u64| report.backends.iter().map(of).sum();
    let live = sum(|backend| backend.live.total());
    let moved = sum(|backend| backend.moved_in);
    let lost = served.losses.all().iter().map(|losses| losses.lost.total()).sum();
    (served.pool.name().clone(), live, moved, lost)
}
