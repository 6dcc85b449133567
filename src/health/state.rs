//! Rise and fall of an active check, pure.

use crate::pool::CheckVerdict;

/// What one check met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Observation {
    /// It passed.
    Pass,
    /// Somebody is there, but did not answer as expected, or in time.
    PageFailed,
    /// The connection was refused, reset, or timed out.
    Unreachable,
    /// We could not even try (no descriptors, ports or memory left): says nothing about the backend.
    Untried,
}

/// Counts passes and failures in a row.
#[derive(Clone, Debug)]
pub struct RiseFall {
    rise: u32,
    fall: u32,
    passes: u32,
    failures: u32,
}

impl RiseFall {
    /// Starts with nothing seen. A backend counts as up until its check falls: a new balancer must not refuse
    /// everybody until it has looked at everyone.
    pub fn new(rise: u32, fall: u32) -> Self {
        Self { rise, fall, passes: 0, failures: 0 }
    }

    /// Takes one observation. The verdict is given again with each further observation, because real requests
    /// may have changed the backend's state in between.
    pub fn observe(&mut self, observation: Observation) -> Option<CheckVerdict> {
        match observation {
            Observation::Untried => None,
            Observation::Pass => {
                self.failures = 0;
                self.passes = self.passes.saturating_add(1);
                (self.passes >= self.rise).then_some(CheckVerdict::Up)
            }
            Observation::Unreachable => self.failed(CheckVerdict::Unreachable),
            Observation::PageFailed => self.failed(CheckVerdict::Unhealthy),
        }
    }

    fn failed(&mut self, verdict: CheckVerdict) -> Option<CheckVerdict> {
        self.passes = 0;
        self.failures = self.failures.saturating_add(1);
        (self.failures >= self.fall).then_some(verdict)
    }

    /// Whether the last verdict was up.
    pub fn stands_up(&self) -> bool {
        self.passes >= self.rise
    }

    /// Real requests found the backend unreachable: the passes before that moment say nothing any more.
    pub fn forget_passes(&mut self) {
        self.passes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_rises_and_falls_by_several_in_a_row() {
        let mut check = RiseFall::new(2, 3);
        let mut run = |observations: &[Observation]| {
            observations.iter().map(|observation| check.observe(*observation)).collect::<Vec<_>>()
        };
        let (pass, page, gone) = (Observation::Pass, Observation::PageFailed, Observation::Unreachable);
        assert_eq!(run(&[pass, pass]), [None, Some(CheckVerdict::Up)]);
        assert_eq!(run(&[page, page, pass, page, page]), [None; 5]);
        assert_eq!(run(&[Observation::Untried; 5]), [None; 5]);
        assert_eq!(run(&[gone, page]), [Some(CheckVerdict::Unreachable), Some(CheckVerdict::Unhealthy)]);
        assert_eq!(run(&[pass, page, pass, pass]), [None, None, None, Some(CheckVerdict::Up)]);
    }

    #[test]
    fn passes_before_a_failed_connection_do_not_count() {
        let mut check = RiseFall::new(2, 3);
        check.observe(Observation::Pass);
        check.observe(Observation::Pass);
        check.forget_passes();
        assert_eq!(check.observe(Observation::Pass), None);
        assert_eq!(check.observe(Observation::Pass), Some(CheckVerdict::Up));
    }
}
