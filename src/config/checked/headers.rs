//! What is told about a request, and what it is answered by us.

/// What backends and clients are told about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    /// How backends are told who asks. Default [`ForwardedBy::XForwarded`].
    pub forwarded: ForwardedBy,
    /// The field of the request's id. Default none.
    pub request_id: Option<String>,
    /// What `Server` says to clients; `None`: what the backend says.
    pub server: Option<String>,
    /// What is added to `Via`. Default nothing.
    pub via: Option<String>,
}

/// How backends are told who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedBy {
    /// By `X-Forwarded-For`, `-Proto` and `-Host`.
    XForwarded,
    /// By `Forwarded` (RFC 7239).
    Forwarded,
    /// By both.
    Both,
}

/// The page of one of our own answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPage {
    /// From this status.
    pub first: u16,
    /// To this one.
    pub last: u16,
    /// Its media type.
    pub media_type: String,
    /// Its text.
    pub body: Vec<u8>,
}
