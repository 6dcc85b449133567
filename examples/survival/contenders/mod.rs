//! The load balancers that take part.

pub(crate) mod haproxy;
pub(crate) mod nginx;
mod process;
pub(crate) mod steadfast;
