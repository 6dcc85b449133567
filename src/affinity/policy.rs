//! One pool's affinity, compiled: what evidence to look for, and how to bind.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::first_contact::FirstContacts;
use super::learned::Learned;
use super::set_cookie::SameSite;
use super::token::{KeyRing, PoolBinding};

/// How a pool keeps its sessions on their backends, with the tables that it needs for that.
#[derive(Debug)]
pub struct Policy {
    /// By binding, by plain hash, or not at all.
    pub mode: Mode,
    /// Names of the application's session cookies.
    pub application_cookies: Vec<Box<[u8]>>,
    /// Name of the path parameter that may carry the session id.
    pub path_parameter: Option<Box<[u8]>>,
    /// Request header that may carry the session id.
    pub header: Option<HeaderName>,
    /// Query parameter that may carry the session id.
    pub query: Option<Box<[u8]>>,
    /// Whether the part of a session id behind its last dot names a backend.
    pub route_suffix: bool,
    /// What the first choice for a client without evidence is made from.
    pub first_contact: FirstContact,
    /// How long a request waits for a suspect backend that holds its session.
    pub suspect_hold: Duration,
    /// Whether a session whose backend is gone moves, or is refused.
    pub moves: bool,
    /// Whether a moved session returns once its backend is back.
    pub fails_back: bool,
    /// Whether the application's logout also releases the load-balancer cookie.
    pub releases_on_logout: bool,
    /// The load-balancer cookie.
    pub cookie: CookiePolicy,
    /// The keys that seal and open tokens.
    pub keys: Arc<KeyRing>,
    /// What ties a token to this pool.
    pub binding: PoolBinding,
    /// Which backend holds which session.
    pub learned: Arc<Learned>,
    /// First choices of the last second.
    pub contacts: FirstContacts,
}

/// Affinity modes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Evidence and binding.
    Bind,
    /// Consistent hash of the session id only.
    Hash,
    /// No affinity.
    None,
}

/// What the first choice for a client without evidence is made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FirstContact {
    /// Client address, user agent and host.
    Client,
    /// One choice for all requests of a connection.
    Connection,
    /// The balancing algorithm alone.
    Balance,
}

/// How the load-balancer cookie is written.
#[derive(Clone, Debug)]
pub struct CookiePolicy {
    /// Its name, an RFC 6265 token.
    pub name: Box<str>,
    /// When it is issued.
    pub insert: Insert,
    /// Its `Domain`, if any.
    pub domain: Option<Box<str>>,
    /// `Secure`: always, never, or as the client's connection or the application's cookie has it.
    pub secure: Option<bool>,
    /// `HttpOnly`.
    pub http_only: bool,
    /// `SameSite`; `None`: as the application's cookie.
    pub same_site: Option<SameSite>,
    /// `Partitioned`: always, never, or as the application's cookie.
    pub partitioned: Option<bool>,
    /// A token not issued anew for this long no longer counts.
    pub idle: Option<Duration>,
    /// A token whose session began longer ago no longer counts.
    pub lifetime: Option<Duration>,
}

/// When the load-balancer cookie is issued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Insert {
    /// With each application cookie, and when nothing else leads the client back.
    WhenNeeded,
    /// Whenever the client does not hold a current one.
    Always,
    /// Never.
    Never,
}
