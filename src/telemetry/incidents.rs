//! When a backend loses more sessions than it used to: judged once a second by its own history. Pure.
//!
//! What is usual is a mean of ten-second windows that fades over some twenty minutes. A window is unusual when it has at least
//! [`FEW`] losses and lies beyond what a steady rate would bring about by chance. Sessions that nothing proves count a
//! quarter: anybody can invent ids. A restart that the witnesses have seen is unusual in itself.
//!
//! An incident ends when nothing was lost for [`QUIET_S`] seconds, or after [`LONGEST_S`]: then it is what is usual now.

use std::collections::VecDeque;

use super::book::Lost;
use super::losses::Losses;
use crate::names::BackendId;

/// Losses are summed over this time.
const WINDOW_S: u64 = 10;
/// Fewer are no incident.
const FEW: f64 = 5.0;
/// How far beyond the usual, in standard deviations of a steady rate.
const FAR: f64 = 4.0;
/// What a window adds to what is usual.
const FADE: f64 = 0.01;
/// Seconds without a loss that end an incident.
const QUIET_S: u64 = 15;
/// Seconds that an incident lasts at most.
const LONGEST_S: u64 = 600;
/// Seconds that are waited before an incident is told of, so that its number says something; unless it is quiet before.
const GATHER_S: u64 = 2;

/// The losses of one backend, out of the ordinary.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Incident {
    /// The backend.
    pub backend: BackendId,
    /// When the first session was lost, in seconds since 1970.
    pub from_s: u64,
    /// When the last one was lost.
    pub until_s: u64,
    /// How many, by class.
    pub lost: Lost,
    /// Whether the witnesses say that the backend has restarted.
    pub restarted: bool,
    /// Whether it has ended.
    pub is_over: bool,
}

/// The history of one backend's losses.
#[derive(Debug, Default)]
pub struct Watch {
    before: Option<Losses>,
    /// Losses of the last seconds: when, in seconds since 1970.
    window: VecDeque<(u64, Lost)>,
    usual: f64,
    since_fade_s: u64,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    incident: Incident,
    opened_s: u64,
    told: bool,
}

impl Watch {
    /// Looks at the losses since the process began, once a second. Gives an incident that is to be told of: once when it
    /// begins, and once when it is over.
    pub fn look(&mut self, losses: &Losses, now_s: u64) -> Option<Incident> {
        let before = self.before.replace(losses.clone());
        let before = before.unwrap_or_else(|| losses.clone());
        let new = difference(losses.lost, before.lost);
        let restarted = losses.restarts > before.restarts;
        if let Some(open) = &mut self.open {
            open.add(new, restarted.then_some(losses.restarted_s), now_s);
            let quiet = now_s.saturating_sub(open.incident.until_s) >= QUIET_S;
            let long = now_s.saturating_sub(open.incident.from_s) >= LONGEST_S;
            if quiet || long {
                return self.close(now_s, long);
            }
            let due = now_s.saturating_sub(open.opened_s) >= GATHER_S;
            return (due && !std::mem::replace(&mut open.told, true)).then(|| open.incident.clone());
        }
        if new.total() > 0 {
            self.window.push_back((now_s, new));
        }
        while self.window.front().is_some_and(|(at_s, _)| now_s.saturating_sub(*at_s) >= WINDOW_S) {
            self.window.pop_front();
        }
        let lost = self.window.iter().fold(Lost::default(), |sum, (_, lost)| add(sum, *lost));
        if restarted || self.is_unusual(lost) {
            let first_s = self.window.front().map_or(now_s, |(at_s, _)| *at_s);
            let from_s = if restarted { first_s.min(losses.restarted_s) } else { first_s };
            let (backend, until_s) = (losses.backend.clone(), now_s);
            let incident = Incident { backend, from_s, until_s, lost, restarted, is_over: false };
            self.open = Some(Open { incident, opened_s: now_s, told: false });
            self.window.clear();
            return None;
        }
        if now_s.saturating_sub(self.since_fade_s) >= WINDOW_S {
            self.since_fade_s = now_s;
            self.usual += FADE * (weight(lost) - self.usual);
        }
        None
    }

    /// Whether sessions were lost within the last seconds.
    pub fn is_busy(&self) -> bool {
        self.open.is_some() || !self.window.is_empty()
    }

    /// Whether these losses were looked at already.
    pub fn has_seen(&self, losses: &Losses) -> bool {
        self.before.as_ref() == Some(losses)
    }

    fn is_unusual(&self, lost: Lost) -> bool {
        let weight = weight(lost);
        weight >= FEW && weight > self.usual + FAR * self.usual.max(1.0).sqrt()
    }

    fn close(&mut self, now_s: u64, long: bool) -> Option<Incident> {
        let Open { incident, .. } = self.open.take()?;
        if long {
            let windows = (now_s.saturating_sub(incident.from_s) / WINDOW_S).max(1);
            self.usual = weight(incident.lost) / float(windows);
        }
        Some(Incident { is_over: true, ..incident })
    }
}

impl Open {
    fn add(&mut self, new: Lost, restarted_s: Option<u64>, now_s: u64) {
        if let Some(restarted_s) = restarted_s {
            self.incident.restarted = true;
            self.incident.from_s = self.incident.from_s.min(restarted_s);
        }
        if new.total() > 0 {
            self.incident.lost = add(self.incident.lost, new);
            self.incident.until_s = now_s;
        }
    }
}

fn difference(now: Lost, before: Lost) -> Lost {
    Lost {
        after_move: now.after_move.saturating_sub(before.after_move),
        no_proof: now.no_proof.saturating_sub(before.no_proof),
        at_home: now.at_home.saturating_sub(before.at_home),
    }
}

fn add(left: Lost, right: Lost) -> Lost {
    Lost {
        after_move: left.after_move + right.after_move,
        no_proof: left.no_proof + right.no_proof,
        at_home: left.at_home + right.at_home,
    }
}

fn weight(lost: Lost) -> f64 {
    float(lost.after_move) + float(lost.at_home) + float(lost.no_proof) / 4.0
}

#[expect(clippy::cast_precision_loss, reason = "losses within minutes")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A backend that loses sessions, second by second.
    struct Backend {
        watch: Watch,
        losses: Losses,
        now_s: u64,
    }

    impl Backend {
        fn new() -> Self {
            let losses = Losses {
                backend: BackendId::new("app2"),
                lost: Lost::default(),
                restarts: 0,
                restarted_s: 0,
            };
            let mut watch = Watch::default();
            assert_eq!(watch.look(&losses, 1000), None);
            Self { watch, losses, now_s: 1000 }
        }

        fn second(&mut self, lose: impl FnOnce(&mut Losses)) -> Option<Incident> {
            self.now_s += 1;
            lose(&mut self.losses);
            self.watch.look(&self.losses, self.now_s)
        }

        fn seconds(&mut self, count: u64, lose: impl Fn(&mut Losses)) -> Vec<Incident> {
            (0..count).filter_map(|_| self.second(&lose)).collect()
        }

        fn quiet(&mut self, count: u64) -> Vec<Incident> {
            self.seconds(count, |_| {})
        }
    }

    #[test]
    fn a_restart_is_told_once_when_it_begins_and_once_when_it_is_over_with_the_whole_number() {
        let mut app = Backend::new();
        assert_eq!(app.quiet(300), []);
        let at_s = app.now_s + 1;
        let mut told: Vec<_> = app
            .second(|losses| {
                losses.lost.at_home += 5;
                (losses.restarts, losses.restarted_s) = (1, at_s - 3);
            })
            .into_iter()
            .collect();
        told.extend(app.seconds(4, |losses| losses.lost.at_home += 50));
        told.extend(app.quiet(60));
        assert_eq!(told.len(), 2, "{told:?}");
        let (begun, over) = (&told[0], &told[1]);
        assert_eq!((begun.from_s, begun.is_over, begun.restarted), (at_s - 3, false, true));
        assert!((5..205).contains(&begun.lost.at_home), "{begun:?}");
        assert_eq!((over.lost, over.is_over), (Lost { at_home: 205, ..Lost::default() }, true));
        assert_eq!((over.from_s, over.until_s), (at_s - 3, at_s + 4));
    }

    #[test]
    fn single_losses_now_and_then_are_no_incident_and_a_usual_rate_is_none() {
        let mut app = Backend::new();
        for _ in 0..100 {
            assert_eq!(app.second(|losses| losses.lost.after_move += 1), None);
            assert_eq!(app.quiet(20), []);
        }
        // A flood that does not end is an incident once, and then it is what is usual.
        let told = app.seconds(3600, |losses| losses.lost.after_move += 2);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[1].is_over && told[1].lost.after_move >= 1000, "{told:?}");
        // Far more than that is one again.
        let told = app.seconds(30, |losses| losses.lost.after_move += 20);
        assert_eq!(told.len(), 1, "{told:?}");
    }

    #[test]
    fn invented_ids_count_a_quarter() {
        let mut app = Backend::new();
        assert_eq!(app.second(|losses| losses.lost.no_proof += 19), None);
        assert_eq!(app.quiet(30), []);
        assert_eq!(app.second(|losses| losses.lost.no_proof += 20), None);
        assert_eq!(app.quiet(30).len(), 2);
    }
}
