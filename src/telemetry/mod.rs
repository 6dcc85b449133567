//! Telemetry: what requests came to, as one value that every report is made from; the meter, which counts them; the
//! session book; and the log's writer.
//!
//! May use `names` and `clock` only.

mod book;
mod live_sessions;
mod logger;
mod meter;
mod metrics;
mod process;
mod summary;

pub use book::{BackendReport, Entry, LiveCount, Lost, Report, SessionBook};
pub use logger::{NotOurs, log_level, set_log_level, start_logger};
pub use meter::{
    BOUNDS_US, BackendTraffic, CodeClass, Distribution, FailedTry, ListenerMeter, Measure, PoolMeter, Times,
    TokenFault, Traffic, Turned,
};
pub(crate) use metrics::family;
pub use metrics::{Exposition, Family, Format, Kind, families};
pub use process::Process;
pub use summary::{Counts, Summary};
