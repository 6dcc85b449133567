//! Routes: rules that choose a pool. First match wins; compiled once per snapshot.
//!
//! Knows nothing of sockets or sessions. May use nothing of ours.

mod table;

pub use table::{PoolIndex, RouteTable};
