//! Telemetry: what requests came to, as one value that every report is made from; and the log's writer.
//!
//! May use `names` only.

mod logger;
mod summary;

pub use logger::{NotOurs, log_level, set_log_level, start_logger};
pub use summary::{Counts, Summary};
