//! Binding a listening socket, before the server starts, so that a failure is a readable error.

use std::fmt::Display;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
pub(super) const BACKLOG: i32 = 65_535;

/// A socket could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; {help}")]
pub struct BindError {
    address: String,
    source: std::io::Error,
    help: &'static str,
}

impl BindError {
    pub(super) fn new(address: impl Display, source: std::io::Error, help: &'static str) -> Self {
        Self { address: address.to_string(), source, help }
    }
}

/// Binds and listens, non-blocking, with `SO_REUSEADDR`; an IPv6 address takes IPv6 only.
///
/// # Errors
/// The address is in use, not of this machine, or not allowed; the error says what to do.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    try_bind(address).map_err(|source| {
        let help = help(&source);
        BindError::new(address, source, help)
    })
}

fn try_bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `0.0.0.0:80` and `[::]:80` are two listeners, whatever the system's default.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn help(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "another process listens there: stop it or choose another port",
        std::io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
        std::io::ErrorKind::PermissionDenied => {
            "ports below 1024 need CAP_NET_BIND_SERVICE: grant it or choose a port above"
        }
        _ => "see the listener's address in the configuration",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_is_named_with_its_remedy() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(address).unwrap_err().to_string();
        assert!(
            error.contains(&address.to_string()) && error.contains("another process listens there"),
            "{error}"
        );
    }
}
