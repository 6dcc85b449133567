//! What a pool's source is made from.

use super::dns::{self, DnsSpec};
use super::file::{FileSource, FileSpec};
use super::source::Source;

/// What a pool's source is made from. Two that are equal find the same, so that a reload need not begin anew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Spec {
    /// A name in DNS.
    Dns(DnsSpec),
    /// A file.
    File(FileSpec),
}

impl Spec {
    /// A source that has not looked yet.
    pub fn source(&self) -> Box<dyn Source> {
        match self {
            Self::Dns(spec) => dns::source(spec.clone()),
            Self::File(spec) => Box::new(FileSource::new(spec.clone())),
        }
    }
}

/// What an answer without any backend means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnEmpty {
    /// A failure: the last good answer stays in force.
    Keep,
    /// That there are none, once it was seen three times in a row.
    Remove,
}

/// Empty answers in a row that are believed where they are to be believed at all.
pub(super) const EMPTY_LOOKS: u32 = 3;

/// Counts empty answers in a row.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Emptiness {
    looks: u32,
}

impl Emptiness {
    /// After one more empty answer: whether it is to be believed.
    pub(super) fn seen(&mut self, on_empty: OnEmpty) -> bool {
        self.looks = self.looks.saturating_add(1);
        match on_empty {
            OnEmpty::Keep => false,
            OnEmpty::Remove => self.looks >= EMPTY_LOOKS,
        }
    }

    /// After anything but an empty answer. A failure counts, too: it is no evidence that nothing is there.
    pub(super) fn over(&mut self) {
        self.looks = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emptiness_is_believed_when_it_lasts_and_only_where_it_may() {
        let (mut keep, mut remove) = (Emptiness::default(), Emptiness::default());
        assert!((0..100).all(|_| !keep.seen(OnEmpty::Keep)));
        assert!(!remove.seen(OnEmpty::Remove) && !remove.seen(OnEmpty::Remove));
        remove.over();
        assert!(!remove.seen(OnEmpty::Remove) && !remove.seen(OnEmpty::Remove));
        assert!(remove.seen(OnEmpty::Remove), "the third in a row");
    }
}
