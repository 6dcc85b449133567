//! The sockets of the listeners: those of the process before, where there are any, or new ones.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd as _, BorrowedFd};

use crate::config::checked::{Layer4, Listener};
use crate::lifecycle::Inheritance;
use crate::listen::{BindError, bind, bind_udp};

/// The sockets of one listener.
pub(super) enum Sockets {
    /// TCP has one.
    Tcp(TcpListener),
    /// UDP has several, over which clients are spread.
    Udp(Vec<UdpSocket>),
}

impl Sockets {
    /// Takes over what there is of a listener, or binds it; UDP for so many threads.
    pub(super) fn open(
        listener: &Listener,
        inherited: &mut Option<Inheritance>,
        threads: usize,
    ) -> Result<Self, BindError> {
        let udp = matches!(listener.layer4, Some(Layer4::Udp(_)));
        let address = heirloom_address(listener.address, udp);
        let mut next = || inherited.as_mut().and_then(|it| it.socket(&listener.name, &address));
        if !udp {
            return next().map_or_else(|| bind(listener.address), |socket| Ok(socket.into())).map(Self::Tcp);
        }
        // As many as there were, whatever the number of threads: the kernel spreads clients by it.
        let sockets: Vec<_> = std::iter::from_fn(next).map(UdpSocket::from).collect();
        if sockets.is_empty() {
            bind_udp(listener.address, threads).map(Self::Udp)
        } else {
            Ok(Self::Udp(sockets))
        }
    }
}

/// What a listener's sockets are called when they are handed over. A TCP socket must not be taken for one of UDP.
pub(super) fn heirloom_address(address: SocketAddr, udp: bool) -> String {
    if udp { format!("udp {address}") } else { address.to_string() }
}

/// The sockets of one listener, to look at.
pub(super) enum Opened<'s> {
    Tcp(&'s TcpListener),
    Udp(&'s [UdpSocket]),
}

impl Opened<'_> {
    /// Where it listens; tells the port where the configuration has 0.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok(),
            Self::Udp(sockets) => sockets.first()?.local_addr().ok(),
        }
    }

    pub(super) fn is_udp(&self) -> bool {
        matches!(self, Self::Udp(_))
    }

    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Tcp(socket) => vec![socket.as_fd()],
            Self::Udp(sockets) => sockets.iter().map(|socket| socket.as_fd()).collect(),
        }
    }
}
