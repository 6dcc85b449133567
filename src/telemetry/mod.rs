//! Telemetry: what requests came to, as one value that every report is made from, and the session book.
//!
//! May use `names` and `clock` only.

mod book;
mod live_sessions;
mod summary;

pub use book::{BackendReport, Entry, LiveCount, Lost, Report, SessionBook};
pub use summary::{Counts, Summary};
