//! The cookie of a Remote Desktop client (MS-RDPBCGR section 2.2.1.1): the name of the user, as far as it fits.

use super::{Reader, Seen};

/// Longest connection request that is looked at.
const LONGEST: usize = 4096;
const COOKIE: &[u8] = b"Cookie: mstshash=";

/// Looks for `mstshash` in the connection request.
pub(super) fn cookie(bytes: &[u8]) -> Seen<Vec<u8>> {
    // TPKT (RFC 1006 section 6): version 3, reserved, length of all.
    if bytes.first().is_some_and(|version| *version != 3) {
        return Seen::Not;
    }
    let Some(&[_, _, high, low]) = bytes.first_chunk::<4>() else { return Seen::Needs(4) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST {
        return Seen::Not;
    }
    let Some(request) = bytes.get(4..length) else {
        return if length < 4 { Seen::Not } else { Seen::Needs(length) };
    };
    parse(Reader(request)).map_or(Seen::Not, Seen::Is)
}

fn parse(mut request: Reader<'_>) -> Option<Vec<u8>> {
    // X.224: its length, then connection request, two references and a class.
    request.bytes(1)?;
    let kind = request.number(1)?;
    request.bytes(5)?;
    let line = request.0.strip_prefix(COOKIE).filter(|_| kind == 0xE0)?;
    let end = line.windows(2).position(|end| end == b"\r\n")?;
    line.get(..end).filter(|name| !name.is_empty()).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str) -> Vec<u8> {
        let body = [&[0, 0xE0, 0, 0, 0, 0, 0][..], line.as_bytes(), &[1, 0, 8, 0, 3, 0, 0, 0]].concat();
        let length = u16::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[3, 0][..], &length, &body].concat()
    }

    #[test]
    fn the_name_is_read() {
        let bytes = request("Cookie: mstshash=CONTOSO\\ada\r\n");
        assert_eq!(cookie(&bytes), Seen::Is(b"CONTOSO\\ada".to_vec()));
        for cut in 0..bytes.len() {
            assert!(matches!(cookie(&bytes[..cut]), Seen::Needs(needed) if needed > cut), "cut at {cut}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        for line in
            ["", "Cookie: mstshash=\r\n", "Cookie: msts=3640205228.15629.0000\r\n", "Cookie: mstshash=ada"]
        {
            assert_eq!(cookie(&request(line)), Seen::Not, "{line}");
        }
        for bytes in [&b"\x16\x03\x01"[..], b"\x03\x00\xFF\xFF", b"\x03\x00\x00\x03"] {
            assert_eq!(cookie(bytes), Seen::Not, "{}", bytes.escape_ascii());
        }
    }
}
