//! What becomes of the requests that a route takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderName, HeaderValue, StatusCode};
use siphasher::sip::SipHasher24;

use super::table::PoolIndex;
use super::template::{Filling, Template};

/// What becomes of the requests that a route takes.
#[derive(Clone, Debug)]
pub enum Action {
    /// This pool serves them.
    Pool(PoolIndex),
    /// One of these pools does.
    Split(Split),
    /// The client is sent elsewhere.
    Redirect {
        /// A status from 301 to 308.
        status: StatusCode,
        /// Where to.
        to: Template,
    },
    /// This very answer.
    Respond(FixedAnswer),
}

/// Pools with their weights. Whoever has no session in one of them is distributed: the same client to the same pool, and
/// a change of a weight moves as few as it must.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Split {
    parts: Box<[Part]>,
    total: u64,
}

/// A pool of a split.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// The pool.
    pub pool: PoolIndex,
    /// Its share of new clients; 0: none, but the sessions that live there stay.
    pub weight: u32,
}

/// An answer that no backend gives.
#[derive(Clone, Debug)]
pub struct FixedAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its media type, where it has a body.
    pub media_type: HeaderValue,
    /// Its body.
    pub body: bytes::Bytes,
}

/// What is changed in header fields, in this order.
#[derive(Clone, Debug, Default)]
pub struct HeaderChanges {
    /// All fields of these names are removed.
    pub remove: Box<[HeaderName]>,
    /// These take the place of all fields of their names. Names as written, for clients that look at their case.
    pub set: Box<[(Box<str>, Template)]>,
    /// These are added beside others of their names.
    pub add: Box<[(Box<str>, Template)]>,
}

/// What the backend is asked instead.
#[derive(Clone, Debug, Default)]
pub struct Rewrite {
    /// The path; the query stays. Empty: as it was sent.
    pub path: Template,
    /// The host. Empty: as it was sent.
    pub host: Template,
}

/// A share of the requests is sent to another pool, too, and what it answers is thrown away.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// The other pool.
    pub pool: PoolIndex,
    /// The share, 0 to 1.
    pub share: f64,
    /// A request with a longer body is not sent.
    pub body_bytes: usize,
    /// At the same time.
    pub at_once: usize,
    /// Now.
    in_flight: Arc<AtomicUsize>,
}

/// A place for one mirrored request; free when dropped.
#[derive(Debug)]
pub struct MirrorPlace(Arc<AtomicUsize>);

impl Split {
    /// Takes the pools in order; one of them at least has a weight.
    pub fn new(parts: Vec<Part>) -> Self {
        let total = parts.iter().map(|part| u64::from(part.weight)).sum();
        Self { parts: parts.into(), total }
    }

    /// Its pools.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The pool of a client without a session, as a position in [`parts`](Self::parts). `key` is a hash of the client.
    pub fn choose(&self, key: u64) -> usize {
        // Hashed once more: the pool's ring places clients by the same key, and must get all of its circle.
        let key = SipHasher24::new_with_key(b"steadfast split1").hash(&key.to_le_bytes());
        let at = (u128::from(key) * u128::from(self.total)) >> 64;
        let mut end = 0;
        let taken = |part: &Part| {
            end += u128::from(part.weight);
            at < end
        };
        self.parts.iter().position(taken).unwrap_or(0)
    }
}

impl HeaderChanges {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// The fields to set, then those to add; one that lacks a piece of the request is left out.
    pub fn fields<'a>(&'a self, with: &'a Filling<'a>) -> impl Iterator<Item = (&'a str, HeaderValue, bool)> {
        let set = self.set.iter().map(|field| (field, true));
        let add = self.add.iter().map(|field| (field, false));
        set.chain(add).filter_map(|((name, value), replaces)| {
            let value = HeaderValue::from_bytes(&value.fill(with)?).ok()?;
            Some((&**name, value, replaces))
        })
    }
}

impl Rewrite {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.path.is_empty() && self.host.is_empty()
    }
}

impl Mirror {
    /// A mirror without requests.
    pub fn new(pool: PoolIndex, share: f64, body_bytes: usize, at_once: usize) -> Self {
        Self { pool, share, body_bytes, at_once, in_flight: Arc::default() }
    }

    /// A place for one more request; `None`: too many are on their way.
    pub fn place(&self) -> Option<MirrorPlace> {
        let count = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let place = MirrorPlace(Arc::clone(&self.in_flight));
        (count < self.at_once).then_some(place)
    }
}

impl Drop for MirrorPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(weights: &[u32]) -> Split {
        let part = |(weight, pool): (&u32, u16)| Part { pool: PoolIndex(pool), weight: *weight };
        Split::new(weights.iter().zip(0..).map(part).collect())
    }

    #[test]
    fn clients_are_distributed_by_weight() {
        let split = split(&[90, 0, 10]);
        let mut counts = [0_u32; 3];
        for key in 0..10_000 {
            counts[split.choose(key)] += 1;
        }
        assert!((8_700..9_300).contains(&counts[0]) && counts[1] == 0, "{counts:?}");
    }

    #[test]
    fn a_larger_weight_takes_clients_and_gives_none_away() {
        let (before, after) = (split(&[95, 5]), split(&[80, 20]));
        for key in 0..10_000 {
            assert!(after.choose(key) >= before.choose(key), "nobody leaves the pool that grows");
        }
    }

    #[test]
    fn a_mirror_is_bounded() {
        let mirror = Mirror::new(PoolIndex(0), 1.0, 0, 2);
        let (one, two) = (mirror.place(), mirror.place());
        assert!(one.is_some() && two.is_some() && mirror.place().is_none());
        drop(one);
        assert!(mirror.place().is_some());
    }
}
