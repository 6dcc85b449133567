//! Where a backend is reached.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What stands before the path of a socket.
const UNIX: &str = "unix:";

/// Where a backend is reached: `10.0.0.11:8080`, or `unix:/run/app.sock`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BackendAddress {
    /// At an IP address and port.
    Ip(SocketAddr),
    /// At a socket in the file system.
    Unix(Arc<Path>),
}

impl BackendAddress {
    /// The IP address and port, if that is what it is.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl From<SocketAddr> for BackendAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl From<([u8; 4], u16)> for BackendAddress {
    fn from(address: ([u8; 4], u16)) -> Self {
        Self::Ip(address.into())
    }
}

impl FromStr for BackendAddress {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix(UNIX) {
            Some(path) => Ok(Self::Unix(Path::new(path).into())),
            None => text.parse().map(Self::Ip),
        }
    }
}

impl fmt::Display for BackendAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

impl fmt::Debug for BackendAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for BackendAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BackendAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for text in ["10.0.0.11:8080", "[fd00::11]:8080", "unix:/run/app.sock"] {
            let address: BackendAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(address.ip().is_none(), text.starts_with("unix:"));
        }
        assert!("/run/app.sock".parse::<BackendAddress>().is_err());
    }
}
