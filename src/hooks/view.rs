//! What hooks see: views of our own, so that Pingora's types are no promise of ours.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};

use super::hook::BoxError;
use crate::names::{BackendId, PoolName};

/// A request.
#[derive(Debug)]
pub struct RequestView<'a> {
    head: &'a mut RequestHeader,
    client: IpAddr,
}

impl<'a> RequestView<'a> {
    pub(crate) fn new(head: &'a mut RequestHeader, client: IpAddr) -> Self {
        Self { head, client }
    }

    /// The method.
    pub fn method(&self) -> &str {
        self.head.method.as_str()
    }

    /// The path, as sent.
    pub fn path(&self) -> &str {
        self.head.uri.path()
    }

    /// The query, as sent, without `?`.
    pub fn query(&self) -> Option<&str> {
        self.head.uri.query()
    }

    /// The first header field of that name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.headers.get(name).map(HeaderValue::as_bytes)
    }

    /// The client's address, after trusted proxies.
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// Sets a header field, in the place of all of that name.
    ///
    /// # Errors
    /// The name or the value is none that HTTP allows.
    pub fn set_header(&mut self, name: &str, value: &str) -> Result<(), BoxError> {
        let (name, value) = field(name, value)?;
        Ok(self.head.insert_header(name, value)?)
    }

    /// Removes all header fields of that name.
    pub fn remove_header(&mut self, name: &str) {
        self.head.remove_header(name);
    }
}

/// What a backend is sent.
#[derive(Debug)]
pub struct UpstreamRequest<'a> {
    head: &'a mut RequestHeader,
    backend: &'a BackendId,
}

impl<'a> UpstreamRequest<'a> {
    pub(crate) fn new(head: &'a mut RequestHeader, backend: &'a BackendId) -> Self {
        Self { head, backend }
    }

    /// The backend.
    pub fn backend(&self) -> &BackendId {
        self.backend
    }

    /// The first header field of that name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.headers.get(name).map(HeaderValue::as_bytes)
    }

    /// Sets a header field, in the place of all of that name.
    ///
    /// # Errors
    /// The name or the value is none that HTTP allows.
    pub fn set_header(&mut self, name: &str, value: &str) -> Result<(), BoxError> {
        let (name, value) = field(name, value)?;
        Ok(self.head.insert_header(name, value)?)
    }

    /// Removes all header fields of that name.
    pub fn remove_header(&mut self, name: &str) {
        self.head.remove_header(name);
    }
}

/// A response's head.
#[derive(Debug)]
pub struct ResponseView<'a> {
    head: &'a mut ResponseHeader,
}

impl<'a> ResponseView<'a> {
    pub(crate) fn new(head: &'a mut ResponseHeader) -> Self {
        Self { head }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// The first header field of that name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.headers.get(name).map(HeaderValue::as_bytes)
    }

    /// Sets a header field, in the place of all of that name; for `Set-Cookie`, append.
    ///
    /// # Errors
    /// The name or the value is none that HTTP allows.
    pub fn set_header(&mut self, name: &str, value: &str) -> Result<(), BoxError> {
        let (name, value) = field(name, value)?;
        Ok(self.head.insert_header(name, value)?)
    }

    /// Adds a header field beside those of that name.
    ///
    /// # Errors
    /// The name or the value is none that HTTP allows.
    pub fn append_header(&mut self, name: &str, value: &str) -> Result<(), BoxError> {
        let (name, value) = field(name, value)?;
        self.head.append_header(name, value)?;
        Ok(())
    }

    /// Removes all header fields of that name.
    pub fn remove_header(&mut self, name: &str) {
        self.head.remove_header(name);
    }
}

/// A choice among backends for a new session.
#[derive(Debug)]
pub struct Choice<'a> {
    /// The pool.
    pub pool: &'a PoolName,
    /// The backends that take new sessions, in the order of the configuration.
    pub admissible: &'a [&'a BackendId],
    /// The backend that the algorithm has chosen.
    pub chosen: &'a BackendId,
    /// The client's address, after trusted proxies.
    pub client: IpAddr,
}

/// An answer that no backend gives.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// An answer without a body.
    pub fn new(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// With a body of this media type.
    #[must_use]
    pub fn body(mut self, media_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        self.headers.push((http::header::CONTENT_TYPE, HeaderValue::from_static(media_type)));
        self.body = body.into();
        self
    }

    /// With a header field.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

fn field(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), BoxError> {
    Ok((HeaderName::try_from(name)?, HeaderValue::try_from(value)?))
}
