//! The socket of a session to its backend: connected, so that the kernel brings what the backend sends, and word of it when
//! nobody is there.

use std::cell::{Cell, OnceCell};
use std::io;
use std::net::SocketAddr;

use quinn_udp::UdpSocketState;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::batch::{self, Batch, Datagrams, Origin, Unsent};

/// Datagrams after which a session is worth the calls that prepare its socket for many at a time.
const MANY: u32 = 8;

/// What is to be known of: datagrams, and errors.
const NEWS: Interest = Interest::READABLE.add(Interest::ERROR);

/// A connected socket.
pub(super) struct Upstream {
    socket: UdpSocket,
    to: Origin,
    /// Once it is prepared for many datagrams at a time.
    many: OnceCell<UdpSocketState>,
    sent: Cell<u32>,
}

impl Upstream {
    /// A socket for a backend, from a port of its own. `whole`: no datagram may be cut on the way, as QUIC wants it.
    ///
    /// # Errors
    /// The system has none left, or knows no way to the backend.
    pub(super) fn connect(backend: SocketAddr, whole: bool) -> io::Result<Self> {
        let socket =
            Socket::new(Domain::for_address(backend), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        socket.connect(&backend.into())?;
        let upstream = Self::new(socket.into(), backend)?;
        if whole {
            let _ = upstream.many.set(UdpSocketState::new((&upstream.socket).into())?);
        }
        Ok(upstream)
    }

    /// The socket of another process to a backend. `many`: it was prepared there, and brings many datagrams in one piece.
    ///
    /// # Errors
    /// It cannot be listened to, or not be prepared.
    pub(super) fn adopt(socket: std::net::UdpSocket, backend: SocketAddr, many: bool) -> io::Result<Self> {
        let upstream = Self::new(socket, backend)?;
        if many && upstream.prepare().is_none() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(upstream)
    }

    fn new(socket: std::net::UdpSocket, backend: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::from_std(socket)?;
        let to = Origin { from: backend, to: None };
        Ok(Self { socket, to, many: OnceCell::new(), sent: Cell::new(0) })
    }

    /// For another process: the socket, and whether it is prepared for many datagrams at a time.
    ///
    /// # Errors
    /// The runtime does not give it up.
    pub(super) fn into_socket(self) -> io::Result<(std::net::UdpSocket, bool)> {
        Ok((self.socket.into_std()?, self.many.get().is_some()))
    }

    /// Sends to the backend.
    ///
    /// # Errors
    /// What could not be sent. A refusal of earlier datagrams shows here, too.
    pub(super) fn send<'b>(&self, datagrams: Datagrams<'b>) -> Result<(), Unsent<'b>> {
        let single = datagrams.count() == 1 && datagrams.ecn.is_none();
        if let Some(state) = self.prepared(datagrams.count())
            && !single
        {
            return batch::send(&self.socket, state, self.to, datagrams);
        }
        let mut at = 0;
        for bytes in datagrams.each() {
            // Not by way of the runtime, which knows of a new socket only later that it can be written to.
            if let Err(error) = send(&self.socket, bytes, SendFlags::DONTWAIT).map_err(io::Error::from) {
                let rest = datagrams.bytes.get(at..).unwrap_or_default();
                return Err(Unsent { rest: Datagrams { bytes: rest, ..datagrams }, error });
            }
            at += bytes.len();
        }
        Ok(())
    }

    /// What many datagrams at a time need, as soon as there are many.
    fn prepared(&self, more: usize) -> Option<&UdpSocketState> {
        if let Some(state) = self.many.get() {
            return Some(state);
        }
        let sent = self.sent.get().saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        self.sent.set(sent);
        if sent < MANY {
            return None;
        }
        self.prepare()
    }

    fn prepare(&self) -> Option<&UdpSocketState> {
        let state = UdpSocketState::new((&self.socket).into()).ok()?;
        batch::allow_fragments(&self.socket, self.to.from.is_ipv4());
        Some(self.many.get_or_init(|| state))
    }

    /// Waits for datagrams or an error.
    ///
    /// # Errors
    /// The runtime is ending.
    pub(super) async fn news(&self) -> io::Result<()> {
        self.socket.ready(NEWS).await.map(drop)
    }

    /// Receives what the backend has sent.
    ///
    /// # Errors
    /// Nothing is there (`WouldBlock`), or nobody is (a refusal).
    pub(super) fn receive(&self, batch: &mut Batch) -> io::Result<()> {
        let mut all = false;
        let received = self.socket.try_io(Interest::READABLE, || {
            all = self.receive_once(batch)?;
            if all { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match received {
            // There is no more: the next look waits for news, without another call that only says so.
            Err(_) if all => Ok(()),
            // One after the other: the runtime knows of no interest in both when it is asked for what is ready.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.socket.try_io(Interest::ERROR, || self.receive_once(batch).map(drop))
            }
            received => received,
        }
    }

    /// Gives whether that was all, as far as one can tell.
    fn receive_once(&self, batch: &mut Batch) -> io::Result<bool> {
        if let Some(state) = self.many.get() {
            batch.receive((&self.socket).into(), state)?;
            return Ok(batch.was_all());
        }
        batch.receive_one(|room| {
            let received = recv(&self.socket, room, RecvFlags::DONTWAIT);
            received.map(|(received, _)| received).map_err(io::Error::from)
        })?;
        Ok(false)
    }
}
