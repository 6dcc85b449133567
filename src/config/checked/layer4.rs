//! What listeners and pools of layer 4 have besides.

use std::time::Duration;

use super::HostPattern;

/// What a listener of layer 4 speaks, and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer4 {
    /// TCP.
    Tcp(Tcp),
    /// UDP.
    Udp(Udp),
}

/// A TCP listener's own settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Where TLS connections go, by what their first message says in the clear; the first that takes one wins.
    pub routes: Vec<TlsRoute>,
    /// The pool of all other connections: an index into [`Checked::pools`](super::Checked::pools); `None`: they are closed.
    pub pool: Option<usize>,
    /// For what a client says first, where something in it is looked at. Default 5 s.
    pub first_bytes: Duration,
    /// A connection on which nothing moves for this long is closed. Default 1 h.
    pub idle: Duration,
    /// After how long of silence the kernel asks whether the other end is there; `None`: never. Default 1 min.
    pub keepalive: Option<Duration>,
    /// How long what was sent may stay unconfirmed; `None`: as the system has it.
    pub user_timeout: Option<Duration>,
}

/// A UDP listener's own settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Udp {
    /// The pool: an index into [`Checked::pools`](super::Checked::pools).
    pub pool: usize,
    /// A session in which no datagram passed for this long has ended. Default 1 min.
    pub idle: Duration,
    /// The same for a client that has not gone on after an answer. Default 10 s.
    pub unproven: Duration,
    /// How many datagrams a client may send; `None`: no bound.
    pub rate: Option<DatagramRate>,
}

/// How many datagrams a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatagramRate {
    /// So many…
    pub datagrams: u32,
    /// …in this time, on average. Default 1 s.
    pub per: Duration,
    /// At once after a pause. Default `datagrams`.
    pub burst: u32,
    /// Clients that are told apart. Default 100 000.
    pub keys: usize,
}

/// By what the backends of a pool are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP, at least besides.
    Tcp,
    /// UDP alone.
    Udp,
}

/// Which TLS connections go to a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsRoute {
    /// One of these servers is named; empty: any, also none.
    pub server_names: Vec<HostPattern>,
    /// One of these protocols is offered; empty: any, also none.
    pub alpn: Vec<String>,
    /// The pool: an index into [`Checked::pools`](super::Checked::pools).
    pub pool: usize,
}

/// A name that a client gives itself in its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientName {
    /// The server name of its TLS handshake.
    TlsServerName,
    /// `mstshash` of Remote Desktop.
    RdpCookie,
    /// The client id of MQTT.
    MqttClientId,
}

/// How clients of a layer-4 pool are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clients {
    /// By this name, where a client gives itself one.
    pub name: Option<ClientName>,
    /// Bits of an IPv4 address that count. Default 32.
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 address that count. Default 64.
    pub ipv6_prefix: u8,
}
