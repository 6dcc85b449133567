//! Where a datagram of QUIC has its connection id.

/// RFC 9000.
const VERSION_1: u32 = 1;
/// RFC 9369 section 3.1.
const VERSION_2: u32 = 0x6b33_43cf;

/// The longest connection id of both versions: RFC 9000 section 17.2.
pub(super) const LONGEST: usize = 20;

/// A connection id that a server has made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shown<'d> {
    /// This one.
    Whole(&'d [u8]),
    /// One that begins here; how long it is, its server knows.
    Begins(&'d [u8]),
}

/// The connection id of a datagram's first packet, where a server has made it.
///
/// The ids of a client's first flight (Initial and 0-RTT) are of its own making until it has heard of its server, and what looks like a
/// server's among them is chance. Until then its address does not change (RFC 9000 section 9), and leads all of it to one
/// server. The same goes for versions whose types of packets nobody knows; their short headers are known (RFC 8999 section 5.2).
pub(super) fn shown(datagram: &[u8]) -> Option<Shown<'_>> {
    let (first, rest) = datagram.split_first()?;
    if first & 0x80 == 0 {
        return Some(Shown::Begins(rest.get(..LONGEST).unwrap_or(rest)));
    }
    let (version, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first()?;
    let handshake = match u32::from_be_bytes(*version) {
        // RFC 9000 section 17.2.
        VERSION_1 => 0b10,
        // RFC 9369 section 3.2.
        VERSION_2 => 0b11,
        _ => return None,
    };
    let length = usize::from(*length);
    (first >> 4 & 0b11 == handshake && length <= LONGEST).then_some(Shown::Whole(rest.get(..length)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(first: u8, version: u32, id: &[u8]) -> Vec<u8> {
        let length = u8::try_from(id.len()).unwrap();
        [&[first][..], &version.to_be_bytes(), &[length], id, b"\0source and more"].concat()
    }

    #[test]
    fn ids_of_a_servers_making_are_in_short_headers_and_handshakes() {
        assert_eq!(shown(b"\x40an id and all the rest"), Some(Shown::Begins(b"an id and all the re")));
        assert_eq!(shown(b"\x00id"), Some(Shown::Begins(b"id")), "the fixed bit may be greased: RFC 9287");
        assert_eq!(shown(&long(0xe0, VERSION_1, b"id")), Some(Shown::Whole(b"id")));
        assert_eq!(shown(&long(0xf0, VERSION_2, b"id")), Some(Shown::Whole(b"id")));
        assert_eq!(shown(&long(0xe0, VERSION_1, b"")), Some(Shown::Whole(b"")));
    }

    #[test]
    fn ids_of_a_clients_making_say_nothing() {
        for (first, version) in [
            (0xc0, VERSION_1), // Initial
            (0xd0, VERSION_1), // 0-RTT
            (0xf0, VERSION_1), // Retry, which clients do not send
            (0xd0, VERSION_2), // Initial
            (0xe0, VERSION_2), // 0-RTT
            (0xe0, 0),         // Version negotiation
            (0xe0, 0x0a1a_2a3a),
        ] {
            assert_eq!(shown(&long(first, version, b"12345678")), None, "{first:x} {version:x}");
        }
    }

    #[test]
    fn what_is_cut_off_or_too_long_is_none() {
        let whole = long(0xe0, VERSION_1, b"12345678");
        for end in 0..14 {
            assert_eq!(shown(&whole[..end]), None, "{end}");
        }
        assert_eq!(shown(&whole[..14]), Some(Shown::Whole(b"12345678")));
        assert_eq!(shown(&long(0xe0, VERSION_1, &[7; 21])), None);
    }
}
