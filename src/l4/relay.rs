//! Moves bytes between two sockets until both have said that no more will come. A few are copied, which costs less than a
//! pipe; as soon as there are many, they pass through one by `splice` and stay in the kernel.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::{Shutdown, shutdown};
use rustix::pipe::{SpliceFlags, splice};
use socket2::SockRef;
use tokio::io::Interest;

use super::pipes::Pipe;
use super::running::Moved;
use super::side::{Side, Sides};

/// What one call may move: as much as a pipe holds, unless the system's default was changed.
const CHUNK: usize = 64 << 10;
/// What is copied at most; where there is more, it is spliced.
const COPIED: usize = 16 << 10;
/// Calls of one turn; then others on this thread have theirs.
const CALLS: u32 = 16;

thread_local! {
    /// What one read may bring. Nothing stays in it over a turn.
    static BUFFER: RefCell<[u8; COPIED]> = const { RefCell::new([0; COPIED]) };
}

/// One direction of a connection.
#[derive(Default)]
struct Direction {
    /// Held only while much is moving.
    pipe: Option<Pipe>,
    /// Bytes in the pipe.
    filled: usize,
    /// What was read and did not fit into the other side's socket.
    left: Vec<u8>,
    /// No more will come.
    ended: bool,
    /// All that came was passed on, or nobody takes it.
    done: bool,
    /// The other side has heard of it.
    told: bool,
}

/// Moves bytes both ways; counts them in `moved`. What comes to an end on one side ends on the other, and the other direction
/// goes on.
///
/// # Errors
/// A side was reset: then both are.
pub(super) async fn relay(sides: &Sides, moved: &Moved) -> io::Result<()> {
    let Sides { client, backend } = sides;
    let (mut up, mut down) = (Direction::default(), Direction::default());
    poll_fn(|cx| {
        // What was a reset on one side is none the less on the other.
        let up_error = |error| reset(backend, error);
        let down_error = |error| reset(client, error);
        let _ = up.poll(cx, client, backend, &moved.up).map_err(up_error)?;
        let _ = down.poll(cx, backend, client, &moved.down).map_err(down_error)?;
        if up.ends_now() {
            let _ = down.poll_last(cx, backend, client, &moved.down).map_err(down_error)?;
        }
        if down.ends_now() {
            let _ = up.poll_last(cx, client, backend, &moved.up).map_err(up_error)?;
        }
        if up.done && down.done { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

/// Has a side reset when it is closed, because of what came of the other one.
fn reset(side: &Side, error: io::Error) -> io::Error {
    let _ = SockRef::from(side).set_linger(Some(Duration::ZERO));
    error
}

impl Direction {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &Side,
        to: &Side,
        moved: &AtomicU64,
    ) -> Poll<io::Result<()>> {
        for _ in 0..CALLS {
            if self.done {
                return Poll::Ready(Ok(()));
            }
            if self.filled > 0 || !self.left.is_empty() {
                ready!(to.poll_write_ready(cx))?;
                match self.write(to) {
                    Ok(bytes) => count(moved, bytes),
                    Err(error) if is_again(&error) => {}
                    // Nobody listens any more, but may have spoken before: the other direction tells.
                    Err(_) => self.finish(),
                }
                continue;
            }
            if self.ended {
                self.finish();
                continue;
            }
            ready!(from.poll_read_ready(cx))?;
            let read = match &self.pipe {
                Some(_) => self.splice(from),
                None => self.copy(|buffer| read_some(from, buffer), to, moved),
            };
            match read {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(error) if is_again(&error) => self.give_back(),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether it is done and the other side has yet to hear of it; once.
    fn ends_now(&mut self) -> bool {
        self.done && !std::mem::replace(&mut self.told, true)
    }

    /// Goes on after the other direction has ended, which `from` hears of. Ends come together as a rule: if this one is there, too, both
    /// sides are closed at once, and nobody has to be told.
    fn poll_last(
        &mut self,
        cx: &mut Context<'_>,
        from: &Side,
        to: &Side,
        moved: &AtomicU64,
    ) -> Poll<io::Result<()>> {
        if !self.done && self.pipe.is_none() && self.left.is_empty() {
            // Without waiting for word that there is something.
            match self.copy(|buffer| Ok(rustix::io::read(from, buffer)?), to, moved) {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(error) if is_again(&error) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let polled = self.poll(cx, from, to, moved);
        if !self.done {
            let _ = shutdown(from, Shutdown::Write);
        }
        polled
    }

    /// Reads once, and writes at once what the other side takes. A buffer that was filled says that more will come, for
    /// which a pipe is taken.
    fn copy(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
        to: &Side,
        moved: &AtomicU64,
    ) -> io::Result<usize> {
        BUFFER.with_borrow_mut(|buffer| {
            let read = read(buffer)?;
            if read == 0 {
                return Ok(0);
            }
            let bytes = buffer.get(..read).unwrap_or_default();
            let written = match to.try_write(bytes) {
                Ok(written) => written,
                Err(error) if is_again(&error) => 0,
                // Nobody listens any more, as above.
                Err(_) => {
                    self.finish();
                    return Ok(read);
                }
            };
            count(moved, written);
            self.left.extend_from_slice(bytes.get(written..).unwrap_or_default());
            if read == COPIED {
                // Where descriptors have run out, copying goes on.
                self.pipe = Pipe::take().ok();
            }
            Ok(read)
        })
    }

    fn splice(&mut self, from: &Side) -> io::Result<usize> {
        let Some(pipe) = &self.pipe else { return Ok(0) };
        self.filled = from.try_io(Interest::READABLE, || through(from, &pipe.write, CHUNK))?;
        Ok(self.filled)
    }

    /// Writes what was read before: what is left of a copy comes before what is in the pipe.
    fn write(&mut self, to: &Side) -> io::Result<usize> {
        if !self.left.is_empty() {
            let written = to.try_write(&self.left)?;
            self.left.drain(..written);
            if self.left.is_empty() {
                self.left = Vec::new();
            }
            return Ok(written);
        }
        let Some(pipe) = &self.pipe else { return Ok(0) };
        let written = to.try_io(Interest::WRITABLE, || through(&pipe.read, to, self.filled))?;
        self.filled = self.filled.saturating_sub(written);
        Ok(written)
    }

    fn give_back(&mut self) {
        if let Some(pipe) = self.pipe.take()
            && self.filled == 0
        {
            pipe.keep();
        }
    }

    fn finish(&mut self) {
        self.give_back();
        self.done = true;
    }
}

fn count(moved: &AtomicU64, bytes: usize) {
    moved.fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
}

/// One read. Less than was asked for means that there was no more: the next look waits for news, without another call
/// that only says so.
fn read_some(from: &Side, buffer: &mut [u8]) -> io::Result<usize> {
    let mut short = 0;
    let read = from.try_io(Interest::READABLE, || {
        let read = rustix::io::read(from, &mut *buffer)?;
        if read == 0 || read == buffer.len() {
            return Ok(read);
        }
        short = read;
        Err(io::ErrorKind::WouldBlock.into())
    });
    if short > 0 { Ok(short) } else { read }
}

fn through(from: impl AsFd, to: impl AsFd, bytes: usize) -> io::Result<usize> {
    Ok(splice(from, None, to, None, bytes, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)?)
}

fn is_again(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (one, other) = tokio::join!(TcpStream::connect(address), listener.accept());
        (one.unwrap(), other.unwrap().0)
    }

    /// A client, a backend, and what runs between them.
    async fn connected() -> (TcpStream, TcpStream, tokio::task::JoinHandle<(io::Result<()>, u64)>) {
        let ((client, inner), (outer, backend)) = (pair().await, pair().await);
        let relaying = tokio::spawn(async move {
            let moved = Moved::default();
            let sides = Sides { client: Side::Tcp(inner), backend: Side::Tcp(outer) };
            (relay(&sides, &moved).await, moved.total())
        });
        (client, backend, relaying)
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_and_ends_pass_one_by_one() {
        let (mut client, mut backend, relaying) = connected().await;
        let sent: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
        let expected = sent.clone();
        let sending = tokio::spawn(async move {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            answer
        });
        let mut received = Vec::new();
        backend.read_to_end(&mut received).await.unwrap();
        assert!(received == expected, "every byte, in order");
        backend.write_all(b"after the client's end").await.unwrap();
        drop(backend);
        assert_eq!(sending.await.unwrap(), b"after the client's end", "half-close");
        let (result, moved) = relaying.await.unwrap();
        assert!(result.is_ok());
        assert_eq!(moved, 3_000_000 + 22);
    }

    #[tokio::test]
    async fn ends_that_come_together_lose_nothing_of_what_came_before_them() {
        for both in [true, false] {
            let ((mut client, inner), (outer, mut backend)) = (pair().await, pair().await);
            client.write_all(b"question").await.unwrap();
            client.shutdown().await.unwrap();
            backend.write_all(b"said unasked").await.unwrap();
            if both {
                backend.shutdown().await.unwrap();
            }
            let sides = Sides { client: Side::Tcp(inner), backend: Side::Tcp(outer) };
            let relaying = tokio::spawn(async move { relay(&sides, &Moved::default()).await });
            let mut received = Vec::new();
            backend.read_to_end(&mut received).await.unwrap();
            assert_eq!(received, b"question");
            if !both {
                backend.write_all(b", and answered").await.unwrap();
                backend.shutdown().await.unwrap();
            }
            let mut received = String::new();
            client.read_to_string(&mut received).await.unwrap();
            assert_eq!(received, if both { "said unasked" } else { "said unasked, and answered" });
            relaying.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn what_nobody_has_heard_of_yet_is_passed_on_before_the_other_direction_is_over() {
        let ((mut client, to), (from, mut backend)) = (pair().await, pair().await);
        backend.write_all(b"just sent").await.unwrap();
        let (mut direction, moved) = (Direction::default(), AtomicU64::new(0));
        let (from, to) = (Side::Tcp(from), Side::Tcp(to));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(direction.poll_last(&mut cx, &from, &to, &moved).is_pending(), "the backend may say more");
        assert!(!direction.ended && !direction.done);
        let mut received = [0; 9];
        client.read_exact(&mut received).await.unwrap();
        assert_eq!((&received, moved.into_inner()), (b"just sent", 9));
        assert_eq!(backend.read(&mut [0; 8]).await.unwrap(), 0, "it hears of the client's end");
    }

    #[tokio::test]
    async fn a_reset_is_a_reset_on_the_other_side() {
        let (client, mut backend, relaying) = connected().await;
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        let error = backend.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(relaying.await.unwrap().0.is_err());
    }

    #[tokio::test]
    async fn a_reader_that_does_not_read_stops_the_other_side_and_holds_no_more_than_a_pipe() {
        let (mut client, mut backend, relaying) = connected().await;
        let chunk = vec![7; 1 << 20];
        let mut sent = 0;
        while let Ok(written) = tokio::time::timeout(Duration::from_millis(500), client.write(&chunk)).await {
            sent += written.unwrap();
        }
        assert!(sent < 64 << 20, "the sockets' buffers are bounded: {sent}");
        client.shutdown().await.unwrap();
        let mut received = vec![];
        backend.read_to_end(&mut received).await.unwrap();
        assert_eq!(received.len(), sent);
        drop((client, backend));
        relaying.await.unwrap().0.unwrap();
    }
}
