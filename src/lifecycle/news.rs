//! What control tells of itself to whoever listens, and what it knows of the admin API.

use std::sync::Arc;

use super::control::Control;
use crate::clock::Now;
use crate::telemetry::{About, EventKind, Events};

impl Control {
    /// From now on, reloads and upgrades are told here.
    pub(crate) fn tell(&self, events: Arc<Events>) {
        // The first one stays: there is one for each process.
        let _ = self.events.set(events);
    }

    /// Whether the dashboard is to be there.
    pub(crate) fn has_dashboard(&self) -> bool {
        self.world.lock().file.admin.as_ref().is_some_and(|admin| admin.dashboard)
    }

    pub(super) fn told_of_reload(&self, changes: &[String], now: Now) {
        let what = if changes.is_empty() { "nothing has changed".to_owned() } else { changes.join("; ") };
        self.say(EventKind::Configuration, format!("configuration reloaded: {what}"), now);
    }

    pub(super) fn told_of_upgrade(&self, handed_over: bool) {
        let text = if handed_over {
            "another process has taken over; this one finishes what runs"
        } else {
            "the process that had taken over is gone: this one serves again"
        };
        self.say(EventKind::Upgrade, text.to_owned(), Now::read());
    }

    fn say(&self, kind: EventKind, text: String, now: Now) {
        if let Some(events) = self.events.get() {
            events.tell(kind, About::default(), text, now);
        }
    }
}
