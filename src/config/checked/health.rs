//! How backends are watched.

use std::time::Duration;

use super::Pattern;

/// How backends are watched.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// The active check, if any.
    pub check: Option<Check>,
    /// From the start of one check to the next. Default 2 s.
    pub interval: Duration,
    /// For one check, whole. Default 1 s.
    pub timeout: Duration,
    /// Successes in a row that bring a backend up. Default 2.
    pub rise: u32,
    /// Failures in a row that take it down. Default 3.
    pub fall: u32,
    /// Whether existing sessions are still tried at home when only the check fails. Default true (`try_home`).
    pub try_home: bool,
    /// Ejection by what real requests meet.
    pub passive: Passive,
    /// How long a backend that came up takes to reach its full share of new sessions; zero: at once.
    pub slow_start: Duration,
}

/// An active check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// A TCP connection is accepted.
    Tcp,
    /// A GET is answered with an expected status.
    Http(HttpCheck),
    /// Something is said, and something expected.
    Exchange(Exchange),
}

/// Something that is said to a backend, and what is expected of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// By what it is reached.
    pub over: Over,
    /// What is asked.
    pub ask: Ask,
}

/// By what a check reaches a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Over {
    /// TCP.
    Tcp,
    /// TLS.
    Tls {
        /// The server that is asked for; `None`: the backend's address.
        server_name: Option<String>,
    },
    /// UDP.
    Udp,
}

/// What a check asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Nothing: a connection is enough.
    Nothing,
    /// Bytes.
    Bytes {
        /// What is sent; may be nothing.
        send: Vec<u8>,
        /// What has to come.
        expect: Expect,
    },
    /// A query of DNS.
    Dns {
        /// The name.
        name: String,
        /// The type of its records.
        record: u16,
        /// Good response codes. Default 0.
        codes: Vec<u8>,
    },
}

/// What has to be in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// These bytes, anywhere.
    Bytes(Vec<u8>),
    /// All that has come matches.
    Regex(Pattern),
}

/// A GET that is to be answered with an expected status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCheck {
    /// Path and query. Default `/`.
    pub path: String,
    /// `Host` to send; `None`: the backend's address.
    pub host: Option<String>,
    /// Inclusive ranges of good status codes. Default 200–399.
    pub expect: Vec<(u16, u16)>,
    /// How the backend says that it drains, if it can.
    pub drain_on: Option<DrainOn>,
}

/// How a backend says that it drains: by any of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainOn {
    /// Inclusive ranges of status codes.
    pub status: Vec<(u16, u16)>,
    /// A header field, in lower case, and its value; `None`: any value.
    pub header: Option<(String, Option<String>)>,
}

/// Ejection by what real requests meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passive {
    /// Failures in a row (refused, reset, timed out; not statuses) that eject; 0: off. Default 5.
    pub consecutive_failures: u32,
    /// How long an ejected backend takes nothing before it is tried again. Default 10 s.
    pub eject: Duration,
}
