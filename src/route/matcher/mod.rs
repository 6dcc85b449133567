//! Which requests a route takes: one of its hosts, one of its paths, and all of its other conditions.

mod field;
mod host;
mod media;

use http::{HeaderName, Method};
use ipnet::IpNet;
use regex::bytes::Regex;

pub use field::ValueTest;
pub use host::HostPattern;
pub(super) use host::{Name, parents};
pub use media::{MediaRange, quality};

use super::view::RequestView;

/// Which requests a route takes.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    /// One of these hosts; empty: any.
    pub hosts: Vec<HostPattern>,
    /// One of these paths; empty: any.
    pub paths: Vec<PathPattern>,
    /// All of these.
    pub conditions: Vec<Condition>,
}

/// A path, or many.
#[derive(Clone, Debug)]
pub enum PathPattern {
    /// This very path, in its usual reading.
    Exact(Box<[u8]>),
    /// This path and all below it: `/a` takes `/a`, `/a/` and `/a/b`, not `/ab`.
    Prefix(Box<[u8]>),
    /// What this matches. It is to be anchored at both ends.
    Regex(Regex),
}

/// Something besides host and path.
#[derive(Clone, Debug)]
pub enum Condition {
    /// One of these methods.
    Method(Box<[Method]>),
    /// A header field.
    Header(HeaderName, ValueTest),
    /// A cookie.
    Cookie(Box<[u8]>, ValueTest),
    /// A parameter of the query.
    Query(Box<[u8]>, ValueTest),
    /// The client names one of these media types in `Accept`, and likes none better.
    Accept(Box<[MediaRange]>),
    /// The body is one of these.
    ContentType(Box<[MediaRange]>),
    /// The client's address is in one of these networks.
    Client(Box<[IpNet]>),
    /// The TLS handshake named one of these servers.
    ServerName(Box<[HostPattern]>),
}

impl Condition {
    /// Whether a request meets it.
    pub(super) fn holds(&self, request: &RequestView<'_>) -> bool {
        match self {
            Self::Method(methods) => methods.contains(request.method),
            Self::Header(name, test) => test.header(request, name),
            Self::Cookie(name, test) => test.cookie(request, name),
            Self::Query(name, test) => test.query(request, name),
            Self::Accept(types) => media::prefers(request.headers, types),
            Self::ContentType(types) => media::is_one_of(request.headers, types),
            Self::Client(networks) => networks.iter().any(|network| network.contains(&request.client)),
            Self::ServerName(patterns) => {
                let name = request.server_name.and_then(|name| Name::of(name.as_bytes()));
                name.is_some_and(|name| patterns.iter().any(|pattern| pattern.takes(name.as_bytes())))
            }
        }
    }
}

#[cfg(test)]
impl Matcher {
    /// The plain meaning, without an index; `path` in one of its readings.
    pub(super) fn takes(&self, request: &RequestView<'_>, path: Option<&[u8]>) -> bool {
        let name = request.host.and_then(Name::of);
        let host = |pattern: &HostPattern| name.as_ref().is_some_and(|name| pattern.takes(name.as_bytes()));
        let path = |pattern: &PathPattern| path.is_some_and(|path| pattern.takes(path));
        (self.hosts.is_empty() || self.hosts.iter().any(host))
            && (self.paths.is_empty() || self.paths.iter().any(path))
            && self.conditions.iter().all(|condition| condition.holds(request))
    }
}

#[cfg(test)]
impl PathPattern {
    fn takes(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => **exact == *path,
            Self::Prefix(prefix) => {
                let prefix = prefix.strip_suffix(b"/").unwrap_or(prefix);
                path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
            }
            Self::Regex(regex) => regex.is_match(path),
        }
    }
}
