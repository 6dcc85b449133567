//! The access log: one line for each request, or for those that matter.
//!
//! A request's end gives a [`LogRecord`]; [`AccessLog::enter`] decides whether it is written, formats it into the thread's own
//! buffer and hands the line to a [`Writer`], which never makes a request wait: what finds no room is dropped and counted.
//! One thread for each destination writes. No cookie, token or session id can come into a line: a record has no place for
//! them, and [`path`](self) takes them out of paths.

mod date;
mod escape;
mod filter;
mod format;
mod path;
mod record;
mod sink;
mod writer;

use std::cell::RefCell;
use std::sync::Arc;

pub use filter::{Filter, Matter};
pub use format::{Format as LogFormat, Piece};
pub use record::{LogRecord, LogRequest};
pub use sink::{Destination, Facility, Rotation, SyslogAddress};
pub use writer::{Lines, Writer};

pub(in crate::telemetry) use path::without_secrets;

/// The access log of one listener.
#[derive(Debug)]
pub struct AccessLog {
    filter: Filter,
    format: LogFormat,
    /// Whether paths keep their queries.
    query: bool,
    writer: Arc<Writer>,
}

/// A line that is kept by each thread, so that none is allocated for a request.
const ROOM: usize = 1024;

thread_local! {
    static LINE: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(ROOM));
}

impl AccessLog {
    /// A log that writes what the filter lets through; `query`: paths keep their queries, but for values that look secret.
    pub fn new(filter: Filter, format: LogFormat, query: bool, writer: Arc<Writer>) -> Self {
        Self { filter, format, query, writer }
    }

    /// Where its lines go.
    pub fn writer(&self) -> &Arc<Writer> {
        &self.writer
    }

    /// Enters a request that has ended.
    pub fn enter(&self, record: &LogRecord<'_>) {
        if !self.filter.wants(record) {
            return;
        }
        LINE.with_borrow_mut(|line| {
            line.clear();
            self.format.write(record, self.query, line);
            line.push(b'\n');
            self.writer.append(line);
        });
    }
}
