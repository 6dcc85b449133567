//! Frames over a Unix socket, some with descriptors beside them.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Serialize, de::DeserializeOwned};

use super::HandoverError;

/// A longer frame is none of ours.
const MAX_FRAME: usize = 8 << 20;

/// Descriptors in one message; the kernel takes 253.
pub(super) const MAX_DESCRIPTORS: usize = 64;

/// Between two tries where too many descriptors are on their way, and how many tries there are.
const PAUSE: Duration = Duration::from_millis(5);
const CROWDED: u32 = 1_000;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// [`Hello`](super::Hello), from the successor.
    Hello,
    /// A list of [`SocketName`](super::SocketName), with descriptors.
    Sockets,
    /// [`Carried`](super::Carried).
    Carried,
    /// Learned sessions, or changes of them, of one pool.
    Sessions,
    /// That was all.
    Complete,
    /// [`Ready`](super::Ready), from the successor.
    Ready,
    /// Why the successor cannot start.
    Failed,
    /// [`Page`](super::Page): of the session book, from the old process.
    Page,
    /// A list of [`SessionRecord`](crate::listen::SessionRecord), with the sockets of these sessions.
    Udp,
    /// Those were all sessions of UDP.
    UdpComplete,
    /// [`Farewell`](super::Farewell): the successor ends because it was told to, not by accident.
    Farewell,
}

/// New ones go to the end: a successor understands all that an older process says.
const KINDS: [Kind; 11] = [
    Kind::Hello,
    Kind::Sockets,
    Kind::Carried,
    Kind::Sessions,
    Kind::Complete,
    Kind::Ready,
    Kind::Failed,
    Kind::Page,
    Kind::Udp,
    Kind::UdpComplete,
    Kind::Farewell,
];

/// One frame.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) body: Vec<u8>,
}

impl Frame {
    /// What the body says.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, HandoverError> {
        serde_json::from_slice(&self.body).map_err(|error| HandoverError::Garbled(error.to_string()))
    }
}

/// One side of the connection.
#[derive(Debug)]
pub(super) struct Wire {
    stream: UnixStream,
    read: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

impl Wire {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, read: Vec::new(), descriptors: VecDeque::new() }
    }

    /// A second one of these, to write while this one reads.
    pub(super) fn writer(&self) -> io::Result<Self> {
        self.stream.try_clone().map(Self::new)
    }

    /// How long to wait for a frame, and for room to write one.
    pub(super) fn patience(&self, read: Duration, write: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(read))?;
        self.stream.set_write_timeout(Some(write))
    }

    pub(super) fn send_json(&self, kind: Kind, value: &impl Serialize) -> Result<(), HandoverError> {
        let body = serde_json::to_vec(value).map_err(|error| HandoverError::Garbled(error.to_string()))?;
        self.send(kind, &body)
    }

    pub(super) fn send(&self, kind: Kind, body: &[u8]) -> Result<(), HandoverError> {
        self.send_with(kind, body, &[])
    }

    pub(super) fn send_with(
        &self,
        kind: Kind,
        body: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), HandoverError> {
        let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= MAX_FRAME);
        let length = length.ok_or_else(|| HandoverError::Garbled("a frame is too long".to_owned()))?;
        let number = KINDS.iter().position(|known| *known == kind).and_then(|at| u8::try_from(at).ok());
        let [a, b, c, d] = length.to_le_bytes();
        let head = [a, b, c, d, number.unwrap_or(u8::MAX)];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(HandoverError::Garbled("too many descriptors in a frame".to_owned()));
        }
        let mut bytes = head.to_vec();
        bytes.extend_from_slice(body);
        let (mut left, mut crowded) = (bytes.as_slice(), 0);
        while !left.is_empty() {
            let sent = match sendmsg(&self.stream, &[IoSlice::new(left)], &mut beside, SendFlags::NOSIGNAL) {
                Ok(sent) => sent,
                Err(rustix::io::Errno::INTR) => continue,
                // As many are on their way as this user may have open: the other side takes them.
                Err(rustix::io::Errno::TOOMANYREFS) if crowded < CROWDED => {
                    crowded += 1;
                    std::thread::sleep(PAUSE);
                    continue;
                }
                Err(error) => return Err(HandoverError::Lost(error.into())),
            };
            // They go with the first byte, and only once.
            beside.clear();
            left = left.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    /// The next frame; `None`: it did not come in time.
    ///
    /// # Errors
    /// The other side is gone, or says nonsense.
    pub(super) fn receive(&mut self) -> Result<Option<Frame>, HandoverError> {
        loop {
            if let Some(frame) = self.whole_frame()? {
                return Ok(Some(frame));
            }
            if !self.read_more()? {
                return Ok(None);
            }
        }
    }

    /// The next frame, which has to come in time.
    pub(super) fn expect(&mut self) -> Result<Frame, HandoverError> {
        self.receive()?.ok_or_else(|| HandoverError::Lost(io::ErrorKind::TimedOut.into()))
    }

    /// All descriptors that have come beside frames. Where this process has no room for more of them, some are missing, and those of the
    /// next frame may be here already.
    pub(super) fn take_all_descriptors(&mut self) -> impl Iterator<Item = OwnedFd> {
        self.descriptors.drain(..)
    }

    /// Descriptors that came beside frames, oldest first.
    pub(super) fn take_descriptors(&mut self, count: usize) -> Vec<OwnedFd> {
        self.descriptors.drain(..count.min(self.descriptors.len())).collect()
    }

    fn whole_frame(&mut self) -> Result<Option<Frame>, HandoverError> {
        let Some(([a, b, c, d, number], rest)) = self.read.split_first_chunk::<5>() else { return Ok(None) };
        let length = usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
        let Some(kind) = KINDS.get(usize::from(*number)).copied().filter(|_| length <= MAX_FRAME) else {
            return Err(HandoverError::Garbled("this is no frame".to_owned()));
        };
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let frame = Frame { kind, body: body.to_vec() };
        self.read.drain(..length + 5);
        Ok(Some(frame))
    }

    /// Reads what is there; `false`: nothing came in time.
    fn read_more(&mut self) -> Result<bool, HandoverError> {
        let mut buffer = vec![0; 64 << 10];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            self.stream.as_fd(),
            &mut [IoSliceMut::new(&mut buffer)],
            &mut beside,
            RecvFlags::CMSG_CLOEXEC,
        );
        let received = match received {
            Ok(received) => received.bytes,
            Err(rustix::io::Errno::INTR) => return Ok(true),
            Err(rustix::io::Errno::AGAIN) => return Ok(false),
            Err(error) => return Err(HandoverError::Lost(error.into())),
        };
        for message in beside.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        if received == 0 {
            return Err(HandoverError::Lost(io::ErrorKind::UnexpectedEof.into()));
        }
        self.read.extend_from_slice(buffer.get(..received).unwrap_or_default());
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (Wire, Wire) {
        let (one, other) = UnixStream::pair().unwrap();
        let (one, other) = (Wire::new(one), Wire::new(other));
        one.patience(Duration::from_millis(500), Duration::from_millis(500)).unwrap();
        other.patience(Duration::from_millis(20), Duration::from_millis(500)).unwrap();
        (one, other)
    }

    #[test]
    fn frames_arrive_whole_and_with_their_descriptors() {
        let (one, mut other) = pair();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        one.send_with(Kind::Sockets, b"two", &[listener.as_fd(), listener.as_fd()]).unwrap();
        let long = vec![7; 200_000];
        let sender = std::thread::spawn(move || {
            one.send(Kind::Sessions, &long).unwrap();
            one
        });
        let frame = other.expect().unwrap();
        assert_eq!((frame.kind, frame.body.as_slice()), (Kind::Sockets, &b"two"[..]));
        let mut descriptors = other.take_descriptors(9);
        assert_eq!(descriptors.len(), 2);
        let inherited = TcpListener::from(descriptors.remove(0));
        drop(listener);
        assert_eq!(inherited.local_addr().unwrap(), address);
        assert_eq!(other.expect().unwrap().body.len(), 200_000);
        assert!(other.receive().unwrap().is_none(), "nothing more came in time");
        drop(sender.join().unwrap());
        assert!(matches!(other.receive(), Err(HandoverError::Lost(_))));
    }

    #[test]
    fn nonsense_is_refused() {
        let (mut one, other) = pair();
        (&other.stream).write_all(&[1, 0, 0, 0, 99, 0]).unwrap();
        assert!(matches!(one.receive(), Err(HandoverError::Garbled(_))));
        let (mut one, other) = pair();
        (&other.stream).write_all(&[255, 255, 255, 255, 1]).unwrap();
        assert!(matches!(one.receive(), Err(HandoverError::Garbled(_))));
    }
}
