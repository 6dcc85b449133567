//! What listeners and pools of layer 4 have besides.

use std::time::Duration;

/// What a listener of layer 4 speaks, and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer4 {
    /// TCP.
    Tcp(Tcp),
}

/// A TCP listener's own settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// The pool that every connection goes to: an index into [`Checked::pools`](super::Checked::pools).
    pub pool: usize,
    /// A connection on which nothing moves for this long is closed. Default 1 h.
    pub idle: Duration,
    /// After how long of silence the kernel asks whether the other end is there; `None`: never. Default 1 min.
    pub keepalive: Option<Duration>,
    /// How long what was sent may stay unconfirmed; `None`: as the system has it.
    pub user_timeout: Option<Duration>,
}

/// How clients of a layer-4 pool are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceAddress {
    /// Bits of an IPv4 address that count. Default 32.
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 address that count. Default 64.
    pub ipv6_prefix: u8,
}
