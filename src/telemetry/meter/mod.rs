//! The meter: what requests came to, counted for each backend, pool and listener. Its values are the metrics' and the
//! dashboard's.
//!
//! On the path of a request: atomics of the thread's own, found by index. Counts outlive a reload, by pool name and backend id;
//! a backend that leaves the configuration takes its counts along.

mod counts;
mod histogram;
mod listener;
mod pool;
mod stripes;
mod words;

pub use counts::{CodeClass, FailedTry, Measure, Times};
pub use histogram::{BOUNDS_US, Distribution};
pub use listener::{LimitMeter, LimitedBy, ListenerMeter};
pub use pool::{BackendTraffic, PoolMeter, Traffic};
pub use words::{TokenFault, Turned};
