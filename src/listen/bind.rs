//! Binding a listening socket, before the server starts, so that a failure is a readable error.

use std::fmt::Display;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
pub(super) const BACKLOG: i32 = 65_535;

/// What waits in the kernel to be read or sent: some milliseconds of a full line.
const UDP_BUFFER: usize = 4 << 20;

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

/// Binds so many sockets to one UDP address, non-blocking. The kernel spreads clients over them by address and port, so that
/// each can be read by a thread of its own.
///
/// # Errors
/// The address is in use, not of this machine, or not allowed; the error says what to do.
pub fn bind_udp(address: SocketAddr, count: usize) -> Result<Vec<UdpSocket>, BindError> {
    try_bind_udp(address, count).map_err(|source| {
        let help = help(&source);
        BindError::new(address, source, help)
    })
}

fn try_bind_udp(address: SocketAddr, count: usize) -> std::io::Result<Vec<UdpSocket>> {
    let new = || {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        // The system cuts it to `net.core.rmem_max` and `wmem_max`; what it gives is worth no failure.
        let _ = socket.set_recv_buffer_size(UDP_BUFFER);
        let _ = socket.set_send_buffer_size(UDP_BUFFER);
        Ok::<_, std::io::Error>(socket)
    };
    // Alone at first: with `SO_REUSEPORT` it would share the port with whoever is there already, as a second process of
    // the same user.
    let first = new()?;
    first.bind(&address.into())?;
    first.set_reuse_port(true)?;
    let address = first.local_addr()?;
    let further = (1..count).map(|_| {
        let socket = new()?;
        socket.set_reuse_port(true)?;
        socket.bind(&address)?;
        Ok(socket.into())
    });
    std::iter::once(Ok(first.into())).chain(further).collect()
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

    #[test]
    fn several_udp_sockets_share_a_port_that_nobody_else_gets() {
        let sockets = bind_udp("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let address = sockets[0].local_addr().unwrap();
        assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == address));
        let error = bind_udp(address, 2).unwrap_err().to_string();
        assert!(error.contains("another process listens there"), "{error}");
    }
}
