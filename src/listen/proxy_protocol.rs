//! The PROXY protocol, versions 1 and 2: what a proxy in front says of the client that it speaks for, and what we say
//! of ours to whom we speak for it.
//!
//! Who may send it is the caller's decision. From those the header is demanded, never guessed (its specification,
//! section 2): else a client could write one of its own. No byte behind the header is read.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub use crate::names::ProxyVersion;

/// Longest header of version 1, its CRLF included (section 2.1).
const MAX_V1: usize = 107;
/// What version 2 has before the addresses.
const V2_START: usize = 16;
/// Longest header of version 2 that is taken: two Unix addresses and 512 bytes of other things.
const MAX_V2: usize = V2_START + 216 + 512;

/// What a header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProxyHeader {
    /// Who connected, and to where.
    Client {
        /// The client's address.
        source: SocketAddr,
        /// Where the client connected to.
        destination: SocketAddr,
    },
    /// The connection is the proxy's own (a health check), or it speaks for somebody without an IP address.
    Itself,
}

/// A header that is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyHeaderError {
    /// The first bytes are none, or it is broken or too long.
    #[error("no PROXY protocol header, where one has to be")]
    None,
    /// It did not come in time.
    #[error("the PROXY protocol header took too long")]
    TimedOut,
    /// The connection ended or broke.
    #[error("the connection ended before its PROXY protocol header: {0}")]
    Broken(#[from] std::io::Error),
}

/// A connection whose next bytes can be looked at before they are taken.
pub trait Peek: AsyncRead + Unpin {
    /// Waits for bytes, and copies what fits; how many it were. 0: there will be none.
    fn peek(&self, room: &mut [u8]) -> impl Future<Output = std::io::Result<usize>> + Send;
}

impl Peek for TcpStream {
    fn peek(&self, room: &mut [u8]) -> impl Future<Output = std::io::Result<usize>> + Send {
        Self::peek(self, room)
    }
}

/// Reads the header, and nothing beyond it.
///
/// # Errors
/// There is none, or it does not come in time: the connection is to be closed.
pub async fn read_proxy_header(
    stream: &mut impl Peek,
    limit: Duration,
) -> Result<ProxyHeader, ProxyHeaderError> {
    timeout(limit, read(stream)).await.unwrap_or(Err(ProxyHeaderError::TimedOut))
}

async fn read(stream: &mut impl Peek) -> Result<ProxyHeader, ProxyHeaderError> {
    let mut header = Vec::with_capacity(MAX_V1);
    let mut seen = [0; MAX_V2];
    loop {
        // Looked at before it is taken, so that no byte of what follows is.
        let room = seen.get_mut(header.len()..).ok_or(ProxyHeaderError::None)?;
        let peeked = stream.peek(room).await?;
        if peeked == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        let step = step(seen.get(..header.len() + peeked).unwrap_or_default());
        let end = match step {
            Step::Whole(length) => length,
            Step::Partial => header.len() + peeked,
            Step::None => return Err(ProxyHeaderError::None),
        };
        let from = header.len();
        header.resize(end, 0);
        stream.read_exact(header.get_mut(from..).unwrap_or_default()).await?;
        if let Step::Whole(_) = step {
            return parse(&header).ok_or(ProxyHeaderError::None);
        }
    }
}

/// What the first bytes of a connection are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// All of them belong to a header that goes on.
    Partial,
    /// A header of this length, and whatever follows.
    Whole(usize),
    /// No header.
    None,
}

fn step(bytes: &[u8]) -> Step {
    let starts =
        |prefix: &[u8]| prefix.starts_with(bytes.get(..bytes.len().min(prefix.len())).unwrap_or_default());
    if starts(v2::PROTOCOL_PREFIX) {
        let Some(length) = bytes.get(V2_START - 2..V2_START) else { return Step::Partial };
        let whole = V2_START + length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        return match whole {
            MAX_V2.. if whole > MAX_V2 => Step::None,
            _ if bytes.len() < whole => Step::Partial,
            _ => Step::Whole(whole),
        };
    }
    if !starts(b"PROXY ") {
        return Step::None;
    }
    match memchr::memchr(b'\n', bytes) {
        Some(end) if end < MAX_V1 => Step::Whole(end + 1),
        None if bytes.len() < MAX_V1 => Step::Partial,
        _ => Step::None,
    }
}

/// The header that these bytes begin with, and its length; for the fuzzer. `None`: there is none, or not all of it.
#[doc(hidden)]
pub fn proxy_header_in(bytes: &[u8]) -> Option<(usize, ProxyHeader)> {
    let Step::Whole(length) = step(bytes) else { return None };
    Some((length, parse(bytes.get(..length)?)?))
}

/// Parses a whole header.
pub(crate) fn parse(header: &[u8]) -> Option<ProxyHeader> {
    if header.starts_with(v2::PROTOCOL_PREFIX) {
        let header = v2::Header::try_from(header).ok()?;
        let stream = header.protocol != v2::Protocol::Datagram;
        return match (header.command, header.addresses) {
            (v2::Command::Local, _) => Some(ProxyHeader::Itself),
            (v2::Command::Proxy, v2::Addresses::IPv4(it)) if stream => Some(client(
                (it.source_address.into(), it.source_port),
                (it.destination_address.into(), it.destination_port),
            )),
            (v2::Command::Proxy, v2::Addresses::IPv6(it)) if stream => Some(client(
                (it.source_address.into(), it.source_port),
                (it.destination_address.into(), it.destination_port),
            )),
            (v2::Command::Proxy, _) => Some(ProxyHeader::Itself),
        };
    }
    let end = header.strip_suffix(b"\r\n")?;
    if memchr::memchr(b'\r', end).is_some() {
        return None;
    }
    match v1::Header::try_from(header).ok()?.addresses {
        v1::Addresses::Unknown => Some(ProxyHeader::Itself),
        v1::Addresses::Tcp4(it) => Some(client(
            (it.source_address.into(), it.source_port),
            (it.destination_address.into(), it.destination_port),
        )),
        v1::Addresses::Tcp6(it) => Some(client(
            (it.source_address.into(), it.source_port),
            (it.destination_address.into(), it.destination_port),
        )),
    }
}

fn client(source: (IpAddr, u16), destination: (IpAddr, u16)) -> ProxyHeader {
    ProxyHeader::Client { source: source.into(), destination: destination.into() }
}

/// The header that tells of `source`, which connected to `destination`.
pub fn proxy_header(version: ProxyVersion, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let (source, destination) = same_family(source, destination);
    match version {
        ProxyVersion::V1 => {
            let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = (source.ip(), destination.ip());
            format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()).into_bytes()
        }
        ProxyVersion::V2 => {
            let (ips, family) = match (source.ip(), destination.ip()) {
                (IpAddr::V4(from), IpAddr::V4(to)) => ([&from.octets()[..], &to.octets()].concat(), 0x11),
                (from, to) => {
                    let octets = |ip: IpAddr| match ip {
                        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                        IpAddr::V6(ip) => ip.octets(),
                    };
                    ([octets(from), octets(to)].concat(), 0x21)
                }
            };
            // Two addresses of 16 bytes and two ports at most.
            let length = u8::try_from(ips.len() + 4).unwrap_or(u8::MAX);
            let mut header = v2::PROTOCOL_PREFIX.to_vec();
            header.extend([0x21, family, 0, length]);
            header.extend(ips);
            header.extend(source.port().to_be_bytes());
            header.extend(destination.port().to_be_bytes());
            header
        }
    }
}

/// The header for a client that has no address, as one at a socket in the file system: the receiver goes on with what it
/// knows of the connection itself (specification, sections 2.1, `UNKNOWN`, and 2.2, `LOCAL`).
pub fn proxy_header_of_nobody(version: ProxyVersion) -> Vec<u8> {
    match version {
        ProxyVersion::V1 => b"PROXY UNKNOWN\r\n".to_vec(),
        ProxyVersion::V2 => [v2::PROTOCOL_PREFIX, &[0x20, 0, 0, 0]].concat(),
    }
}

/// Both addresses in one family, as the header has it.
fn same_family(one: SocketAddr, two: SocketAddr) -> (SocketAddr, SocketAddr) {
    let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (one, two) = (plain(one), plain(two));
    if one.is_ipv4() == two.is_ipv4() {
        return (one, two);
    }
    let mapped = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    (mapped(one), mapped(two))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn what_is_written_is_read_and_not_a_byte_more() {
        let cases = [
            ("192.0.2.1:4711", "198.51.100.1:443"),
            ("[2001:db8::1]:1", "[2001:db8::2]:65535"),
            ("192.0.2.1:4711", "[2001:db8::2]:443"),
        ];
        for (source, destination) in cases {
            for version in [ProxyVersion::V1, ProxyVersion::V2] {
                let (mut near, mut far) = pair().await;
                let header = proxy_header(version, address(source), address(destination));
                near.write_all(&[&header[..], b"GET /"].concat()).await.unwrap();
                let read = read_proxy_header(&mut far, PATIENCE).await.unwrap();
                let (from, to) = same_family(address(source), address(destination));
                assert_eq!(read, ProxyHeader::Client { source: from, destination: to });
                let mut rest = [0; 5];
                far.read_exact(&mut rest).await.unwrap();
                assert_eq!(&rest, b"GET /");
            }
        }
    }

    #[tokio::test]
    async fn a_header_in_pieces_is_waited_for_within_the_limit() {
        let (mut near, mut far) = pair().await;
        near.set_nodelay(true).unwrap();
        let reading = tokio::spawn(async move { read_proxy_header(&mut far, PATIENCE).await });
        for byte in b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" {
            near.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let client =
            ProxyHeader::Client { source: address("192.0.2.1:1"), destination: address("192.0.2.2:2") };
        assert_eq!(reading.await.unwrap().unwrap(), client);

        let (mut near, mut far) = pair().await;
        near.write_all(b"PROXY TCP4 192").await.unwrap();
        let late = read_proxy_header(&mut far, Duration::from_millis(20)).await;
        assert!(matches!(late, Err(ProxyHeaderError::TimedOut)), "{late:?}");
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        let mut long = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xFF\xFF".to_vec();
        long.resize(MAX_V2, 0);
        let cases: [&[u8]; 10] = [
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x00\x05hello there",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
            b"PROXY TCP4 192.0.2.1 2001:db8::1 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 99999\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
            b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0C\xC0\0\x02\x01\xC0\0\x02\x02\0\x01\0\x02",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04\xC0\0\x02\x01",
            &long,
        ];
        for case in cases {
            let (mut near, mut far) = pair().await;
            near.write_all(case).await.unwrap();
            drop(near);
            let read = read_proxy_header(&mut far, PATIENCE).await;
            assert!(matches!(read, Err(ProxyHeaderError::None)), "{}: {read:?}", case.escape_ascii());
        }
        let endless = [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat();
        assert_eq!(step(&endless), Step::None, "no end of the line in 107 bytes");
    }

    #[test]
    fn a_proxy_may_speak_for_itself() {
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0";
        let unix = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xD8"[..], &[b'x'; 216]].concat();
        for version in [ProxyVersion::V1, ProxyVersion::V2] {
            assert_eq!(parse(&proxy_header_of_nobody(version)), Some(ProxyHeader::Itself));
        }
        for header in [&b"PROXY UNKNOWN\r\n"[..], b"PROXY UNKNOWN fe80::1 x\r\n", local, &unix] {
            assert_eq!(step(header), Step::Whole(header.len()));
            assert_eq!(parse(header), Some(ProxyHeader::Itself), "{}", header.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_upset_it(bytes in proptest::collection::vec(any::<u8>(), 0..800), kind in 0..3_u8) {
            let prefix: &[u8] = match kind { 0 => b"", 1 => b"PROXY TCP6 ", _ => v2::PROTOCOL_PREFIX };
            let bytes = [prefix, &bytes].concat();
            if let Step::Whole(length) = step(&bytes) {
                prop_assert!(length <= bytes.len());
                let _ = parse(&bytes[..length]);
            }
        }
    }
}
