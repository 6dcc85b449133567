//! What a checked configuration proves: plain, typed, complete, with every default filled in.
//!
//! `snapshot::compile` consumes it; nothing of it lives on as run-time state.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use super::changes::{BackendFile, Discovery, Dns, DnsRecord, Drain, Removal};
use super::report::Problem;
use crate::names::{BackendId, ListenerName, PoolName};

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
    /// The admin API, if there is to be one.
    pub admin: Option<Admin>,
    /// The addresses that are accepted on.
    pub listeners: Vec<Listener>,
    /// The pools, in the order of the file.
    pub pools: Vec<Pool>,
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

/// Pingora's own server settings, under their own names. Defaults differ from Pingora's where safety asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Threads of each service. Default: the machine's cores.
    pub threads: usize,
    /// Whether threads take work from each other. Default `false`: cheaper for a proxy.
    pub work_stealing: bool,
    /// Where the process id is written, if anywhere.
    pub pid_file: Option<PathBuf>,
    /// The socket over which an upgrade passes listeners.
    pub upgrade_sock: Option<PathBuf>,
    /// Seconds that running requests are given after a stop was asked for. Default 30.
    pub grace_period_seconds: u64,
    /// Seconds for the last step of a stop. Default 5.
    pub graceful_shutdown_timeout_seconds: u64,
    /// Idle backend connections kept for reuse, over all backends. Default 1024.
    pub upstream_keepalive_pool_size: usize,
    /// A file of CA certificates instead of the platform's.
    pub ca_file: Option<PathBuf>,
}

/// The admin API.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where it listens. Default 127.0.0.1:9900.
    pub listen: AdminListen,
    /// What callers must present, if anything.
    pub token: Option<Secret>,
}

/// Where the admin API listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AdminListen {
    /// IP address and port.
    Tcp(SocketAddr),
    /// A socket in the file system, mode 0600.
    Unix(PathBuf),
}

impl std::fmt::Display for AdminListen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// An address that is accepted on.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Its name in log and metrics.
    pub name: ListenerName,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Bounds on what a client may send.
    pub limits: ListenerLimits,
    /// Bounds on how long a client may take.
    pub timeouts: ListenerTimeouts,
    /// Tried in order; the first that matches wins.
    pub routes: Vec<Route>,
}

/// Bounds on what a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Bytes of request line and header fields together (431 above). Default 64 KiB.
    pub head_bytes: usize,
    /// Number of header fields (431 above). Default 100, at most 256.
    pub header_fields: usize,
    /// Bytes of the request target (414 above). Default 16 KiB.
    pub uri_bytes: usize,
    /// Bytes of a request body (413 above); `None`: no bound. Default none.
    pub body_bytes: Option<u64>,
    /// Open connections on this listener; further ones are closed at once. Default 100 000.
    pub connections: usize,
}

/// Bounds on how long a client may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerTimeouts {
    /// From a request's first byte to the end of its head (408 after). Default 10 s.
    pub head: Duration,
    /// Between two reads of a request body. Default 60 s.
    pub body: Duration,
    /// Between two requests on one connection. Default 60 s.
    pub idle: Duration,
    /// For one write to the client. Default 60 s.
    pub write: Duration,
}

/// Chooses a pool. Without `match` it takes everything.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The pool that serves it: an index into [`Checked::pools`].
    pub pool: usize,
}

/// Backends that serve the same application.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Its name.
    pub name: PoolName,
    /// Its backends, at least one unless there is `discovery`, ids unique.
    pub backends: Vec<Backend>,
    /// Where backends come from besides, if anywhere.
    pub discovery: Option<Discovery>,
    /// How a new session finds its backend.
    pub balance: Balance,
    /// How a session stays on its backend.
    pub affinity: Affinity,
    /// How backends are watched.
    pub health: Health,
    /// Bounds on how long a backend may take.
    pub timeouts: PoolTimeouts,
    /// When a request is tried again.
    pub retries: Retries,
    /// Bounds on what each backend is given at once, if any.
    pub limits: Option<PoolLimits>,
    /// What happens to a backend that is no longer named. Default `Drain`.
    pub removal: Removal,
    /// How backends drain.
    pub drain: Drain,
}

/// Bounds on what each backend is given at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// Requests in flight at one backend; more of them wait.
    pub connections_per_backend: u32,
    /// Requests that wait, at each backend. Default 1000.
    pub queue_length: usize,
    /// How long one waits. Default 5 s.
    pub queue_wait: Duration,
    /// Whether requests of running sessions go in before those of new ones. Default true.
    pub existing_sessions_first: bool,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backend {
    /// Stable, whatever its address.
    pub id: BackendId,
    /// Where it is reached.
    pub address: SocketAddr,
    /// Its share of new sessions, relative to the others; 0: none.
    pub weight: u16,
    /// What the operator wants of it.
    pub state: BackendState,
    /// How long it may drain, where that was said for it alone; `None`: as the pool has it.
    pub drain_deadline: Option<Duration>,
}

/// What the operator wants of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackendState {
    /// Takes everything.
    Up,
    /// Keeps its sessions, takes no new ones.
    Draining,
    /// Takes nothing.
    Maintenance,
}

impl BackendState {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Draining => "draining",
            Self::Maintenance => "maintenance",
        }
    }
}

/// How a new session finds its backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Balance {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// For `consistent_hash`: how far above its share a backend may be loaded, at least 1. Default 1.25.
    pub load_factor: f64,
}

/// The balancing algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Weighted Ketama ring with bounded load: replicas agree.
    ConsistentHash,
    /// Smooth weighted round robin.
    RoundRobin,
    /// Weighted random.
    Random,
    /// Fewest requests in flight for its weight.
    LeastConnections,
}

/// How a session stays on its backend.
#[derive(Clone, Debug, PartialEq)]
pub struct Affinity {
    /// By binding, by plain hash, or not at all.
    pub mode: AffinityMode,
    /// Names of the application's session cookies, at least one unless `mode` is `none`. Default `[JSESSIONID]`.
    pub application_cookies: Vec<String>,
    /// Name of the path parameter that may carry the session id (`;jsessionid=`), if any.
    pub path_parameter: Option<String>,
    /// Request header that may carry the session id, lower case, if any.
    pub header: Option<String>,
    /// Query parameter that may carry the session id, if any.
    pub query: Option<String>,
    /// Whether the part of the session id behind its last dot names a backend (Tomcat's `jvmRoute`).
    pub route_suffix: bool,
    /// What the first choice for a client without evidence is made from.
    pub first_contact: FirstContact,
    /// The learned table.
    pub learn: Learn,
    /// The load-balancer cookie.
    pub cookie: LbCookie,
    /// Whether the application's logout also releases the load-balancer cookie. Default true (`on_logout`).
    pub release_on_logout: bool,
    /// What happens to a session whose backend is gone.
    pub on_lost_backend: OnLostBackend,
    /// Whether a moved session returns once its first backend is back. Default false (`never`).
    pub fail_back: bool,
    /// How long a request waits for the probe of a suspect backend that holds its session. Default 250 ms.
    pub suspect_hold: Duration,
}

/// Affinity modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AffinityMode {
    /// Evidence and binding: the design's own.
    Bind,
    /// Consistent hash of the session id only; loses the first session of every client.
    Hash,
    /// No affinity.
    None,
}

/// What the first choice for a client without evidence is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstContact {
    /// Client address, user agent and host: parallel first requests agree.
    Client,
    /// One choice for all of a connection's requests without evidence.
    Connection,
    /// The balancing algorithm alone, request by request.
    Balance,
}

/// Bounds of the learned table, and where else it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Learn {
    /// Sessions kept; the least recently used go first. Default 1 000 000.
    pub capacity: usize,
    /// A session unused for this long is forgotten. Default 30 min.
    pub idle: Duration,
    /// Whether the state folder keeps the table over a restart. Default true.
    pub persist: bool,
    /// Through what replicas share it, if they do.
    pub shared: Option<Shared>,
}

/// Redis or Valkey, through which replicas share the learned table.
#[derive(Clone, PartialEq)]
pub struct Shared {
    /// Its name or IP address.
    pub host: String,
    /// Its port. Default 6379.
    pub port: u16,
    /// Whether it is spoken to over TLS.
    pub tls: bool,
    /// The number of its database. Default 0.
    pub database: i64,
    /// Who we are there, if it asks.
    pub user: Option<String>,
    /// Our password there, if it asks.
    pub password: Option<Secret>,
    /// How long a request waits for its answer. Default 50 ms.
    pub timeout: Duration,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, tls, database, user: _, password: _, timeout } = self;
        write!(f, "Shared({host}:{port}/{database}, tls: {tls}, timeout: {timeout:?})")
    }
}

/// The load-balancer cookie.
#[derive(Clone, Debug, PartialEq)]
pub struct LbCookie {
    /// Its name; `None`: made from the pool's name.
    pub name: Option<String>,
    /// When it is issued.
    pub insert: Insert,
    /// Its `Domain` attribute, if any.
    pub domain: Option<String>,
    /// Its `Secure` attribute.
    pub secure: Toggle,
    /// Its `HttpOnly` attribute. Default true.
    pub http_only: bool,
    /// Its `SameSite` attribute; `None`: as the application's own cookie.
    pub same_site: Option<SameSite>,
    /// Its `Partitioned` attribute; `Auto`: as the application's own cookie.
    pub partitioned: Toggle,
    /// A token not seen for this long no longer counts; `None`: no such limit.
    pub idle: Option<Duration>,
    /// A token older than this no longer counts; `None`: no such limit.
    pub lifetime: Option<Duration>,
}

/// When the load-balancer cookie is issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insert {
    /// When nothing else leads the client back, and with each application cookie.
    WhenNeeded,
    /// Whenever the client does not hold a current one.
    Always,
    /// Never: learned sessions and route suffixes only.
    Never,
}

/// Yes, no, or as the surroundings have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toggle {
    /// As the connection or the application's own cookie has it.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Values of the `SameSite` attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// `SameSite=Strict`
    Strict,
    /// `SameSite=Lax`
    Lax,
    /// `SameSite=None`
    None,
}

/// What happens to a session whose backend is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLostBackend {
    /// It moves to the one successor.
    Move,
    /// 503 with `Retry-After`.
    Fail,
}

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
}

/// Ejection by what real requests meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passive {
    /// Failures in a row (refused, reset, timed out; not statuses) that eject; 0: off. Default 5.
    pub consecutive_failures: u32,
    /// How long an ejected backend takes nothing before it is tried again. Default 10 s.
    pub eject: Duration,
}

/// Bounds on how long a backend may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolTimeouts {
    /// To connect. Default 2 s.
    pub connect: Duration,
    /// Between two reads from it. Default 60 s.
    pub read: Duration,
    /// For one write to it. Default 60 s.
    pub write: Duration,
    /// That an idle connection to it is kept. Default 15 s: below Tomcat's own 20 s.
    pub idle: Duration,
}

/// When a request is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Tries after the first. Default 2, at most 8.
    pub attempts: u32,
    /// After a connection could not be made: nothing was sent, so any method. Default true.
    pub on_connect: bool,
    /// After a reset before the first response byte: idempotent methods only. Default true.
    pub on_reset: bool,
}
