//! What a source finds, and what keeps it from finding.

use std::collections::HashSet;
#[cfg(feature = "dns")]
use std::net::IpAddr;
use std::net::SocketAddr;

use crate::names::BackendId;

/// The most backends that one source may name: far above any real pool, far below what would hurt.
pub const MAX_FOUND: usize = 4096;

/// A backend that a source found.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Found {
    /// Stable, whatever the address.
    pub id: BackendId,
    /// Where it is reached.
    pub address: SocketAddr,
    /// Its share of new sessions, relative to the others; 0: none, but it keeps those that it has.
    pub weight: u16,
}

impl Found {
    /// A backend that is known by its address alone.
    pub fn at(address: SocketAddr) -> Self {
        Self { id: BackendId::new(&address.to_string()), address, weight: 1 }
    }
}

/// Whether something can be reached at an address: resolvers that block a name answer with one where nothing can.
#[cfg(feature = "dns")]
pub(super) fn is_reachable(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !(ip.is_unspecified() || ip.is_multicast() || broadcast)
}

/// A pool's backends in one order, each id once: of two with one id, the lower address stays, on every replica.
pub(super) fn in_order(mut found: Vec<Found>) -> Vec<Found> {
    found.sort();
    let mut seen = HashSet::new();
    found.retain(|backend| seen.insert(backend.id.clone()));
    found
}

/// What a source answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// All backends, not only the new ones; empty: there are none any more.
    pub found: Vec<Found>,
    /// What could not be asked, so that a part of the backends is as it was before.
    pub doubt: Option<Fault>,
}

impl From<Vec<Found>> for Answer {
    fn from(found: Vec<Found>) -> Self {
        Self { found, doubt: None }
    }
}

/// Why a source has no answer: lower case, without a full stop, with what to do where that is known.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

impl Fault {
    /// A fault in these words.
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_and_repetition_of_an_answer_do_not_matter() {
        let backend = |id: &str, port| Found {
            id: BackendId::new(id),
            address: ([10, 0, 0, 1], port).into(),
            weight: 1,
        };
        let (one, two) = (backend("a", 1), backend("b", 2));
        let twice = vec![two.clone(), backend("a", 9), one.clone(), two.clone()];
        assert_eq!(in_order(twice), in_order(vec![one.clone(), two.clone()]));
        assert_ne!(in_order(vec![one.clone()]), in_order(vec![one, two]));
    }

    #[test]
    fn an_id_by_address_has_the_port() {
        assert_eq!(Found::at(([10, 0, 0, 1], 80).into()).id.as_str(), "10.0.0.1:80");
        let six: SocketAddr = "[fd00::1]:80".parse().expect("an address");
        assert_eq!(Found::at(six).id.as_str(), "[fd00::1]:80");
    }

    #[cfg(feature = "dns")]
    #[test]
    fn addresses_where_nothing_can_be_are_told() {
        for (ip, reachable) in [
            ("0.0.0.0", false),
            ("::", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("10.0.0.1", true),
        ] {
            assert_eq!(is_reachable(ip.parse().expect("an address")), reachable, "{ip}");
        }
    }
}
