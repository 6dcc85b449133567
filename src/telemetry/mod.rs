//! Telemetry: what requests came to, as one value that every report is made from; the meter, which counts them; the
//! session book; recent decisions with their explanations; spans; and the log's writer.
//!
//! May use `names` and `clock` only.

mod access_log;
mod book;
mod events;
mod first_segment;
mod history;
mod incidents;
mod live_sessions;
mod logger;
mod losses;
mod meter;
mod metrics;
mod process;
mod recent;
mod sample;
mod spans;
mod summary;

pub use access_log::{
    AccessLog, Destination, Facility, Filter, Lines, LogFormat, LogRecord, LogRequest, Matter, Piece,
    Rotation, SyslogAddress, Writer,
};
pub use book::{BackendReport, CarriedPage, Entry, LiveCount, Lost, Report, SessionBook};
pub use events::{About, Event, EventKind, Events, News};
pub use first_segment::first_segment;
pub use history::{HISTORY_STEP_S, History, Point, PoolHistory};
pub use incidents::{Incident, Watch};
pub use logger::{NotOurs, log_level, set_log_level, start_logger};
pub use losses::{LossBook, Losses};
pub use meter::{
    BOUNDS_US, BackendTraffic, CodeClass, Distribution, FailedTry, LimitMeter, LimitedBy, ListenerMeter,
    Measure, PoolMeter, Times, TokenFault, Traffic, Turned,
};
pub(crate) use metrics::family;
pub use metrics::{Exposition, Family, Format, Kind, families};
pub use process::Process;
pub use recent::{Note, Recent, Record, Trace, is_loss};
pub use sample::{BackendSample, CertificateSample, PoolSample, Sample, Sessions};
pub use spans::{
    Sender, SpanCounts, SpanId, SpanRecord, Spans, TraceId, TraceParent, TryRecord, encode, rejected, shown,
};
pub use summary::{Counts, Summary};
