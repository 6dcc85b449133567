//! Steadfast: a load balancer that keeps every session on the server that holds it.

pub mod affinity;
pub mod clock;
pub mod config;
pub mod listen;
pub mod names;
pub mod pool;
