//! Which requests go where.

use ipnet::IpNet;
use regex::bytes::Regex;

use super::action::{Action, HeaderChanges, Mirror, Rewrite};
use super::limits::RequestLimit;

/// A rule that says what becomes of requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Its name in log and `explain`; `None`: its number.
    pub name: Option<String>,
    /// Which requests it takes.
    pub matcher: Matcher,
    /// What becomes of them.
    pub action: Action,
    /// What the backend is asked instead.
    pub rewrite: Rewrite,
    /// What is changed in the header fields that the backend gets.
    pub request_headers: HeaderChanges,
    /// What is changed in the header fields that the client gets.
    pub response_headers: HeaderChanges,
    /// Where else they are sent.
    pub mirror: Option<Mirror>,
    /// Limits of requests in a time, beside the listener's.
    pub requests: Vec<RequestLimit>,
}

/// Which requests a route takes. An empty list puts no condition; all others have to hold.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Matcher {
    /// One of these hosts.
    pub hosts: Vec<HostPattern>,
    /// One of these paths.
    pub paths: Vec<PathPattern>,
    /// One of these methods, in upper case.
    pub methods: Vec<String>,
    /// Each of these header fields, by its name in lower case.
    pub headers: Vec<(String, ValueTest)>,
    /// Each of these cookies.
    pub cookies: Vec<(String, ValueTest)>,
    /// Each of these parameters of the query.
    pub query: Vec<(String, ValueTest)>,
    /// The client prefers one of these media types.
    pub accept: Vec<MediaRange>,
    /// The body is of one of these media types.
    pub content_type: Vec<MediaRange>,
    /// The client's address is in one of these networks.
    pub client: Vec<IpNet>,
    /// The TLS handshake named one of these servers.
    pub server_names: Vec<HostPattern>,
}

/// A host, or many; in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// This very host.
    Exact(String),
    /// Every host below this domain.
    Below(String),
}

/// A path, or many; decoded.
#[derive(Clone, Debug, PartialEq)]
pub enum PathPattern {
    /// This very path.
    Exact(Vec<u8>),
    /// This path and all below it.
    Prefix(Vec<u8>),
    /// What this matches as a whole.
    Regex(Pattern),
}

/// What a value has to be.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueTest {
    /// It is there.
    Present,
    /// It is not there.
    Absent,
    /// It is one of these.
    Equals(Vec<String>),
    /// This matches it as a whole.
    Regex(Pattern),
}

/// A regular expression that is anchored at both ends.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As the configuration writes it.
    pub text: String,
    /// Compiled.
    pub regex: Regex,
}

impl Eq for Pattern {}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// A media type, or all of a kind; in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRange {
    /// Such as `text`.
    pub kind: String,
    /// Such as `csv`; `None`: any.
    pub subtype: Option<String>,
}
