//! The client id of an MQTT client (versions 3.1, 3.1.1 and 5.0, section 3.1 of each).

use super::{MOST, Reader, Seen};

/// Packet type CONNECT, without flags.
const CONNECT: u8 = 0x10;

/// Looks for the client id in the first packet.
pub(super) fn client_id(bytes: &[u8]) -> Seen<Vec<u8>> {
    if bytes.first().is_some_and(|kind| *kind != CONNECT) {
        return Seen::Not;
    }
    let mut reader = Reader(bytes.get(1..).unwrap_or_default());
    let length = match variable(&mut reader) {
        Length::Is(length) => length,
        Length::Needs => return Seen::Needs(bytes.len() + 1),
        Length::Broken => return Seen::Not,
    };
    let whole = bytes.len() - reader.0.len() + length;
    if whole > MOST {
        return Seen::Not;
    }
    match reader.bytes(length) {
        Some(packet) => parse(Reader(packet)).map_or(Seen::Not, Seen::Is),
        None => Seen::Needs(whole),
    }
}

fn parse(mut packet: Reader<'_>) -> Option<Vec<u8>> {
    let protocol = packet.field(2)?.0;
    if protocol != b"MQTT" && protocol != b"MQIsdp" {
        return None;
    }
    let version = packet.number(1)?;
    // Flags and keep-alive.
    packet.bytes(3)?;
    if version == 5 {
        let Length::Is(properties) = variable(&mut packet) else { return None };
        packet.bytes(properties)?;
    }
    let id = packet.field(2)?.0;
    // An empty one asks the server to choose.
    (!id.is_empty()).then(|| id.to_vec())
}

enum Length {
    Is(usize),
    Needs,
    Broken,
}

/// A length of one to four bytes, seven bits each, the lowest first.
fn variable(reader: &mut Reader<'_>) -> Length {
    let mut length = 0;
    for place in 0..4 {
        let Some(byte) = reader.number(1) else { return Length::Needs };
        length |= (byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            return Length::Is(length);
        }
    }
    Length::Broken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(protocol: &str, version: u8, properties: &[u8], id: &str) -> Vec<u8> {
        let text =
            |text: &str| [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
        let body = [&text(protocol)[..], &[version, 2, 0, 60], properties, &text(id)].concat();
        let length = body.len();
        assert!(length < 1 << 14);
        let head = [CONNECT, u8::try_from(length & 0x7F).unwrap() | 0x80, u8::try_from(length >> 7).unwrap()];
        [&head[..], &body].concat()
    }

    #[test]
    fn ids_of_all_versions_are_read() {
        let long = "sensor-".repeat(30);
        for bytes in [
            connect("MQIsdp", 3, &[], &long),
            connect("MQTT", 4, &[], &long),
            connect("MQTT", 5, &[5, 17, 0, 0, 0, 10], &long),
        ] {
            assert_eq!(client_id(&bytes), Seen::Is(long.clone().into_bytes()));
            for cut in 0..bytes.len() {
                assert!(
                    matches!(client_id(&bytes[..cut]), Seen::Needs(needed) if needed > cut),
                    "cut at {cut}"
                );
            }
        }
    }

    #[test]
    fn anything_else_is_not() {
        assert_eq!(client_id(&connect("MQTT", 4, &[], "")), Seen::Not, "the server is to choose one");
        assert_eq!(client_id(&connect("HTTP", 4, &[], "x")), Seen::Not);
        for bytes in [&b"\x20"[..], b"\x10\xFF\xFF\xFF\xFF", b"\x10\x02\x00\x04", b"\x10\xFF\xFF\x7F"] {
            assert_eq!(client_id(bytes), Seen::Not, "{}", bytes.escape_ascii());
        }
    }
}
