//! What becomes of the requests that a route takes.

/// What becomes of the requests that a route takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A pool serves them: an index into [`Checked::pools`](super::Checked::pools).
    Pool(usize),
    /// One of these pools does, by its weight.
    Split(Vec<(usize, u32)>),
    /// The client is sent elsewhere.
    Redirect {
        /// 301, 302, 303, 307 or 308. Default 302.
        status: u16,
        /// Where to.
        to: Template,
    },
    /// This very answer.
    Respond {
        /// Its status. Default 200.
        status: u16,
        /// Its media type.
        media_type: String,
        /// Its body.
        body: Vec<u8>,
    },
}

/// A text with pieces of the request.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Template(pub Vec<Piece>);

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// This very text.
    Text(String),
    /// `http` or `https`.
    Scheme,
    /// The host, without port.
    Host,
    /// The path.
    Path,
    /// The path behind the prefix that matched.
    Rest,
    /// The query, with its `?`.
    Query,
    /// The client's address.
    Client,
    /// The request's id, where the listener has ids.
    RequestId,
}

/// What is changed in header fields: removed, then set, then added.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct HeaderChanges {
    /// Names, in lower case.
    pub remove: Vec<String>,
    /// Names as written, and values.
    pub set: Vec<(String, Template)>,
    /// Names as written, and values.
    pub add: Vec<(String, Template)>,
}

/// What the backend is asked instead.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Rewrite {
    /// The path; `None`: as sent.
    pub path: Option<Template>,
    /// The host; `None`: as sent.
    pub host: Option<Template>,
}

/// A share of the requests is sent to another pool, too.
#[derive(Clone, Debug, PartialEq)]
pub struct Mirror {
    /// An index into [`Checked::pools`](super::Checked::pools).
    pub pool: usize,
    /// 0 to 1. Default 1.
    pub share: f64,
    /// A request with a longer body is not sent. Default 64 KiB.
    pub body_bytes: usize,
    /// At the same time; further ones are not sent. Default 100.
    pub at_once: usize,
}
