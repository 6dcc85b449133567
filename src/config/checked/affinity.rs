//! How a session stays on its backend.

use std::time::Duration;

use super::{Secret, SourceAddress};

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
    /// In a pool of layer 4: how clients are told apart. How long they are known, says `learn.idle`.
    pub source_address: Option<SourceAddress>,
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
