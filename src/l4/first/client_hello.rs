//! The first message of TLS (RFC 8446 section 4.1.2), as far as it says in the clear where the client wants to go.

use super::{MOST, Reader, Seen};

/// Record type `handshake`.
const HANDSHAKE: u8 = 22;
/// Handshake type `client_hello`.
const CLIENT_HELLO: u8 = 1;
/// Longest plaintext of a record (section 5.1).
const LONGEST_RECORD: usize = 1 << 14;
/// Records that one message may be cut into. Nobody cuts it more than a few times, and each is looked at anew.
const MOST_RECORDS: u32 = 64;
/// Bytes before a record's content.
const RECORD_HEAD: usize = 5;
/// Bytes before a message's content.
const MESSAGE_HEAD: usize = 4;

/// What a ClientHello says in the clear.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::l4) struct ClientHello {
    /// The server that is meant (RFC 6066 section 3); with Encrypted Client Hello, the outer one.
    pub(in crate::l4) server_name: Option<Vec<u8>>,
    /// Protocols, the best liked first (RFC 7301 section 3.1).
    pub(in crate::l4) alpn: Vec<Vec<u8>>,
}

/// Looks for a ClientHello at the beginning of a connection, in whatever records it comes.
pub(in crate::l4) fn client_hello(bytes: &[u8]) -> Seen<ClientHello> {
    let mut message = Vec::new();
    let mut rest = bytes;
    for _ in 0..MOST_RECORDS {
        let start = bytes.len() - rest.len();
        if rest.first().is_some_and(|kind| *kind != HANDSHAKE) || rest.get(1).is_some_and(|major| *major != 3)
        {
            return Seen::Not;
        }
        let Some((&[_, _, _, high, low], after)) = rest.split_first_chunk::<RECORD_HEAD>() else {
            return Seen::Needs(start + RECORD_HEAD);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length == 0 || length > LONGEST_RECORD {
            return Seen::Not;
        }
        let end = start + RECORD_HEAD + length;
        message.extend_from_slice(after.get(..length).unwrap_or(after));
        if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Seen::Not;
        }
        if let Some(whole) = message_length(&message) {
            if whole > MOST {
                return Seen::Not;
            }
            if let Some(body) = message.get(MESSAGE_HEAD..whole) {
                return parse(Reader(body)).map_or(Seen::Not, Seen::Is);
            }
        }
        let Some(next) = after.get(length..) else { return Seen::Needs(end) };
        rest = next;
    }
    Seen::Not
}

/// The length of the whole message, its head included.
fn message_length(message: &[u8]) -> Option<usize> {
    let mut reader = Reader(message);
    reader.bytes(1)?;
    Some(MESSAGE_HEAD + reader.number(3)?)
}

fn parse(mut body: Reader<'_>) -> Option<ClientHello> {
    // legacy_version, random, legacy_session_id, cipher_suites, legacy_compression_methods.
    body.bytes(2 + 32)?;
    body.field(1)?;
    body.field(2)?;
    body.field(1)?;
    let mut hello = ClientHello::default();
    if body.0.is_empty() {
        // TLS 1.2 without extensions.
        return Some(hello);
    }
    let mut extensions = body.field(2)?;
    while !extensions.0.is_empty() {
        let kind = extensions.number(2)?;
        let mut extension = extensions.field(2)?;
        match kind {
            0 => hello.server_name = server_name(&mut extension),
            16 => {
                let mut protocols = extension.field(2)?;
                while !protocols.0.is_empty() {
                    hello.alpn.push(protocols.field(1)?.0.to_vec());
                }
            }
            _ => {}
        }
    }
    Some(hello)
}

fn server_name(extension: &mut Reader<'_>) -> Option<Vec<u8>> {
    let mut names = extension.field(2)?;
    while !names.0.is_empty() {
        let kind = names.number(1)?;
        let name = names.field(2)?;
        if kind == 0 {
            return Some(name.0.to_ascii_lowercase());
        }
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(length: usize, content: &[u8]) -> Vec<u8> {
        let all = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&all[4 - length..], content].concat()
    }

    /// A ClientHello's message.
    fn message(server_name: Option<&str>, alpn: &[&str]) -> Vec<u8> {
        let mut extensions = [&[0, 10][..], &field(2, &field(2, &[0, 29]))].concat();
        if let Some(name) = server_name {
            let name = field(2, &[&[0][..], &field(2, name.as_bytes())].concat());
            extensions.extend([&[0, 0][..], &field(2, &name)].concat());
        }
        if !alpn.is_empty() {
            let protocols: Vec<_> = alpn.iter().flat_map(|protocol| field(1, protocol.as_bytes())).collect();
            extensions.extend([&[0, 16][..], &field(2, &field(2, &protocols))].concat());
        }
        let body = [
            &[3, 3][..],
            &[7; 32],
            &field(1, &[9; 32]),
            &field(2, &[0x13, 1, 0x13, 2]),
            &field(1, &[0]),
            &field(2, &extensions),
        ];
        [&[1][..], &field(3, &body.concat())].concat()
    }

    fn records(message: &[u8], size: usize) -> Vec<u8> {
        message.chunks(size).flat_map(|part| [&[22, 3, 1][..], &field(2, part)].concat()).collect()
    }

    /// A ClientHello in one record.
    pub(in crate::l4::first) fn hello(server_name: Option<&str>, alpn: &[&str]) -> Vec<u8> {
        records(&message(server_name, alpn), LONGEST_RECORD)
    }

    #[test]
    fn names_are_read_whatever_the_records() {
        let message = message(Some("Mail.Example.com"), &["imap", "h2"]);
        let expected = ClientHello {
            server_name: Some(b"mail.example.com".to_vec()),
            alpn: vec![b"imap".to_vec(), b"h2".to_vec()],
        };
        for size in [LONGEST_RECORD, 50, 5, 4] {
            let bytes = records(&message, size);
            assert_eq!(client_hello(&bytes), Seen::Is(expected.clone()), "records of {size}");
            for cut in 0..bytes.len() {
                let Seen::Needs(needed) = client_hello(&bytes[..cut]) else { panic!("cut at {cut}") };
                assert!(cut < needed && needed <= bytes.len(), "{needed} of {} at {cut}", bytes.len());
            }
        }
        assert_eq!(client_hello(&records(&message, 1)), Seen::Not, "cut to shreds");
        let plain = ClientHello { server_name: None, alpn: Vec::new() };
        assert_eq!(client_hello(&hello(None, &[])), Seen::Is(plain));
    }

    #[test]
    fn anything_else_is_known_early() {
        for other in [
            &b"G"[..],
            b"\x16\x02",
            b"\x16\x03\x01\x00\x00",
            b"\x16\x03\x01\x40\x01",
            b"\x16\x03\x01\x00\x04\x02",
            b"SSH-2.0-x",
        ] {
            assert_eq!(client_hello(other), Seen::Not, "{}", other.escape_ascii());
        }
        assert_eq!(client_hello(b"\x16\x03\x01\x40\x00\x01\x00\xFF\xFF"), Seen::Not, "too long a message");
        let mut broken = hello(Some("a"), &[]);
        broken[5 + 4 + 34] = 200;
        assert_eq!(client_hello(&broken), Seen::Not, "lengths that do not fit");
    }

    proptest! {
        #[test]
        fn no_bytes_upset_it(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), likely in any::<bool>(), at in 0..200_usize, by in any::<u8>()) {
            if likely {
                bytes = hello(Some("app.example.com"), &["h2", "http/1.1"]);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= by;
                }
            }
            if let Seen::Needs(needed) = client_hello(&bytes) {
                prop_assert!(needed > bytes.len());
            }
        }
    }
}
