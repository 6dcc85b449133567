//! The sockets of the listeners: those of the process before, where there are any, or new ones.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use crate::config::checked::{Layer4, Listener};
use crate::lifecycle::Inheritance;
use crate::listen::{BindError, SocketFile, bind, bind_udp, bind_unix};
use crate::names::ListenAddress;

/// The sockets of one listener.
pub(super) enum Sockets {
    /// TCP has one.
    Tcp(TcpListener),
    /// TCP at a socket in the file system, with its file, if that is still there.
    Unix(UnixListener, Option<Arc<SocketFile>>),
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
        let name = heirloom_address(&listener.address, udp);
        let mut next = || inherited.as_mut().and_then(|it| it.socket(&listener.name, &name));
        let address = match &listener.address {
            ListenAddress::Ip(address) => *address,
            ListenAddress::Unix(path) => {
                // Without its file nobody would find it.
                let socket = match next().filter(|_| path.exists()) {
                    Some(socket) => socket.into(),
                    None => bind_unix(path, listener.socket_mode)?,
                };
                return Ok(Self::Unix(socket, file(path, listener.socket_mode)));
            }
        };
        if !udp {
            return next().map_or_else(|| bind(address), |socket| Ok(socket.into())).map(Self::Tcp);
        }
        // As many as there were, whatever the number of threads: the kernel spreads clients by it.
        let sockets: Vec<_> = std::iter::from_fn(next).map(UdpSocket::from).collect();
        if sockets.is_empty() { bind_udp(address, threads).map(Self::Udp) } else { Ok(Self::Udp(sockets)) }
    }

    /// The file of its socket, where it has one.
    pub(super) fn file(&self) -> Option<&SocketFile> {
        match self {
            Self::Unix(_, file) => file.as_deref(),
            Self::Tcp(_) | Self::Udp(_) => None,
        }
    }
}

/// The file of a socket that listens already; one that was inherited may have got another mode in the configuration.
fn file(path: &Path, mode: u32) -> Option<Arc<SocketFile>> {
    let file = SocketFile::at(path).inspect_err(|error| log::warn!("unix:{}: {error}", path.display()));
    let file = file.ok().map(Arc::new);
    file.inspect(|file| file.follow(mode))
}

/// What a listener's sockets are called when they are handed over. A TCP socket must not be taken for one of UDP.
pub(super) fn heirloom_address(address: &ListenAddress, udp: bool) -> String {
    if udp { format!("udp {address}") } else { address.to_string() }
}

/// The sockets of one listener, to look at.
pub(super) enum Opened<'s> {
    Tcp(&'s TcpListener),
    Unix(&'s UnixListener),
    Udp(&'s [UdpSocket]),
}

impl Opened<'_> {
    /// Where it listens; tells the port where the configuration has 0.
    pub(super) fn address(&self) -> Option<ListenAddress> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok().map(ListenAddress::Ip),
            Self::Unix(socket) => {
                socket.local_addr().ok()?.as_pathname().map(|path| ListenAddress::Unix(path.into()))
            }
            Self::Udp(sockets) => sockets.first()?.local_addr().ok().map(ListenAddress::Ip),
        }
    }

    pub(super) fn is_udp(&self) -> bool {
        matches!(self, Self::Udp(_))
    }

    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Tcp(socket) => vec![socket.as_fd()],
            Self::Unix(socket) => vec![socket.as_fd()],
            Self::Udp(sockets) => sockets.iter().map(|socket| socket.as_fd()).collect(),
        }
    }
}
