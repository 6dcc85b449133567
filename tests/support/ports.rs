//! Ports that the kernel chose and that stay ours.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Socket, Type};

/// A port of 127.0.0.1, reserved for one server for as long as this lives, also while that server is down.
///
/// The reservation is a socket that is bound and never listens, with `SO_REUSEADDR`: a server that sets the
/// same option (Java, Pingora) can bind and listen beside it, the kernel gives the port to nobody else, and a
/// connection is refused while no server listens.
pub(crate) struct Port {
    address: SocketAddr,
    _reservation: Socket,
}

impl Port {
    /// Reserves a port that the kernel chooses.
    pub(crate) fn reserve() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        Self { address, _reservation: socket }
    }

    /// Reserves one that nobody uses for UDP, at this moment.
    pub(crate) fn reserve_for_udp() -> Self {
        let free = |port: &Self| UdpSocket::bind(port.address).is_ok();
        std::iter::repeat_with(Self::reserve).find(free).unwrap()
    }

    /// The address to listen on and to connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}
