//! What a resolver says to one question.

use std::net::IpAddr;
use std::time::Duration;

/// What a resolver says to one question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Said<T> {
    /// These records.
    Records {
        /// At least one.
        records: Vec<T>,
        /// The shortest time to live among them.
        ttl: Duration,
    },
    /// That there is no such name, or no such record, in these words.
    Nothing(String),
    /// Nothing of use: it was silent, broken or refused, in these words.
    Failed(String),
}

/// What it says to the questions for A and AAAA records of one name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SaidOfHost {
    pub(super) v4: Said<IpAddr>,
    pub(super) v6: Said<IpAddr>,
}

/// An SRV record (RFC 2782).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Service {
    /// The lowest is to be used as long as it can be reached.
    pub(super) priority: u16,
    /// Share among those of one priority; 0: a very small one.
    pub(super) weight: u16,
    pub(super) port: u16,
    /// The host, in lower case, without the trailing dot.
    pub(super) target: String,
}
