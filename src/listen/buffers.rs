//! What a listener keeps for slow clients.

use std::sync::Arc;

use super::budget::Budget;
use super::gather::Gathering;

/// What a listener keeps for slow clients.
#[derive(Debug)]
pub struct Buffers {
    /// Request bodies, if they are read before the application sees the request.
    pub request: Option<Gathering>,
    /// Bytes of each response that are taken ahead of the client.
    pub response: Option<usize>,
    /// Memory for all of it.
    pub memory: Arc<Budget>,
}

/// The slowest that a client may be, in bytes per second on average, while it is waited for; 0: no bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Slowest {
    /// In sending a request's body.
    pub body: u64,
    /// In reading a response.
    pub reader: u64,
}
