//! The live state of one backend: counts, health and memory that outlive a reload. Atomics, and one short lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::checks::Checks;
use super::drain::Drain;
use super::gate::{Asker, Entry, Gate, Limits, Permit, Waiting};
use super::spec::Ejection;
use super::state::{Cause, CheckVerdict, Failure, Health};
use super::witnesses::{Replacement, Witnesses};
use super::word::{Reach, Word};
use crate::clock::Now;
use crate::names::{BackendIndex, Epoch};

/// Five minutes.
const LATELY_MS: u64 = 300_000;

/// The live state of one backend.
#[derive(Debug, Default)]
pub struct Live {
    /// A [`Word`].
    health: AtomicU64,
    /// When it last came up, in monotonic milliseconds; 0: it never was down.
    up_since_ms: AtomicU64,
    failures: AtomicU32,
    gate: Arc<Gate>,
    /// New sessions lately, decayed.
    assigned: AtomicU32,
    epoch: AtomicU16,
    drain: Drain,
    /// Its health page says that it drains.
    asks_to_drain: AtomicBool,
    checks: Checks,
    /// Tokens of an older epoch that were issued before it no longer hold; in seconds since 1970.
    boundary_s: AtomicU32,
    /// Made with the first session that it confirms.
    witnesses: Mutex<Option<Box<Witnesses>>>,
    resolved: Notify,
}

impl Live {
    /// Asks for a place for a request; without limits there always is one. `at` is what the pool calls this backend.
    pub fn ask(&self, limits: Option<&Limits>, asker: Asker, at: BackendIndex) -> Entry {
        match limits {
            Some(limits) => self.gate.ask(limits, asker, at),
            None => Entry::Go(self.gate.enter(false)),
        }
    }

    /// Lets somebody new who waits for another backend wait for this one, too; or gives a place at once.
    pub(super) fn ask_besides(&self, limits: &Limits, waiting: &Waiting, at: BackendIndex) -> Option<Permit> {
        self.gate.ask_besides(limits, waiting, at)
    }

    /// A place for what another process has let in already, whatever the number.
    pub fn go_on(&self, limits: Option<&Limits>) -> Permit {
        self.gate.enter(limits.is_some())
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u32 {
        self.gate.in_flight()
    }

    /// Requests that wait for a place.
    pub fn waiting(&self) -> usize {
        self.gate.waiting()
    }

    /// New sessions lately: the load that the ring's bound looks at.
    pub fn assigned(&self) -> u32 {
        self.assigned.load(Ordering::Relaxed)
    }

    /// Counts a new session.
    pub fn note_assigned(&self) {
        self.assigned.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets the load fade: called once a second, it halves in about 45 seconds.
    pub fn decay(&self) {
        let fade = |assigned: u32| Some(assigned - assigned.div_ceil(64));
        let _ = self.assigned.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fade);
    }

    /// How often it is known to have lost its memory.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// It has lost its memory: tokens of an older epoch no longer hold if they were issued before `boundary_s`, in
    /// seconds since 1970. Sessions that began after the restart, but before anybody noticed, have tokens of the
    /// older epoch, too, and live.
    ///
    /// Both go to the process that takes over at an upgrade. Neither is kept over a restart of ours, nor told to replicas,
    /// and neither needs to be. A token of a higher
    /// epoch than ours holds. A forgotten epoch makes old tokens hold again: they lead to a backend that starts a
    /// new session for them, as it would have done without epochs.
    pub fn raise_epoch(&self, boundary_s: u32) {
        self.boundary_s.fetch_max(boundary_s, Ordering::Relaxed);
        let next = |epoch: u16| epoch.checked_add(1);
        let _ = self.epoch.fetch_update(Ordering::Release, Ordering::Relaxed, next);
    }

    /// Whether what was bound in that epoch, at that time in seconds since 1970, is known to be lost.
    pub fn has_lost(&self, epoch: Epoch, bound_s: u32) -> bool {
        epoch < self.epoch() && bound_s < self.boundary_s.load(Ordering::Relaxed)
    }

    /// It answered a session that is proven to live there, and did not replace its id.
    pub fn session_kept(&self, session: u64, now: Now) {
        // A sample: whoever would have to wait is not needed.
        if let Some(mut witnesses) = self.witnesses.try_lock() {
            witnesses.get_or_insert_default().kept(session, now);
        }
    }

    /// Its application ended a session.
    pub fn session_ended(&self, session: u64) {
        if let Some(witnesses) = &mut *self.witnesses.lock() {
            witnesses.ended(session);
        }
    }

    /// It replaced the id of a session that is proven to live there, and whose id was bound at `born_s`, in seconds
    /// since 1970, where that is known. Raises the epoch when that shows a restart.
    pub fn session_replaced(&self, session: u64, born_s: Option<u32>, now: Now) -> Replacement {
        let replacement = self.witnesses.lock().get_or_insert_default().replaced(session, born_s, now);
        if let Replacement::Restarted(restart) = replacement {
            self.raise_epoch(restart.boundary_s);
        }
        replacement
    }

    /// When it was told to drain, and for how long.
    pub fn drain(&self) -> &Drain {
        &self.drain
    }

    /// Whether its own health page says that it drains.
    pub fn asks_to_drain(&self) -> bool {
        self.asks_to_drain.load(Ordering::Relaxed)
    }

    /// Its health page says that it drains, or no longer; gives whether that is news.
    pub fn set_asks_to_drain(&self, asks: bool) -> bool {
        self.asks_to_drain.swap(asks, Ordering::Relaxed) != asks
    }

    /// What active checks of it met so far.
    pub fn checks(&self) -> &Checks {
        &self.checks
    }

    /// What health knows of it. An ejection that is over, with nobody to lift it, reads as suspect.
    pub fn health(&self, now: Now) -> Health {
        let word = self.word();
        match word.reach {
            Reach::Suspect => Health::Suspect,
            Reach::Lost if word.ejection_over(now) => Health::Suspect,
            Reach::Lost => Health::Down(Cause::Unreachable),
            Reach::Reached if word.page_fails => Health::Down(Cause::Unhealthy),
            Reach::Reached => Health::Up,
        }
    }

    /// Whether it was ejected, its time is over, and nobody has tried it since.
    pub fn ejection_is_over(&self, now: Now) -> bool {
        self.word().ejection_over(now)
    }

    /// When it last came up, in monotonic milliseconds, if it ever was down.
    pub fn up_since_ms(&self) -> Option<u64> {
        Some(self.up_since_ms.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    /// Whether it came up within the last minutes, so that a loss of sessions is no riddle.
    pub fn was_down_lately(&self, now: Now) -> bool {
        self.up_since_ms().is_some_and(|at| now.ms_since(at) < LATELY_MS)
    }

    /// A connection of a real request was refused, reset, or timed out.
    pub fn connection_failed(&self, now: Now, ejection: &Ejection) -> Failure {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let too_many = ejection.consecutive_failures > 0 && failures >= ejection.consecutive_failures;
        let mut result = Failure::Counted;
        self.change(|word| {
            // Half open, this was the trial that the ejection's end allows.
            let trial = word.ejection_over(now);
            result = match word.reach {
                Reach::Reached | Reach::Suspect if too_many => Failure::Ejected,
                Reach::Reached => Failure::FirstSuspicion,
                Reach::Lost if trial => Failure::FirstSuspicion,
                Reach::Suspect | Reach::Lost => Failure::Counted,
            };
            match result {
                Failure::Ejected => Some(word.ejected(now, ejection)),
                Failure::FirstSuspicion => Some(Word { reach: Reach::Suspect, until_ms: 0, ..word }),
                Failure::Counted => None,
            }
        });
        if result == Failure::Ejected {
            self.resolved.notify_waiters();
        }
        result
    }

    /// A response came: nothing is suspect any more.
    pub fn request_succeeded(&self, now: Now) {
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        let word = self.word();
        if word.reach == Reach::Suspect || word.ejection_over(now) {
            self.reached(now, |word| word.reach == Reach::Suspect || word.ejection_over(now));
        }
    }

    /// The probe of a suspect backend has decided. It speaks of connections alone: a failing page stays so.
    pub fn probe_result(&self, alive: bool, now: Now, ejection: &Ejection) {
        if alive {
            self.failures.store(0, Ordering::Relaxed);
            self.reached(now, |_| true);
            return;
        }
        self.change(|word| {
            let undecided = word.reach == Reach::Suspect || word.ejection_over(now);
            undecided.then(|| word.ejected(now, ejection))
        });
        self.resolved.notify_waiters();
    }

    /// An active check has risen or fallen. Tells whether that changed anything.
    ///
    /// A page that fails was at least answered, so it ends what a check that could not connect had said; an
    /// ejection by real requests it leaves alone.
    pub fn check_verdict(&self, verdict: CheckVerdict, now: Now) -> bool {
        let changed = match verdict {
            CheckVerdict::Up => {
                self.failures.store(0, Ordering::Relaxed);
                let page_failed =
                    self.change(|word| word.page_fails.then_some(Word { page_fails: false, ..word }));
                if page_failed.is_some_and(|word| word.reach == Reach::Reached) {
                    self.up_since_ms.store(now.monotonic_ms, Ordering::Relaxed);
                }
                self.reached(now, |_| true) || page_failed.is_some()
            }
            CheckVerdict::Unhealthy => self
                .change(|word| {
                    let reach = if word.lost_to_check() { Reach::Reached } else { word.reach };
                    let failing = Word { page_fails: true, reach, ..word };
                    (failing != word).then_some(failing)
                })
                .is_some(),
            // Lasts until the check rises: no ejection that runs out by itself.
            CheckVerdict::Unreachable => self
                .change(|word| {
                    let lost = Word { reach: Reach::Lost, until_ms: 0, ..word };
                    (lost != word).then_some(lost)
                })
                .is_some(),
        };
        self.resolved.notify_waiters();
        changed
    }

    /// Waits until its health changes for better or worse.
    pub async fn changed(&self) {
        self.resolved.notified().await;
    }

    /// Waits until nobody is suspected any more. Cheap to drop at a deadline.
    pub async fn suspicion_resolved(&self) {
        loop {
            let resolved = self.resolved.notified();
            if self.word().reach != Reach::Suspect {
                return;
            }
            resolved.await;
        }
    }

    /// Connections succeed again. Tells whether they did not before.
    fn reached(&self, now: Now, from: impl Fn(Word) -> bool) -> bool {
        let back = |word: Word| {
            (word.reach != Reach::Reached && from(word)).then_some(Word {
                reach: Reach::Reached,
                until_ms: 0,
                ..word
            })
        };
        let Some(before) = self.change(back) else { return false };
        // A blip is no start: only who was really gone starts slowly.
        if before.reach == Reach::Lost {
            self.up_since_ms.store(now.monotonic_ms, Ordering::Relaxed);
        }
        self.resolved.notify_waiters();
        true
    }

    /// Connection failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Sets everything at once, for a backend that nobody uses yet.
    pub(super) fn set(
        &self,
        word: Word,
        up_since_ms: u64,
        failures: u32,
        assigned: u32,
        (epoch, boundary_s): (u16, u32),
    ) {
        self.health.store(word.to_bits(), Ordering::Release);
        self.up_since_ms.store(up_since_ms, Ordering::Relaxed);
        self.failures.store(failures, Ordering::Relaxed);
        self.assigned.store(assigned, Ordering::Relaxed);
        self.boundary_s.store(boundary_s, Ordering::Relaxed);
        self.epoch.store(epoch, Ordering::Relaxed);
    }

    pub(super) fn boundary_s(&self) -> u32 {
        self.boundary_s.load(Ordering::Relaxed)
    }

    /// A backend like that one, but for what health knows of it; nobody else sees it.
    pub(super) fn supposed(like: &Self, word: Word) -> Self {
        let Self { up_since_ms, gate, assigned, epoch, boundary_s, .. } = like;
        let copy = |number: &AtomicU64| AtomicU64::new(number.load(Ordering::Relaxed));
        Self {
            health: AtomicU64::new(word.to_bits()),
            up_since_ms: copy(up_since_ms),
            gate: Arc::clone(gate),
            assigned: AtomicU32::new(assigned.load(Ordering::Relaxed)),
            epoch: AtomicU16::new(epoch.load(Ordering::Relaxed)),
            boundary_s: AtomicU32::new(boundary_s.load(Ordering::Relaxed)),
            ..Self::default()
        }
    }

    pub(super) fn word(&self) -> Word {
        Word::from_bits(self.health.load(Ordering::Acquire))
    }

    /// Changes the word in one step; gives what it was, if it was changed.
    fn change(&self, mut step: impl FnMut(Word) -> Option<Word>) -> Option<Word> {
        let step = |bits| step(Word::from_bits(bits)).map(Word::to_bits);
        self.health.fetch_update(Ordering::AcqRel, Ordering::Acquire, step).ok().map(Word::from_bits)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Now = Now { monotonic_ms: 10_000, unix_s: 0 };
    const EJECTION: Ejection = Ejection { consecutive_failures: 3, eject: Duration::from_secs(10) };

    fn later(ms: u64) -> Now {
        NOW.after(Duration::from_millis(ms))
    }

    #[test]
    fn the_first_failure_asks_for_one_probe_and_many_eject() {
        let live = Live::default();
        assert_eq!(live.connection_failed(NOW, &EJECTION), Failure::FirstSuspicion);
        assert_eq!(live.health(NOW), Health::Suspect);
        assert_eq!(live.connection_failed(NOW, &EJECTION), Failure::Counted);
        assert_eq!(live.connection_failed(NOW, &EJECTION), Failure::Ejected);
        assert_eq!(live.health(NOW), Health::Down(Cause::Unreachable));
        assert_eq!(live.connection_failed(NOW, &EJECTION), Failure::Counted);
    }

    #[test]
    fn a_blip_changes_nothing() {
        let live = Live::default();
        live.connection_failed(NOW, &EJECTION);
        live.probe_result(true, NOW, &EJECTION);
        assert_eq!(live.health(NOW), Health::Up);
        assert_eq!(live.up_since_ms(), None, "no slow start after a blip");
        live.connection_failed(NOW, &EJECTION);
        live.request_succeeded(NOW);
        assert_eq!(live.health(NOW), Health::Up);
        assert_eq!(
            live.connection_failed(NOW, &EJECTION),
            Failure::FirstSuspicion,
            "failures were not in a row"
        );
    }

    #[test]
    fn an_ejected_backend_is_tried_again_once_its_time_is_over() {
        let live = Live::default();
        live.connection_failed(NOW, &EJECTION);
        live.probe_result(false, NOW, &EJECTION);
        assert_eq!(live.health(later(9_999)), Health::Down(Cause::Unreachable));
        assert_eq!(live.health(later(10_000)), Health::Suspect);
        assert_eq!(live.connection_failed(later(10_000), &EJECTION), Failure::FirstSuspicion);
        assert_eq!(live.connection_failed(later(10_000), &EJECTION), Failure::Ejected);
    }

    #[test]
    fn a_success_after_the_ejection_brings_it_back() {
        let live = Live::default();
        live.connection_failed(NOW, &EJECTION);
        live.probe_result(false, NOW, &EJECTION);
        live.probe_result(true, later(10_000), &EJECTION);
        assert_eq!(live.health(later(10_000)), Health::Up);
        assert_eq!(live.up_since_ms(), Some(20_000));
    }

    #[test]
    fn an_active_check_decides_until_it_decides_otherwise() {
        let live = Live::default();
        assert!(live.check_verdict(CheckVerdict::Unhealthy, NOW));
        assert!(!live.check_verdict(CheckVerdict::Unhealthy, NOW));
        assert_eq!(live.health(later(1_000_000)), Health::Down(Cause::Unhealthy));
        assert!(live.check_verdict(CheckVerdict::Unreachable, NOW));
        assert_eq!(live.health(later(1_000_000)), Health::Down(Cause::Unreachable));
        assert!(live.check_verdict(CheckVerdict::Unhealthy, NOW), "it answers again");
        assert_eq!(live.health(NOW), Health::Down(Cause::Unhealthy));
        assert!(live.check_verdict(CheckVerdict::Up, NOW));
        assert_eq!(live.health(NOW), Health::Up);
        assert_eq!(live.up_since_ms(), Some(10_000));
    }

    #[test]
    fn a_failing_page_neither_lifts_an_ejection_nor_is_lifted_by_a_probe() {
        let live = Live::default();
        live.connection_failed(NOW, &EJECTION);
        live.probe_result(false, NOW, &EJECTION);
        assert!(live.check_verdict(CheckVerdict::Unhealthy, NOW));
        assert_eq!(live.health(NOW), Health::Down(Cause::Unreachable), "still ejected");
        assert_eq!(live.health(later(10_000)), Health::Suspect, "its time is over");
        live.probe_result(true, later(10_000), &EJECTION);
        assert_eq!(live.health(later(10_000)), Health::Down(Cause::Unhealthy), "the page still fails");
        assert!(live.check_verdict(CheckVerdict::Up, later(11_000)));
        assert_eq!(live.health(later(11_000)), Health::Up);
    }

    #[test]
    fn a_blip_while_the_page_fails_is_probed_like_any_other() {
        let live = Live::default();
        live.check_verdict(CheckVerdict::Unhealthy, NOW);
        assert_eq!(live.connection_failed(NOW, &EJECTION), Failure::FirstSuspicion);
        assert_eq!(live.health(NOW), Health::Suspect);
        live.probe_result(true, NOW, &EJECTION);
        assert_eq!(live.health(NOW), Health::Down(Cause::Unhealthy));
    }

    #[test]
    fn a_response_after_the_ejection_brings_it_back() {
        let live = Live::default();
        live.connection_failed(NOW, &EJECTION);
        live.probe_result(false, NOW, &EJECTION);
        live.request_succeeded(later(9_000));
        assert_eq!(
            live.health(later(9_000)),
            Health::Down(Cause::Unreachable),
            "one that was still under way"
        );
        live.request_succeeded(later(10_000));
        assert_eq!(live.health(later(10_000)), Health::Up);
    }

    #[test]
    fn the_load_fades() {
        let live = Live::default();
        (0..1000).for_each(|_| live.note_assigned());
        (0..45).for_each(|_| live.decay());
        assert!((400..600).contains(&live.assigned()), "{}", live.assigned());
        (0..1000).for_each(|_| live.decay());
        assert_eq!(live.assigned(), 0);
    }
}
