//! Health: active checks, and the probe of a backend that a real request could not reach.
//!
//! The rise and fall of a check is a pure state machine ([`RiseFall`]); around it stand the loops that connect
//! and wait. What they find goes into the backends' [`Live`](crate::pool::Live) state, where every request
//! reads it without a lock.
//!
//! May use `pool`, `names` and `clock`.

mod active;
mod datagram;
mod dns;
mod exchange;
mod monitor;
mod passive;
mod probe;
mod state;

pub use active::{Check, CheckSpec};
pub use dns::DnsQuery;
pub use exchange::{Ask, Exchange, Expect, Over};
pub use monitor::{Monitor, Watched};
pub use passive::{Knock, probe_suspect};
pub use probe::{DrainOn, HttpProbe, Look, Secure, is_our_shortage, probe_http, probe_tcp};
pub use state::{Observation, RiseFall};
