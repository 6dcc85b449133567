//! What routes see of a request.

use std::net::IpAddr;

use http::{HeaderMap, Method};

/// What routes see of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// The method.
    pub method: &'a Method,
    /// The host as sent, with or without a port.
    pub host: Option<&'a [u8]>,
    /// The request target as sent.
    pub target: &'a [u8],
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The client's address, after trusted proxies.
    pub client: IpAddr,
    /// The server name of the TLS handshake; `None`: cleartext, or the client named none.
    pub server_name: Option<&'a str>,
}

impl<'a> RequestView<'a> {
    /// The path as sent; `None`: the target is no URL, as in `OPTIONS *`.
    pub(super) fn path(&self) -> Option<&'a [u8]> {
        let end = memchr::memchr2(b'?', b'#', self.target).unwrap_or(self.target.len());
        let target = self.target.get(..end)?;
        if target.starts_with(b"/") {
            return Some(target);
        }
        // Absolute form (RFC 9112 section 3.2.2): the host is known from elsewhere.
        let authority = memchr::memmem::find(target, b"://")? + 3;
        let rest = target.get(authority..)?;
        Some(memchr::memchr(b'/', rest).and_then(|at| rest.get(at..)).unwrap_or(b"/"))
    }

    /// The query as sent, without `?`; empty: none.
    pub(super) fn query(&self) -> &'a [u8] {
        let end = memchr::memchr(b'#', self.target).unwrap_or(self.target.len());
        let target = self.target.get(..end).unwrap_or(self.target);
        memchr::memchr(b'?', target).and_then(|at| target.get(at + 1..)).unwrap_or_default()
    }
}
