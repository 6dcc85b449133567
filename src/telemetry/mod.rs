//! Telemetry: what requests came to, as one value that every report is made from.
//!
//! May use `names` only.

mod summary;

pub use summary::{Counts, Summary};
