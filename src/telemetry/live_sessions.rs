//! How many sessions live that only their tokens know: an estimate that follows them as they end. Constant memory.
//!
//! HyperLogLog (Flajolet, Fusy, Gandouet and Meunier, 2007) counts distinct seeds; it cannot forget one. So there is
//! one sketch for each quarter of the idle time, and the last ones count together: a session that was not heard of
//! for an idle time, or up to a quarter more, is counted no more.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use hyperloglockless::AtomicHyperLogLog;
use serde::{Deserialize, Serialize};

use crate::clock::{Now, millis};

/// Sketches for one idle time.
const QUARTERS: usize = 4;
/// The current quarter and those of one whole idle time before it.
const SKETCHES: usize = QUARTERS + 1;
/// 1024 registers of a byte: a standard error of 3.3 %.
const PRECISION: u8 = 10;
/// Up to twice as many sessions as registers are few.
const FEW: usize = 2;

/// Estimates how many sessions were heard of within the idle time; 5 KiB.
#[derive(Debug)]
pub(super) struct LiveSessions {
    sketches: [ArcSwap<Sketch>; SKETCHES],
    quarter_ms: u64,
}

#[derive(Debug)]
struct Sketch {
    /// The number of its quarter since the clock began.
    quarter: u64,
    seeds: AtomicHyperLogLog,
}

impl Sketch {
    fn new(quarter: u64) -> Arc<Self> {
        // Seeds are random already and are never hashed, so the hasher's own seed does not matter.
        Arc::new(Self { quarter, seeds: AtomicHyperLogLog::seeded(PRECISION, 0) })
    }

    /// The sketch that has these registers.
    fn of(quarter: u64, registers: &[u8]) -> Arc<Self> {
        let sketch = Self::new(quarter);
        for (place, register) in (0..1_u64 << PRECISION).zip(registers) {
            if let Some(zeros) = register.checked_sub(1).filter(|zeros| *zeros < 64 - PRECISION) {
                // A seed that the register would have this value of: its place on top, and so many zeros at the end.
                sketch.seeds.insert_hash(place << (64 - PRECISION) | 1 << zeros);
            }
        }
        sketch
    }

    /// Few are counted by the registers that are still empty ("linear counting", the paper's section 4): whoever drains
    /// a backend wants to know the last one from none, for which the crate's own estimate is too rough.
    fn count(&self) -> u64 {
        let (registers, _, empty, _) = self.seeds.parts();
        let few = FEW * registers.len();
        // Registers and sessions are far fewer than 2^52, and estimates never negative.
        #[expect(clippy::cast_precision_loss, reason = "at most 1024")]
        let (all, empty) = (registers.len() as f64, empty as f64);
        let linear = all * (all / empty.max(1.0)).ln();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and small")]
        let linear = linear.round() as usize;
        let count = if linear <= few { linear } else { self.seeds.count() };
        u64::try_from(count).unwrap_or(u64::MAX)
    }
}

impl LiveSessions {
    pub(super) fn new(idle: Duration) -> Self {
        Self {
            sketches: std::array::from_fn(|_| ArcSwap::new(Sketch::new(0))),
            quarter_ms: (millis(idle) / QUARTERS as u64).max(1),
        }
    }

    /// A session was heard of. `seed` is random, and no client can choose it.
    pub(super) fn heard(&self, seed: u64, now: Now) {
        let quarter = self.quarter(now);
        let place = usize::try_from(quarter % SKETCHES as u64).unwrap_or(0);
        let Some(slot) = self.sketches.get(place) else { return };
        let sketch = slot.load();
        if sketch.quarter == quarter {
            sketch.seeds.insert_hash(seed);
            return;
        }
        // Once in a quarter. Whoever is late by one finds the newer sketch, which serves as well.
        let fresh = Sketch::new(quarter);
        fresh.seeds.insert_hash(seed);
        let before = slot.compare_and_swap(&sketch, fresh);
        if !Arc::ptr_eq(&before, &sketch) {
            slot.load().seeds.insert_hash(seed);
        }
    }

    /// How many were heard of within the idle time, about.
    pub(super) fn estimate(&self, now: Now) -> u64 {
        let quarter = self.quarter(now);
        let together = Sketch::new(quarter);
        for sketch in &self.sketches {
            let sketch = sketch.load();
            if sketch.quarter + QUARTERS as u64 >= quarter {
                // Both have the same length, so that it cannot fail.
                let _ = together.seeds.union(&sketch.seeds);
            }
        }
        together.count()
    }

    /// What another process needs to go on.
    pub(super) fn carried(&self, now: Now) -> CarriedSketches {
        let quarter = self.quarter(now);
        let sketch = |slot: &ArcSwap<Sketch>| {
            let sketch = slot.load();
            let age = quarter.saturating_sub(sketch.quarter);
            let registers: Vec<u8> = sketch.seeds.iter().collect();
            let counts = age <= QUARTERS as u64 && registers.iter().any(|register| *register > 0);
            counts.then(|| (age, BASE64_STANDARD_NO_PAD.encode(registers)))
        };
        CarriedSketches {
            quarter_ms: self.quarter_ms,
            by_age: self.sketches.iter().filter_map(sketch).collect(),
        }
    }

    /// Goes on where another process was, if it had the same idle time. For sketches that nobody uses yet.
    pub(super) fn resume(&self, carried: &CarriedSketches, now: Now) {
        if carried.quarter_ms != self.quarter_ms {
            return;
        }
        for (age, registers) in &carried.by_age {
            // A clock that has not run for so long began later than the sketch.
            let Some(quarter) = self.quarter(now).checked_sub(*age) else { continue };
            let place = usize::try_from(quarter % SKETCHES as u64).unwrap_or(0);
            if let (Some(slot), Ok(registers)) =
                (self.sketches.get(place), BASE64_STANDARD_NO_PAD.decode(registers))
            {
                slot.store(Sketch::of(quarter, &registers));
            }
        }
    }

    fn quarter(&self, now: Now) -> u64 {
        now.monotonic_ms / self.quarter_ms
    }
}

/// Sketches on their way to another process.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct CarriedSketches {
    quarter_ms: u64,
    /// How many quarters ago each was current, and its registers in base64.
    by_age: Vec<(u64, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { monotonic_ms: 5_000, unix_s: 0 };
    const IDLE: Duration = Duration::from_secs(1800);

    fn seed(n: u64) -> u64 {
        siphasher::sip::SipHasher24::new_with_key(&[7; 16]).hash(&n.to_le_bytes())
    }

    fn about(estimate: u64, truth: u64) -> bool {
        // Three standard errors; the seeds are the same in each run.
        estimate.abs_diff(truth) * 10 <= truth
    }

    #[test]
    fn the_estimate_is_near_the_truth_whatever_its_size() {
        for truth in [1, 2, 10, 100, 1000, 10_000, 200_000] {
            let live = LiveSessions::new(IDLE);
            for _ in 0..3 {
                (0..truth).for_each(|n| live.heard(seed(n), NOW));
            }
            let estimate = live.estimate(NOW);
            assert!(about(estimate, truth), "{estimate} of {truth}");
        }
        let live = LiveSessions::new(IDLE);
        for truth in 1..=5 {
            live.heard(seed(truth), NOW);
            assert_eq!(live.estimate(NOW), truth, "the last few are counted exactly, almost always");
        }
        assert_eq!(LiveSessions::new(IDLE).estimate(NOW), 0);
    }

    #[test]
    fn sessions_that_end_are_counted_no_more_after_the_idle_time() {
        let live = LiveSessions::new(IDLE);
        let minute = Duration::from_secs(60);
        let mut now = NOW;
        for minutes in 0..240_u32 {
            // A thousand all the time, and another thousand in the first hour alone.
            let count = if minutes < 60 { 2000 } else { 1000 };
            (0..count).for_each(|n| live.heard(seed(n), now));
            let (estimate, expected) = (live.estimate(now), if minutes < 60 { 2000 } else { 1000 });
            let fading = (60..=98).contains(&minutes);
            assert!(fading || about(estimate, expected), "{estimate} after {minutes} minutes");
            now = now.after(minute);
        }
        assert_eq!(live.estimate(now.after(2 * IDLE)), 0, "nobody is left");
    }

    #[test]
    fn another_process_counts_on() {
        let idle = Duration::from_secs(400);
        let (old, new) = (LiveSessions::new(idle), LiveSessions::new(idle));
        let seed = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (n << 7);
        let then = Now { monotonic_ms: 5_000_000, unix_s: 0 };
        (0..300).for_each(|n| old.heard(seed(n), then));
        let later = then.after(Duration::from_secs(100));
        (300..700).for_each(|n| old.heard(seed(n), later));
        let here = Now { monotonic_ms: 9_000_000, unix_s: 0 };
        new.resume(&old.carried(later), here);
        assert_eq!(new.estimate(here), old.estimate(later));
        let on = |now: Now| now.after(Duration::from_secs(400));
        assert_eq!(new.estimate(on(here)), old.estimate(on(later)), "they end at the same time");
        let other = LiveSessions::new(Duration::from_secs(800));
        other.resume(&old.carried(later), here);
        assert_eq!(other.estimate(here), 0, "quarters of another length");
    }
}
