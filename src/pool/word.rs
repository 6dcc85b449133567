//! Everything that health knows of one backend, in one atomic word, so that it changes in one step.
//!
//! Two things are kept apart: whether connections succeed, and whether the health page does. Each has its own
//! witnesses, and neither may overwrite what the other has said.

use super::spec::Ejection;
use crate::clock::{Now, millis};

/// Whether connections to a backend succeed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    /// As far as anybody knows, they do.
    Reached,
    /// One failed; a probe is deciding.
    Suspect,
    /// They are refused, reset, or time out.
    Lost,
}

/// What health knows: reach in the low 2 bits, then 1 bit for the page, then the ejection's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Word {
    pub(super) reach: Reach,
    pub(super) page_fails: bool,
    /// The monotonic millisecond until which real requests have ejected it; 0: they have not.
    pub(super) until_ms: u64,
}

impl Word {
    pub(super) fn from_bits(bits: u64) -> Self {
        let reach = match bits & 3 {
            0 => Reach::Reached,
            1 => Reach::Suspect,
            _ => Reach::Lost,
        };
        Self { reach, page_fails: bits & 4 != 0, until_ms: bits >> 3 }
    }

    pub(super) fn to_bits(self) -> u64 {
        let reach = match self.reach {
            Reach::Reached => 0,
            Reach::Suspect => 1,
            Reach::Lost => 2,
        };
        self.until_ms << 3 | u64::from(self.page_fails) << 2 | reach
    }

    /// The same backend, out for a while.
    pub(super) fn ejected(self, now: Now, ejection: &Ejection) -> Self {
        let until_ms = now.monotonic_ms.saturating_add(millis(ejection.eject)).max(1);
        Self { reach: Reach::Lost, until_ms, ..self }
    }

    /// Whether it was ejected, its time is over, and nobody has tried it since.
    pub(super) fn ejection_over(self, now: Now) -> bool {
        self.reach == Reach::Lost && self.until_ms != 0 && self.until_ms <= now.monotonic_ms
    }

    /// Whether it is an active check that could not connect.
    pub(super) fn lost_to_check(self) -> bool {
        self.reach == Reach::Lost && self.until_ms == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_survives_its_bits() {
        for reach in [Reach::Reached, Reach::Suspect, Reach::Lost] {
            for page_fails in [false, true] {
                for until_ms in [0, 1, 1 << 60] {
                    let word = Word { reach, page_fails, until_ms };
                    assert_eq!(Word::from_bits(word.to_bits()), word);
                }
            }
        }
    }
}
