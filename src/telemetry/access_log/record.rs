//! What the access log is told of a request.

use std::net::IpAddr;

use crate::names::{BackendId, ListenerName, Outcome, PoolName};
use crate::telemetry::{Times, TraceId};

/// What the access log is told of a request. Nothing in it is a secret, but for what a client hides in its URL.
#[derive(Clone, Copy, Debug)]
pub struct LogRecord<'a> {
    /// When it arrived, in milliseconds since 1970.
    pub arrived_unix_ms: u64,
    /// Its listener.
    pub listener: &'a ListenerName,
    /// The client's address, after trusted proxies.
    pub client: IpAddr,
    /// The other end of its connection.
    pub peer: IpAddr,
    /// What it asked for.
    pub request: LogRequest<'a>,
    /// Version and cipher suite of TLS, where it is spoken.
    pub tls: Option<(&'static str, &'static str)>,
    /// What the client saw; `None`: nothing.
    pub status: Option<u16>,
    /// Bytes of its body.
    pub received: u64,
    /// Bytes of the response's body.
    pub sent: u64,
    /// How long it took.
    pub times: Times,
    /// The route that took it, if one did.
    pub route: Option<&'a str>,
    /// Its pool, if it got that far.
    pub pool: Option<&'a PoolName>,
    /// Its backend, if it got that far.
    pub backend: Option<&'a BackendId>,
    /// Why it went there, or why it came to none.
    pub reason: Option<&'static str>,
    /// What happened to its session.
    pub outcome: Outcome,
    /// Tries after the first.
    pub retries: u32,
    /// Keyed mark of the session that it presented.
    pub session: Option<u64>,
    /// Keyed mark of the session that the response started.
    pub new_session: Option<u64>,
    /// Its id, where the listener has ids.
    pub request_id: Option<&'a [u8]>,
    /// The trace that it belongs to, where traces are exported.
    pub trace: Option<TraceId>,
}

/// What a request asked for, as it was sent.
#[derive(Clone, Copy, Debug)]
pub struct LogRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// The target: path and query, or what else was sent.
    pub target: &'a [u8],
    /// Such as `HTTP/1.1`.
    pub protocol: &'static str,
    /// The `Host` field.
    pub host: Option<&'a [u8]>,
    /// The `User-Agent` field.
    pub user_agent: Option<&'a [u8]>,
    /// The `Referer` field.
    pub referer: Option<&'a [u8]>,
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::Ipv4Addr;
    use std::sync::LazyLock;
    use std::time::Duration;

    use super::*;

    static LISTENER: LazyLock<ListenerName> = LazyLock::new(|| ListenerName::new("web"));
    static POOL: LazyLock<PoolName> = LazyLock::new(|| PoolName::new("app"));
    static BACKEND: LazyLock<BackendId> = LazyLock::new(|| BackendId::new("app1"));

    /// A request that went as most do.
    pub(in crate::telemetry::access_log) fn record() -> LogRecord<'static> {
        LogRecord {
            arrived_unix_ms: 1_764_079_331_042,
            listener: &LISTENER,
            client: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)),
            peer: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
            request: LogRequest {
                method: "GET",
                target: b"/a;jsessionid=SECRET?page=2&token=SECRET",
                protocol: "HTTP/1.1",
                host: Some(b"app.test"),
                user_agent: Some(b"say \"hi\"\n"),
                referer: Some(b"https://user:SECRET@app.test/b;jsessionid=SECRET?x=SECRET"),
            },
            tls: None,
            status: Some(200),
            received: 0,
            sent: 1234,
            times: Times {
                queue: Some(Duration::from_micros(42)),
                connect: None,
                first_byte: Some(Duration::from_micros(12_005)),
                whole: Duration::from_micros(12_345),
            },
            route: Some("reports"),
            pool: Some(&POOL),
            backend: Some(&BACKEND),
            reason: Some("lb_cookie"),
            outcome: Outcome::Kept,
            retries: 0,
            session: Some(0xABCD),
            new_session: None,
            request_id: Some(b"abc-1"),
            trace: TraceId::new(0xFEED),
        }
    }
}
