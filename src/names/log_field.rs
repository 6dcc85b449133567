//! The fields of the access log.

/// A field of the access log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LogField {
    /// When the request arrived, in UTC.
    Time,
    /// The listener.
    Listener,
    /// The client's address, after trusted proxies.
    Client,
    /// The other end of the connection.
    Peer,
    /// The method.
    Method,
    /// The path, without the values of path parameters.
    Path,
    /// The protocol and its version.
    Protocol,
    /// The version of TLS.
    TlsVersion,
    /// The cipher suite of TLS.
    TlsCipher,
    /// The `Host`.
    Host,
    /// The status that the client saw.
    Status,
    /// Bytes of the request's body.
    Received,
    /// Bytes of the response's body.
    Sent,
    /// From arrival to the end, in milliseconds.
    Took,
    /// From arrival to a place at a backend, in milliseconds.
    Queue,
    /// To connect, in milliseconds.
    Connect,
    /// From the connection to the head of the response, in milliseconds.
    FirstByte,
    /// The route.
    Route,
    /// The pool.
    Pool,
    /// The backend.
    Backend,
    /// Why it went there.
    Reason,
    /// What happened to the session.
    Outcome,
    /// Tries after the first.
    Retries,
    /// Keyed mark of the session that the request presented.
    Session,
    /// Keyed mark of the session that the response started.
    NewSession,
    /// The request's id.
    RequestId,
    /// The trace that it belongs to.
    TraceId,
    /// The `User-Agent`.
    UserAgent,
    /// The `Referer`, without query.
    Referer,
}

impl LogField {
    /// Every field, in the order of a JSON line.
    pub const ALL: [Self; 29] = [
        Self::Time,
        Self::Listener,
        Self::Client,
        Self::Peer,
        Self::Method,
        Self::Path,
        Self::Protocol,
        Self::TlsVersion,
        Self::TlsCipher,
        Self::Host,
        Self::Status,
        Self::Received,
        Self::Sent,
        Self::Took,
        Self::Queue,
        Self::Connect,
        Self::FirstByte,
        Self::Route,
        Self::Pool,
        Self::Backend,
        Self::Reason,
        Self::Outcome,
        Self::Retries,
        Self::Session,
        Self::NewSession,
        Self::RequestId,
        Self::TraceId,
        Self::UserAgent,
        Self::Referer,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Listener => "listener",
            Self::Client => "client",
            Self::Peer => "peer",
            Self::Method => "method",
            Self::Path => "path",
            Self::Protocol => "protocol",
            Self::TlsVersion => "tls_version",
            Self::TlsCipher => "tls_cipher",
            Self::Host => "host",
            Self::Status => "status",
            Self::Received => "received",
            Self::Sent => "sent",
            Self::Took => "took_ms",
            Self::Queue => "queue_ms",
            Self::Connect => "connect_ms",
            Self::FirstByte => "first_byte_ms",
            Self::Route => "route",
            Self::Pool => "pool",
            Self::Backend => "backend",
            Self::Reason => "reason",
            Self::Outcome => "outcome",
            Self::Retries => "retries",
            Self::Session => "session",
            Self::NewSession => "new_session",
            Self::RequestId => "request_id",
            Self::TraceId => "trace_id",
            Self::UserAgent => "user_agent",
            Self::Referer => "referer",
        }
    }

    /// What it means.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Time => "when the request arrived, in UTC",
            Self::Listener => "the listener's name",
            Self::Client => "the client's address, after trusted proxies",
            Self::Peer => "the address at the other end of the connection",
            Self::Method => "the method",
            Self::Path => {
                "the path; values of path parameters are shown as `*`, and there is no query unless `query` is on"
            }
            Self::Protocol => "such as `HTTP/1.1`",
            Self::TlsVersion => "such as `TLSv1.3`, where TLS is spoken",
            Self::TlsCipher => "the cipher suite, where TLS is spoken",
            Self::Host => "the `Host` field",
            Self::Status => "what the client saw; 0: nothing",
            Self::Received => "bytes of the request's body",
            Self::Sent => "bytes of the response's body",
            Self::Took => "milliseconds from arrival to the end",
            Self::Queue => "milliseconds from arrival to a place at a backend",
            Self::Connect => "milliseconds to connect, where no kept connection was used",
            Self::FirstByte => "milliseconds from the connection to the head of the response",
            Self::Route => "the route that took it, by its name or what it matches",
            Self::Pool => "the pool's name",
            Self::Backend => "the id of the backend that it ended at",
            Self::Reason => {
                "why it went there: `route`, `lb_cookie`, `learned`, `conflict`, `hash`, `moved`, `new`; where it came to none: \
                 `no_backend`, `lost_backend`, `full`"
            }
            Self::Outcome => {
                "what happened to the session: `kept`, `started`, `bound`, `rotated`, `moved`, `lost_after_move`, \
                 `lost_no_proof`, `lost_at_home`, `released`"
            }
            Self::Retries => "tries after the first",
            Self::Session => "a keyed mark of the session that the request presented; never the id",
            Self::NewSession => "the same of the session that the response started",
            Self::RequestId => "the id of the request, where the listener has `headers.request_id`",
            Self::TraceId => "the id of the trace that it belongs to, where `telemetry.otlp` exports traces",
            Self::UserAgent => "the `User-Agent` field",
            Self::Referer => "the `Referer` field, without query and values of path parameters",
        }
    }

    /// The field of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.as_str() == name)
    }
}
