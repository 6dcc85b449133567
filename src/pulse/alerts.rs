//! Loss alerts: each second the losses of every backend are held against its own history; what leaves it is said in words,
//! to the log, to whoever listens, and to the webhook.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use super::words::alert;
use crate::clock::Now;
use crate::names::{BackendId, PoolName};
use crate::snapshot::{ServedPool, Snapshot};
use crate::telemetry::{About, EventKind, Events, Incident, Losses, Watch};

/// Incidents that are kept.
const KEPT: usize = 32;

/// The latest incidents, for whoever asks.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<VecDeque<Alert>>);

/// An incident, in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Alert {
    pub(crate) pool: PoolName,
    pub(crate) incident: Incident,
    /// Sessions lost by the first segment of the path, most first.
    pub(crate) paths: Vec<(String, u64)>,
    pub(crate) text: String,
}

/// The histories of all backends.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    watched: HashMap<(PoolName, BackendId), Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    watch: Watch,
    /// Losses by path when all was quiet, and how many they were.
    quiet: (u64, Vec<(String, u64)>),
}

impl Alerts {
    /// Looks at all backends, once a second. Gives what is to be told elsewhere, too.
    pub(super) fn look(
        &mut self,
        snapshot: &Snapshot,
        board: &Board,
        events: &Events,
        now: Now,
    ) -> Vec<Alert> {
        let mut alerts = Vec::new();
        let mut seen = Vec::new();
        for served in &snapshot.pools {
            for losses in served.losses.all() {
                let key = (served.pool.name().clone(), losses.backend.clone());
                seen.push(key.clone());
                alerts.extend(self.watched.entry(key).or_default().look(served, &losses, now));
            }
        }
        if seen.len() < self.watched.len() {
            self.watched.retain(|key, _| seen.contains(key));
        }
        for alert in &alerts {
            let (pool, backend) = (&alert.pool, &alert.incident.backend);
            match alert.incident.is_over {
                false => log::warn!("pool {pool}: {}", alert.text),
                true => log::info!("pool {pool}: {}", alert.text),
            }
            let about = About { pool: Some(pool), backend: Some(backend), ..About::default() };
            events.tell(EventKind::Alert, about, alert.text.clone(), now);
            board.pin(alert.clone());
        }
        alerts
    }
}

impl Watched {
    fn look(&mut self, served: &ServedPool, losses: &Losses, now: Now) -> Option<Alert> {
        let total = losses.lost.total();
        if self.quiet.0 != total && !self.watch.is_busy() && self.watch.has_seen(losses) {
            self.quiet = (total, served.losses.paths(&losses.backend));
        }
        let incident = self.watch.look(losses, now.unix_s)?;
        let (_, before) = &self.quiet;
        let mut paths = served.losses.paths(&losses.backend);
        for (path, count) in &mut paths {
            *count -=
                before.iter().find(|(known, _)| known == path).map_or(0, |(_, before)| *before).min(*count);
        }
        paths.retain(|(_, count)| *count > 0);
        paths.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let pool = served.pool.name().clone();
        let backend = served.pool.find(losses.backend.as_str()).and_then(|index| served.pool.backend(index));
        let text = alert(&incident, &paths, backend, now);
        Some(Alert { pool, incident, paths, text })
    }
}

impl Board {
    /// The latest incidents, the newest first.
    pub(crate) fn all(&self) -> Vec<Alert> {
        self.0.lock().iter().rev().cloned().collect()
    }

    /// An incident stands there once: its end takes the place of its beginning.
    fn pin(&self, alert: Alert) {
        let mut alerts = self.0.lock();
        let is_it = |known: &Alert| {
            known.pool == alert.pool
                && known.incident.backend == alert.incident.backend
                && known.incident.from_s == alert.incident.from_s
        };
        alerts.retain(|known| !is_it(known));
        if alerts.len() >= KEPT {
            alerts.pop_front();
        }
        alerts.push_back(alert);
    }
}
