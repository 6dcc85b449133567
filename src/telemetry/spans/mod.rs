//! Spans: what a sampled request tells a system that traces requests over many servers.
//!
//! A request's end leaves a [`SpanRecord`] in a bounded queue, [`Spans`], which never makes it wait; [`encode`] makes a message
//! of OTLP of many, wherever they are sent from. No cookie, token or session id can come into a span: a record has no place
//! for them, as a line of the access log has none.

mod context;
mod encode;
mod proto;
mod queue;
mod record;

pub use context::{SpanId, TraceId, TraceParent};
pub use encode::{Sender, encode, rejected};
pub use queue::{SpanCounts, Spans};
pub use record::{SpanRecord, TryRecord, shown};
