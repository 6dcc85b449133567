//! How a new session finds its backend.

mod bounded_load;
mod least_connections;
mod random;
mod round_robin;

pub(super) use bounded_load::Bound;
pub(super) use least_connections::least_connections;
pub(super) use random::random;
pub(super) use round_robin::RoundRobin;

/// A backend that takes new sessions, with what the algorithms look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) index: crate::names::BackendIndex,
    /// Its share, slow start included; above zero.
    pub(super) weight: u32,
    /// Requests in flight.
    pub(super) in_flight: u32,
}
