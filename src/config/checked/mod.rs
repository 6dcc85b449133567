//! What a checked configuration proves: plain, typed, complete, with every default filled in.
//!
//! `snapshot::compile` consumes it; nothing of it lives on as run-time state.

mod action;
mod affinity;
mod buffer;
mod compression;
mod endpoint;
mod headers;
mod health;
mod layer4;
mod limits;
mod listener;
mod log;
mod pool;
mod pool_tls;
mod quic;
mod route;
mod server;
mod telemetry;
mod waiting_room;

use std::path::PathBuf;

use zeroize::Zeroizing;

pub use self::action::{Action, HeaderChanges, Mirror, Piece, Rewrite, Template};
pub use self::affinity::{
    Affinity, AffinityMode, FirstContact, Insert, LbCookie, Learn, OnLostBackend, SameSite, Shared, Toggle,
};
pub use self::buffer::{Buffer, RequestBuffer};
pub use self::compression::{Coding, Compression};
pub use self::endpoint::Endpoint;
pub use self::headers::{ErrorPage, ForwardedBy, Headers};
pub use self::health::{Ask, Check, DrainOn, Exchange, Expect, Health, HttpCheck, Over, Passive};
pub use self::layer4::{ClientName, Clients, DatagramRate, Layer4, Tcp, TlsRoute, Transport, Udp};
pub use self::limits::{ClientPrefix, LimitBy, RequestLimit};
pub use self::listener::{Http2, Listener, ListenerLimits, ListenerTimeouts, ListenerTls};
pub use self::log::{
    AccessLog, Facility, LogDestination, LogFormat, LogPiece, Matter, Rotation, SyslogAddress,
};
pub use self::pool::{
    Algorithm, Backend, BackendState, Balance, ConnectsFrom, Pool, PoolLimits, PoolTimeouts, Retries,
};
pub use self::pool_tls::{HttpVersion, PoolTls};
pub use self::quic::ConnectionIdForm;
pub use self::route::{HostPattern, Matcher, MediaRange, PathPattern, Pattern, Route, ValueTest};
pub use self::server::{Admin, Server};
pub use self::telemetry::Otlp;
pub use self::waiting_room::WaitingRoom;
pub use super::changes::{BackendFile, Discovery, Dns, DnsRecord, Drain, Removal};
use super::report::Problem;

/// A configuration without errors.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Pingora's own server settings.
    pub server: Server,
    /// Where keys made at first start, and later the learned sessions, are kept.
    pub state_dir: PathBuf,
    /// The keys of the load-balancer cookie: the first seals, all open. Empty: one is made in `state_dir`.
    pub keys: Vec<TokenKey>,
    /// The secret of all hashes, which key rotation does not touch. `None`: one is made in `state_dir`.
    pub affinity_seed: Option<Secret>,
    /// Whether a change of one of `files` reloads.
    pub watch: bool,
    /// The admin API, if there is to be one.
    pub admin: Option<Admin>,
    /// Who is told when sessions are lost, besides the log.
    pub webhook: Option<Endpoint>,
    /// Where spans are exported, if they are.
    pub otlp: Option<Otlp>,
    /// The addresses that are accepted on.
    pub listeners: Vec<Listener>,
    /// The pools, in the order of the file.
    pub pools: Vec<Pool>,
    /// The files that it was read from besides the configuration file: keys, tokens, certificates.
    pub files: Vec<PathBuf>,
    /// What is legal but probably not meant.
    pub warnings: Vec<Problem>,
}

/// Secret bytes that are wiped when dropped and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// One key of the key ring.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenKey {
    /// The key's id; tokens carry a digest of it.
    pub id: String,
    /// 32 bytes.
    pub secret: Secret,
}
