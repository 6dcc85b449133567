//! `Forwarded` (RFC 7239): read from trusted proxies, written for backends.

use std::net::IpAddr;

use http::{HeaderMap, header};

/// What one proxy has said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hop<'a> {
    /// `for`: who asked it, as written, without quotes.
    pub(super) client: Option<&'a [u8]>,
    /// Whether its `proto` is `https`.
    pub(super) secure: bool,
}

/// What each proxy has said, from the nearest. Ends where a field cannot be read: nothing left of it can be trusted.
pub(super) fn hops(headers: &HeaderMap) -> impl Iterator<Item = Hop<'_>> {
    let fields = headers.get_all(header::FORWARDED).iter().rev();
    let elements = fields.flat_map(|field| {
        let elements = split(field.as_bytes(), b',');
        elements.into_iter().rev()
    });
    elements.map_while(hop)
}

fn hop(element: &[u8]) -> Option<Hop<'_>> {
    let mut hop = Hop { client: None, secure: false };
    for pair in split(element, b';') {
        let at = memchr::memchr(b'=', pair)?;
        let (name, value) = (pair.get(..at)?.trim_ascii(), pair.get(at + 1..)?.trim_ascii());
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        if name.eq_ignore_ascii_case(b"for") {
            hop.client = Some(value);
        } else if name.eq_ignore_ascii_case(b"proto") {
            hop.secure = value.eq_ignore_ascii_case(b"https");
        }
    }
    Some(hop)
}

/// Parts between separators that do not stand in quotes.
fn split(text: &[u8], separator: u8) -> Vec<&[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(|byte| {
        let ends = *byte == separator && !quoted;
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        ends
    })
    .collect()
}

/// What we say ourselves: who asked us, by which host and protocol.
pub(super) fn element(peer: IpAddr, host: Option<&[u8]>, secure: bool) -> Vec<u8> {
    let mut element = node(peer);
    if let Some(host) =
        host.filter(|host| host.iter().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(byte)))
    {
        // A port has a colon, which is no part of a token.
        element.extend_from_slice(b";host=\"");
        element.extend_from_slice(host);
        element.push(b'"');
    }
    element.extend_from_slice(if secure { b";proto=https" } else { b";proto=http" });
    element
}

/// `for=` an address; those of IPv6 stand in brackets and quotes.
pub(super) fn node(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(v4) => format!("for={v4}"),
        IpAddr::V6(v6) => format!("for=\"[{v6}]\""),
    }
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proxies_say_is_read_from_the_nearest() {
        let mut headers = HeaderMap::new();
        for field in [
            "for=192.0.2.1;proto=https, for=\"[2001:db8::1]:80\"",
            "For=10.0.0.1 ; by=\"a,b;c\";PROTO=HTTPS,for=_x",
        ] {
            headers.append(header::FORWARDED, field.parse().unwrap());
        }
        let read: Vec<_> =
            hops(&headers).map(|hop| (String::from_utf8_lossy(hop.client.unwrap()), hop.secure)).collect();
        let read: Vec<_> = read.iter().map(|(client, secure)| (&**client, *secure)).collect();
        assert_eq!(
            read,
            [("_x", false), ("10.0.0.1", true), ("[2001:db8::1]:80", false), ("192.0.2.1", true)]
        );
        let mut broken = HeaderMap::new();
        broken.append(header::FORWARDED, "for=192.0.2.1, nonsense, for=10.0.0.1".parse().unwrap());
        assert_eq!(hops(&broken).count(), 1, "nothing behind nonsense is believed");
    }

    #[test]
    fn what_we_say_can_be_read_by_others() {
        let text = |address: &str, host: &str| {
            String::from_utf8(element(address.parse().unwrap(), Some(host.as_bytes()), true)).unwrap()
        };
        assert_eq!(text("192.0.2.1", "a.test:80"), "for=192.0.2.1;host=\"a.test:80\";proto=https");
        assert_eq!(text("2001:db8::1", "a\"b"), "for=\"[2001:db8::1]\";proto=https");
    }
}
