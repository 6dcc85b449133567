//! The live state of one backend as it goes to another process: durations instead of this process's clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::forecast::Curve;
use super::live::Live;
use super::word::{Reach, Word};
use crate::clock::{Now, millis};

/// The live state of one backend, outside of its process.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CarriedLive {
    /// Connections fail; what a probe was about to find out counts as not known.
    lost: bool,
    page_fails: bool,
    /// Milliseconds for which real requests have ejected it still; 0: they have not.
    ejected_ms: u64,
    /// Milliseconds since it last came up, if it ever was down.
    up_ms: Option<u64>,
    /// Milliseconds that it has drained, if it drains.
    drained_ms: Option<u64>,
    /// How its sessions have ended since.
    drain_curve: Curve,
    /// Its health page says that it drains.
    asks_to_drain: bool,
    failures: u32,
    assigned: u32,
    epoch: u16,
    /// Seconds since 1970.
    boundary_s: u32,
}

impl Live {
    /// What another process needs to go on.
    pub fn carried(&self, now: Now) -> CarriedLive {
        let word = self.word();
        CarriedLive {
            lost: word.reach == Reach::Lost,
            page_fails: word.page_fails,
            ejected_ms: if word.until_ms == 0 {
                0
            } else {
                word.until_ms.saturating_sub(now.monotonic_ms).max(1)
            },
            up_ms: self.up_since_ms().map(|since| now.ms_since(since)),
            drained_ms: self.drain().age(now).map(millis),
            drain_curve: self.drain().curve(),
            asks_to_drain: self.asks_to_drain(),
            failures: self.failures(),
            assigned: self.assigned(),
            epoch: self.epoch().0,
            boundary_s: self.boundary_s(),
        }
    }

    /// Goes on where another process was. For a backend that nobody uses yet.
    pub fn resume(&self, carried: &CarriedLive, now: Now) {
        let ago = |ms: u64| now.monotonic_ms.saturating_sub(ms).max(1);
        let word = Word {
            reach: if carried.lost { Reach::Lost } else { Reach::Reached },
            page_fails: carried.page_fails,
            until_ms: if carried.ejected_ms == 0 { 0 } else { now.monotonic_ms + carried.ejected_ms },
        };
        self.set(
            word,
            carried.up_ms.map_or(0, ago),
            carried.failures,
            carried.assigned,
            (carried.epoch, carried.boundary_s),
        );
        self.set_asks_to_drain(carried.asks_to_drain);
        if let Some(ms) = carried.drained_ms {
            self.drain().resume(Duration::from_millis(ms), carried.drain_curve.clone(), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::{Cause, CheckVerdict, Ejection, Health};

    #[test]
    fn another_process_goes_on_by_its_own_clock() {
        const OLD: Now = Now { monotonic_ms: 500_000, unix_s: 0 };
        const NEW: Now = Now { monotonic_ms: 1_000_000, unix_s: 0 };
        let ejection = Ejection { consecutive_failures: 1, eject: Duration::from_secs(10) };
        let old = Live::default();
        old.check_verdict(CheckVerdict::Unhealthy, OLD);
        old.connection_failed(OLD, &ejection);
        old.note_assigned();
        old.raise_epoch(1_700);
        old.drain().begin(Duration::from_secs(60), OLD);
        let later = OLD.after(Duration::from_secs(4));
        let carried = serde_json::to_string(&old.carried(later)).unwrap();
        let new = Live::default();
        new.resume(&serde_json::from_str(&carried).unwrap(), NEW);
        assert_eq!(new.health(NEW.after(Duration::from_secs(5))), Health::Down(Cause::Unreachable));
        assert_eq!(new.health(NEW.after(Duration::from_secs(6))), Health::Suspect, "the ejection is over");
        assert_eq!((new.assigned(), new.epoch()), (1, old.epoch()));
        assert!(new.has_lost(crate::names::Epoch(0), 1_699), "bound before the restart");
        assert!(
            !new.has_lost(crate::names::Epoch(0), 1_700),
            "bound after the restart, before anybody noticed"
        );
        new.drain().begin(Duration::from_secs(60), NEW);
        assert_eq!(new.drain().age(NEW), Some(Duration::from_secs(4)), "the drain goes on");
        assert!(new.carried(NEW).page_fails);
    }
}
