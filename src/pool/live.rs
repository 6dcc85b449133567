//! The live state of one backend: counts and health that outlive a reload. Atomics, no locks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

use tokio::sync::Notify;

use super::spec::Ejection;
use super::state::{Cause, CheckVerdict, Failure, Health};
use crate::clock::{Now, millis};
use crate::names::Epoch;

/// The live state of one backend.
#[derive(Debug, Default)]
pub struct Live {
    /// [`Health`] in the low 2 bits; above them the millisecond until which an ejection lasts (0: none).
    health: AtomicU64,
    /// When it last came up, in monotonic milliseconds; 0: it never was down.
    up_since_ms: AtomicU64,
    failures: AtomicU32,
    in_flight: AtomicU32,
    /// New sessions lately, decayed.
    assigned: AtomicU32,
    epoch: AtomicU16,
    resolved: Notify,
}

/// One request in flight; counted out when dropped.
#[derive(Debug)]
pub struct Permit(Arc<Live>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Live {
    /// Counts a request in.
    pub fn admit(self: &Arc<Self>) -> Permit {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Permit(Arc::clone(self))
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
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
        Epoch(self.epoch.load(Ordering::Relaxed))
    }

    /// It has lost its memory: tokens issued before no longer hold.
    pub fn raise_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }

    /// What health knows of it. An ejection that is over, with nobody to lift it, reads as suspect.
    pub fn health(&self, now: Now) -> Health {
        let word = self.health.load(Ordering::Acquire);
        match Health::from_bits(word) {
            Health::Down(Cause::Unreachable) if ejection_over(word, now) => Health::Suspect,
            health => health,
        }
    }

    /// Whether it was ejected, its time is over, and nobody has tried it since.
    pub fn ejection_is_over(&self, now: Now) -> bool {
        let word = self.health.load(Ordering::Acquire);
        Health::from_bits(word) == Health::Down(Cause::Unreachable) && ejection_over(word, now)
    }

    /// When it last came up, in monotonic milliseconds, if it ever was down.
    pub fn up_since_ms(&self) -> Option<u64> {
        Some(self.up_since_ms.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    /// A connection of a real request was refused, reset, or timed out.
    pub fn connection_failed(&self, now: Now, ejection: &Ejection) -> Failure {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let too_many = ejection.consecutive_failures > 0 && failures >= ejection.consecutive_failures;
        let out = word(Health::Down(Cause::Unreachable), until(now, ejection));
        let mut result = Failure::Counted;
        let step = |old: u64| {
            let health = match Health::from_bits(old) {
                Health::Down(Cause::Unreachable) if ejection_over(old, now) => {
                    // Half open: this was the trial.
                    result = Failure::FirstSuspicion;
                    return Some(word(Health::Suspect, 0));
                }
                health => health,
            };
            match health {
                Health::Up | Health::Suspect if too_many => {
                    result = Failure::Ejected;
                    Some(out)
                }
                Health::Up => {
                    result = Failure::FirstSuspicion;
                    Some(word(Health::Suspect, 0))
                }
                // Sessions are tried at home while the page fails; now there is proof.
                Health::Down(Cause::Unhealthy) => {
                    result = Failure::Ejected;
                    Some(word(Health::Down(Cause::Unreachable), 0))
                }
                Health::Suspect | Health::Down(Cause::Unreachable) => {
                    result = Failure::Counted;
                    None
                }
            }
        };
        let _ = self.health.fetch_update(Ordering::AcqRel, Ordering::Acquire, step);
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
        if self.health(now) == Health::Suspect {
            self.become_up(now, |health| health == Health::Suspect);
        }
    }

    /// The probe of a suspect backend has decided.
    pub fn probe_result(&self, alive: bool, now: Now, ejection: &Ejection) {
        if alive {
            self.failures.store(0, Ordering::Relaxed);
            self.become_up(now, |health| {
                matches!(health, Health::Suspect | Health::Down(Cause::Unreachable))
            });
            return;
        }
        let out = word(Health::Down(Cause::Unreachable), until(now, ejection));
        let step = |old: u64| {
            let undecided = Health::from_bits(old) == Health::Suspect
                || Health::from_bits(old) == Health::Down(Cause::Unreachable) && ejection_over(old, now);
            undecided.then_some(out)
        };
        let _ = self.health.fetch_update(Ordering::AcqRel, Ordering::Acquire, step);
        self.resolved.notify_waiters();
    }

    /// An active check has risen or fallen. Tells whether that changed anything.
    pub fn check_verdict(&self, verdict: CheckVerdict, now: Now) -> bool {
        let down = |cause| {
            // Lasts until the check rises: no ejection that runs out by itself.
            let target = word(Health::Down(cause), 0);
            let step = |old: u64| (Health::from_bits(old) != Health::Down(cause)).then_some(target);
            let changed = self.health.fetch_update(Ordering::AcqRel, Ordering::Acquire, step).is_ok();
            self.resolved.notify_waiters();
            changed
        };
        match verdict {
            CheckVerdict::Up => {
                self.failures.store(0, Ordering::Relaxed);
                self.become_up(now, |health| health != Health::Up)
            }
            CheckVerdict::Unhealthy => down(Cause::Unhealthy),
            CheckVerdict::Unreachable => down(Cause::Unreachable),
        }
    }

    /// Waits until nobody is suspected any more. Cheap to drop at a deadline.
    pub async fn suspicion_resolved(&self) {
        loop {
            let resolved = self.resolved.notified();
            if Health::from_bits(self.health.load(Ordering::Acquire)) != Health::Suspect {
                return;
            }
            resolved.await;
        }
    }

    fn become_up(&self, now: Now, from: impl Fn(Health) -> bool) -> bool {
        let step = |old: u64| from(Health::from_bits(old)).then_some(word(Health::Up, 0));
        match self.health.fetch_update(Ordering::AcqRel, Ordering::Acquire, step) {
            Ok(old) => {
                // A blip is no start: only who was really down starts slowly.
                if Health::from_bits(old) != Health::Suspect {
                    self.up_since_ms.store(now.monotonic_ms, Ordering::Relaxed);
                }
                self.resolved.notify_waiters();
                true
            }
            Err(_) => false,
        }
    }
}

fn word(health: Health, until_ms: u64) -> u64 {
    until_ms << 2 | health.to_bits()
}

fn until(now: Now, ejection: &Ejection) -> u64 {
    now.monotonic_ms.saturating_add(millis(ejection.eject)).max(1)
}

fn ejection_over(word: u64, now: Now) -> bool {
    let until_ms = word >> 2;
    until_ms != 0 && until_ms <= now.monotonic_ms
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
        assert_eq!(live.connection_failed(NOW, &EJECTION), Failure::Ejected, "now there is proof");
        assert_eq!(live.health(later(1_000_000)), Health::Down(Cause::Unreachable));
        assert!(live.check_verdict(CheckVerdict::Up, NOW));
        assert_eq!(live.health(NOW), Health::Up);
    }

    #[test]
    fn permits_are_counted_out_when_dropped() {
        let live = Arc::new(Live::default());
        let permits: Vec<_> = (0..3).map(|_| live.admit()).collect();
        assert_eq!(live.in_flight(), 3);
        drop(permits);
        assert_eq!(live.in_flight(), 0);
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
