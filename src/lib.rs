//! Steadfast: a load balancer that keeps every session on the server that holds it.

pub mod clock;
pub mod config;
pub mod names;
