//! How much one client may ask.

use std::time::Duration;

/// A limit of requests in a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestLimit {
    /// By what requests are told apart.
    pub by: LimitBy,
    /// The header field's name in lower case, with [`LimitBy::Header`].
    pub header: Option<String>,
    /// Requests in the time `per`, on average.
    pub requests: u32,
    /// The time in which so many may come. Default 1 s.
    pub per: Duration,
    /// Requests at once after a pause. Default: as many as `requests`.
    pub burst: u32,
    /// What is told apart. Default 100 000.
    pub keys: usize,
}

/// By what requests are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LimitBy {
    /// The client's address.
    Client,
    /// The session.
    Session,
    /// The value of a header field.
    Header,
}

/// How many bits of an address tell clients apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientPrefix {
    /// Of an IPv4 address. Default 32.
    pub ipv4: u8,
    /// Of an IPv6 address. Default 64.
    pub ipv6: u8,
}
