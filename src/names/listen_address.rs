//! Where a listener or the admin API listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// Where a listener or the admin API listens: `0.0.0.0:8080`, or `unix:/run/steadfast/db.sock`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// At an IP address and port.
    Ip(SocketAddr),
    /// At a socket in the file system.
    Unix(Arc<Path>),
}

impl ListenAddress {
    /// The IP address and port, if that is what it is.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Debug for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
