//! Datagrams, many at a time: received by one call (`recvmmsg`, and in one piece where the kernel has joined them, GRO), and sent
//! by one (GSO).

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::Ipv6DontFrag;
use quinn_udp::{BATCH_SIZE, EcnCodepoint, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use rustix::net::{SendFlags, sendto};

/// The longest that the kernel gives in one piece: 16 bits say how long.
const PIECE: usize = 1 << 16;

/// Datagrams of one size that follow each other; the last one may be shorter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Datagrams<'b> {
    pub(super) bytes: &'b [u8],
    /// The size of each, at least 1.
    pub(super) stride: usize,
    /// What routers say of congestion, which QUIC listens to.
    pub(super) ecn: Option<EcnCodepoint>,
}

impl<'b> Datagrams<'b> {
    /// A single one.
    pub(super) fn one(bytes: &'b [u8], ecn: Option<EcnCodepoint>) -> Self {
        Self { bytes, stride: bytes.len().max(1), ecn }
    }

    /// How many there are. An empty datagram is one, too.
    pub(super) fn count(&self) -> usize {
        self.bytes.len().div_ceil(self.stride).max(1)
    }

    /// The first of them; `None` where there would be none.
    pub(super) fn first(self, count: usize) -> Option<Self> {
        let end = self.bytes.len().min(count.saturating_mul(self.stride));
        (count > 0).then(|| Self { bytes: self.bytes.get(..end).unwrap_or_default(), ..self })
    }

    /// In runs of those of which `of` gives the same.
    pub(super) fn alike<T: PartialEq>(self, of: impl Fn(&'b [u8]) -> T) -> impl Iterator<Item = (T, Self)> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let these = rest.take()?;
            let mut each = these.each();
            let first = of(each.next()?);
            let others = each.take_while(|datagram| of(datagram) == first).count();
            let run = these.first(1 + others)?;
            let behind = these.bytes.get(run.bytes.len()..).filter(|behind| !behind.is_empty());
            rest = behind.map(|bytes| Self { bytes, ..these });
            Some((first, run))
        })
    }

    /// One by one.
    pub(super) fn each(self) -> impl Iterator<Item = &'b [u8]> {
        // Of nothing there are no chunks.
        let empty = self.bytes.is_empty().then_some(self.bytes);
        empty.into_iter().chain(self.bytes.chunks(self.stride))
    }
}

/// Where datagrams came from, and which of our addresses they were sent to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) from: SocketAddr,
    pub(super) to: Option<IpAddr>,
}

/// Room for what one call receives; used by everything that a thread receives.
pub(super) struct Batch {
    room: Vec<u8>,
    metas: [RecvMeta; BATCH_SIZE],
    /// Pieces that were received last.
    pieces: usize,
}

impl Batch {
    pub(super) fn new() -> Self {
        // Only what is ever received into takes memory.
        Self { room: vec![0; PIECE * BATCH_SIZE], metas: [RecvMeta::default(); BATCH_SIZE], pieces: 0 }
    }

    /// Receives what is there.
    ///
    /// # Errors
    /// Nothing is there (`WouldBlock`), or the kernel tells of a failure.
    pub(super) fn receive(&mut self, socket: UdpSockRef<'_>, state: &UdpSocketState) -> io::Result<()> {
        self.pieces = 0;
        let mut rooms = self.room.chunks_exact_mut(PIECE);
        let mut rooms: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(rooms.next().unwrap_or_default()));
        self.pieces = state.recv(socket, &mut rooms, &mut self.metas)?;
        Ok(())
    }

    /// Receives a single datagram, by a call that needs no preparation.
    ///
    /// # Errors
    /// As above.
    pub(super) fn receive_one(
        &mut self,
        receive: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        self.pieces = 0;
        let length = receive(self.room.get_mut(..PIECE).unwrap_or_default())?;
        if let Some(meta) = self.metas.first_mut() {
            *meta = RecvMeta::default();
            (meta.len, meta.stride) = (length, length);
            self.pieces = 1;
        }
        Ok(())
    }

    /// Whether that was all there was.
    pub(super) fn was_all(&self) -> bool {
        self.pieces < BATCH_SIZE
    }

    /// What was received last.
    pub(super) fn received(&self) -> impl Iterator<Item = (Origin, Datagrams<'_>)> {
        self.room.chunks_exact(PIECE).zip(&self.metas).take(self.pieces).map(|(room, meta)| {
            let bytes = room.get(..meta.len).unwrap_or_default();
            let datagrams = Datagrams { bytes, stride: meta.stride.max(1), ecn: meta.ecn };
            (Origin { from: meta.addr, to: meta.dst_ip }, datagrams)
        })
    }
}

/// Sends datagrams, by one call where the kernel cuts them itself.
///
/// # Errors
/// The bytes from the first datagram on that could not be sent, and why not.
pub(super) fn send<'b>(
    socket: &impl AsFd,
    state: &UdpSocketState,
    to: Origin,
    datagrams: Datagrams<'b>,
) -> Result<(), Unsent<'b>> {
    let transmit = |contents, segment_size| Transmit {
        destination: to.from,
        ecn: datagrams.ecn,
        contents,
        segment_size,
        src_ip: to.to,
    };
    let count = datagrams.count();
    if count == 1 && datagrams.ecn.is_none() && to.to.is_none() {
        // Nothing is to be said besides, which would cost a look for the way each time.
        let sent = sendto(socket, datagrams.bytes, SendFlags::DONTWAIT, &to.from);
        return sent.map(drop).map_err(|error| Unsent { rest: datagrams, error: error.into() });
    }
    if count > 1 && count <= state.max_gso_segments() && datagrams.stride <= longest_cut(to.from) {
        let whole = transmit(datagrams.bytes, Some(datagrams.stride));
        match state.try_send(socket.into(), &whole) {
            Ok(()) => return Ok(()),
            // Nothing of it was sent. Any other failure may be one of cutting, such as pieces that are longer than the way allows.
            Err(error) if is_full(&error) || is_refusal(&error) => {
                return Err(Unsent { rest: datagrams, error });
            }
            Err(_) => {}
        }
    }
    let mut sent = 0;
    let mut too_long = None;
    for bytes in datagrams.each() {
        match state.try_send(socket.into(), &transmit(bytes, None)) {
            Ok(()) => {}
            Err(error) if quinn_udp::is_msg_size_err(&error) => too_long = Some(error),
            Err(error) => {
                let rest = datagrams.bytes.get(sent..).unwrap_or_default();
                return Err(Unsent { rest: Datagrams { bytes: rest, ..datagrams }, error });
            }
        }
        sent += bytes.len();
    }
    match too_long {
        Some(error) => Err(Unsent { rest: Datagrams { bytes: &[], ..datagrams }, error }),
        None => Ok(()),
    }
}

/// The longest datagrams that the kernel is asked to cut: on most lines it refuses to cut longer ones, and is then not asked again.
fn longest_cut(to: SocketAddr) -> usize {
    if to.is_ipv4() { 1472 } else { 1452 }
}

/// Datagrams that could not be sent.
#[derive(Debug)]
pub(super) struct Unsent<'b> {
    pub(super) rest: Datagrams<'b>,
    pub(super) error: io::Error,
}

/// Whether the system has no room for more at the moment.
pub(super) fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}

/// Whether it says that nobody takes what was sent: ICMP's word, or there is no way to go.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
    )
}

/// Lets the system cut datagrams that are longer than the way allows, as it does for every other socket; what prepares a
/// socket for QUIC forbids it.
pub(super) fn allow_fragments(socket: &impl AsFd, ipv4: bool) {
    // Worth no failure: only long datagrams need it.
    if ipv4 {
        let _ = set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::WANT);
    } else {
        let _ = set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::WANT);
        let _ = setsockopt(socket, Ipv6DontFrag, &false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_counted_cut_and_told_one_by_one() {
        let all = Datagrams { bytes: b"aabbc", stride: 2, ecn: None };
        let each = |datagrams: Datagrams<'static>| datagrams.each().collect::<Vec<_>>();
        assert_eq!((all.count(), each(all)), (3, vec![&b"aa"[..], b"bb", b"c"]));
        assert_eq!(each(all.first(2).unwrap()), [b"aa", b"bb"]);
        assert_eq!(each(all.first(9).unwrap()).len(), 3);
        assert!(all.first(0).is_none());
        let runs = |bytes: &'static [u8]| {
            let all = Datagrams { bytes, stride: 2, ecn: None };
            all.alike(|datagram| datagram[0]).map(|(_, run)| run.bytes).collect::<Vec<_>>()
        };
        assert_eq!(runs(b"abacbabbc"), [&b"abac"[..], b"babb", b"c"]);
        assert_eq!(runs(b"abacada"), [b"abacada"]);
        let empty = Datagrams::one(b"", None);
        assert_eq!(
            empty.alike(<[u8]>::len).map(|(length, run)| (length, run.count())).collect::<Vec<_>>(),
            [(0, 1)]
        );
        assert_eq!((empty.count(), each(empty)), (1, vec![&b""[..]]));
        assert_eq!(each(empty.first(1).unwrap()), [b""]);
    }
}
