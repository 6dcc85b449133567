//! The connection of an upgrade request (a WebSocket's handshake) to its backend.
//!
//! Pingora 0.9 closes a tunnel at once when the backend's 101 is there before the end of the request's empty
//! body was taken note of (its issue 946): both wait in one `select`, which takes either. So the first bytes of
//! the response are held back for a few turns of that loop, in which the end of the body is all there is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::{Error, ErrorType, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Turns for which the first bytes are held back. Two would do; none of them waits for anything.
const TURNS: u8 = 4;

/// Connects for an upgrade request.
#[derive(Debug)]
pub(super) struct TunnelConnect {
    /// For the connection to be made.
    pub(super) limit: Duration,
}

#[async_trait]
impl L4Connect for TunnelConnect {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let Some(address) = address.as_inet() else {
            return Error::e_explain(ErrorType::InternalError, "a tunnel needs an IP address");
        };
        match timeout(self.limit, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                let socket = Box::new(Tunnel { tcp, turns: TURNS });
                Ok(Stream::from(VirtualSocketStream::new(socket)))
            }
            Ok(Err(error)) => Error::e_because(kind(&error), "a tunnel could not be connected", error),
            Err(_) => Error::e_explain(ErrorType::ConnectTimedout, "a tunnel could not be connected in time"),
        }
    }
}

/// As Pingora sorts these errors for every other connection.
fn kind(error: &io::Error) -> ErrorType {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
        io::ErrorKind::AddrNotAvailable => ErrorType::InternalError,
        _ => match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => ErrorType::InternalError,
            Some(libc::ENETUNREACH | libc::EHOSTUNREACH) => ErrorType::ConnectNoRoute,
            _ => ErrorType::ConnectError,
        },
    }
}

/// A connection whose first bytes are held back for some turns.
#[derive(Debug)]
struct Tunnel {
    tcp: TcpStream,
    turns: u8,
}

impl AsyncRead for Tunnel {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.turns > 0 {
            this.turns -= 1;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut this.tcp).poll_read(context, to)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(context)
    }
}

impl VirtualSocket for Tunnel {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.tcp.set_nodelay(true),
            // Nobody asks for keep-alive on a tunnel's own connection.
            _ => Ok(()),
        }
    }
}
