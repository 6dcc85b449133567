//! A connection to a backend that Pingora would make otherwise: for an upgrade request (a WebSocket's handshake), and where the
//! backend is told of the client before anything else (the PROXY protocol).
//!
//! Pingora 0.9 closes a tunnel at once when the backend's 101 is there before the end of the request's empty
//! body was taken note of (its issue 946): both wait in one `select`, which takes either. So the first bytes of
//! the response are held back for a few turns of that loop, in which the end of the body is all there is. Over TLS, each of our
//! first flights may be the one that the response answers.

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
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Writes after which the next bytes are held back: those of a TLS handshake, and of the request.
const WRITES: u8 = 4;

/// Turns for which the first bytes are held back. Two would do; none of them waits for anything.
const TURNS: u8 = 4;

/// Connects.
#[derive(Debug)]
pub(super) struct OwnConnect {
    /// For the connection to be made.
    pub(super) limit: Duration,
    /// What is sent before anything else.
    pub(super) greeting: Vec<u8>,
    /// Whether the first bytes of a response are held back.
    pub(super) holds_back: bool,
}

#[async_trait]
impl L4Connect for OwnConnect {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let Some(address) = address.as_inet() else {
            return Error::e_explain(ErrorType::InternalError, "a connection of our own needs an IP address");
        };
        let connected = timeout(self.limit, async {
            let mut tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            tcp.write_all(&self.greeting).await?;
            Ok(tcp)
        });
        match connected.await {
            Ok(Ok(tcp)) => {
                if !self.holds_back {
                    // As Pingora makes it: only such a one can serve another request later.
                    return Ok(Stream::from(tcp));
                }
                let socket = Box::new(Tunnel { tcp, turns: 0, writes: WRITES });
                Ok(Stream::from(VirtualSocketStream::new(socket)))
            }
            Ok(Err(error)) => Error::e_because(kind(&error), "a connection could not be made", error),
            Err(_) => Error::e_explain(ErrorType::ConnectTimedout, "a connection could not be made in time"),
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
    /// Turns that are left.
    turns: u8,
    /// Writes that are left.
    writes: u8,
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
        let this = self.get_mut();
        if this.writes > 0 {
            this.writes -= 1;
            this.turns = TURNS;
        }
        Pin::new(&mut this.tcp).poll_write(context, bytes)
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
