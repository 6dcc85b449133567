//! What a sampled request leaves.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::context::{SpanId, TraceId, TraceParent};
use crate::names::{BackendAddress, BackendId, ListenerName, PoolName};
use crate::telemetry::access_log::without_secrets;

/// Of text from clients. Longer values are cut: a record has a bound, whatever a client sends.
const MOST_BYTES: usize = 1024;

/// What a sampled request leaves.
#[derive(Clone, Debug)]
pub struct SpanRecord {
    /// Its trace.
    pub trace: TraceId,
    /// Its own span.
    pub span: SpanId,
    /// The span that it is a child of, where a trusted proxy has told one.
    pub parent: Option<SpanId>,
    /// What `tracestate` said beside that.
    pub state: Option<Box<str>>,
    /// What a stranger says that it is a child of.
    pub link: Option<TraceParent>,
    /// When it arrived, in nanoseconds since 1970.
    pub arrived_unix_ns: u64,
    /// How long it took.
    pub took: Duration,
    /// Its listener.
    pub listener: ListenerName,
    /// The route that took it.
    pub route: Option<Arc<str>>,
    /// The client, after trusted proxies.
    pub client: IpAddr,
    /// Whether the client's own connection is encrypted.
    pub secure: bool,
    /// Its method.
    pub method: Box<str>,
    /// Its path, without query and the values of path parameters.
    pub path: Box<str>,
    /// The `Host`.
    pub host: Option<Box<str>>,
    /// The version of HTTP, such as `1.1`.
    pub version: &'static str,
    /// The `User-Agent`.
    pub user_agent: Option<Box<str>>,
    /// What the client saw; `None`: nothing.
    pub status: Option<u16>,
    /// Its pool, if it got that far.
    pub pool: Option<PoolName>,
    /// Why it went there, or why it came to none.
    pub reason: Option<&'static str>,
    /// What happened to its session.
    pub outcome: &'static str,
    /// Keyed mark of the session that it presented.
    pub session: Option<u64>,
    /// Its id, where the listener has ids.
    pub request_id: Option<Box<str>>,
    /// Its tries, in their order.
    pub tries: Vec<TryRecord>,
}

/// One try at a backend.
#[derive(Clone, Debug)]
pub struct TryRecord {
    /// Its span, which the backend was told of.
    pub span: SpanId,
    /// The backend.
    pub backend: BackendId,
    /// Its address.
    pub address: BackendAddress,
    /// From the request's arrival to its begin.
    pub after: Duration,
    /// How long it took.
    pub took: Duration,
    /// How it failed, if it did.
    pub failure: Option<&'static str>,
}

/// Text of a client's, as it may be shown: bounded, and what is not UTF-8 is replaced.
pub fn shown(text: &[u8]) -> Box<str> {
    let text = text.get(..MOST_BYTES).unwrap_or(text);
    String::from_utf8_lossy(text).into()
}

impl SpanRecord {
    /// A target as it may be shown: without query and the values of path parameters.
    pub fn path(target: &[u8]) -> Box<str> {
        let mut path = Vec::with_capacity(target.len().min(MOST_BYTES));
        without_secrets(target, false, &mut path);
        shown(&path)
    }
}
