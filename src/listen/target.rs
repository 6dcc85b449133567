//! What a request is for: its target and its host (RFC 9112 section 3.2, RFC 3986 section 3.2).

use std::net::Ipv6Addr;

use memchr::memchr;

use super::head::Rejection;

const MALFORMED: Rejection = Rejection::Malformed("the request target is neither a path nor an http URI");

/// Whether a target is a path, an absolute `http` or `https` URI, or the asterisk of `OPTIONS`.
///
/// Bytes that a URI may not have but that clients send all the same (`|`, `{`, non-ASCII) are let through: they
/// reach a backend escaped. A fragment is not: it would be cut off unseen.
pub(super) fn check(method: &[u8], target: &[u8]) -> Result<(), Rejection> {
    if target.iter().any(|byte| *byte <= b' ' || matches!(*byte, 0x7F | b'#')) {
        return Err(Rejection::Malformed("a blank, a control character or a fragment in the request target"));
    }
    if target.starts_with(b"/") {
        return Ok(());
    }
    if target == b"*" {
        return if method == b"OPTIONS" { Ok(()) } else { Err(MALFORMED) };
    }
    let colon = memchr(b':', target).ok_or(MALFORMED)?;
    let (scheme, rest) = target.split_at_checked(colon).ok_or(MALFORMED)?;
    let known = scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https");
    let rest = rest.strip_prefix(b"://").filter(|_| known).ok_or(MALFORMED)?;
    let authority = rest.split(|byte| matches!(byte, b'/' | b'?')).next().unwrap_or_default();
    // Also refuses an empty host, which a recipient must (RFC 9110 section 4.2.1).
    if is_authority(authority) { Ok(()) } else { Err(MALFORMED) }
}

/// A host with an optional port: no user, no path, nothing empty but the port.
pub(super) fn is_authority(value: &[u8]) -> bool {
    let (host_ok, port) = if value.starts_with(b"[") {
        let Some((literal, rest)) = memchr(b']', value).and_then(|end| value.split_at_checked(end)) else {
            return false;
        };
        (is_literal(literal.get(1..).unwrap_or_default()), rest.get(1..).unwrap_or_default())
    } else {
        let (host, port) = value.split_at(memchr(b':', value).unwrap_or(value.len()));
        (is_name(host), port)
    };
    let port_ok = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    host_ok && port_ok
}

/// What stands in brackets: an IPv6 address, or one of a later version.
fn is_literal(literal: &[u8]) -> bool {
    let text = std::str::from_utf8(literal).unwrap_or_default();
    let later = |text: &str| {
        let (version, address) = text.strip_prefix(['v', 'V'])?.split_once('.')?;
        let hex = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_hexdigit());
        let address_ok = !address.is_empty() && address.bytes().all(|byte| byte == b':' || is_plain(byte));
        (hex && address_ok).then_some(())
    };
    text.parse::<Ipv6Addr>().is_ok() || later(text).is_some()
}

/// A name or an IPv4 address: `reg-name`, but not empty.
fn is_name(name: &[u8]) -> bool {
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        let good = match byte {
            b'%' => [bytes.next(), bytes.next()].iter().all(|digit| digit.is_some_and(u8::is_ascii_hexdigit)),
            byte => is_plain(*byte),
        };
        if !good {
            return false;
        }
    }
    !name.is_empty()
}

/// `unreserved` and `sub-delims` of RFC 3986, but for the comma: it makes a list of what is no list.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_with_an_optional_port() {
        let good: [&[u8]; 10] = [
            b"a",
            b"a:80",
            b"a:",
            b"a_b",
            b"a.",
            b"192.0.2.1:8",
            b"[::1]",
            b"[2001:db8::1]:80",
            b"[v1.a]",
            b"a%62",
        ];
        for value in good {
            assert!(is_authority(value), "{}", value.escape_ascii());
        }
        let bad: [&[u8]; 16] = [
            b"",
            b":80",
            b"a:b",
            b"a:80:80",
            b"a:123456",
            b"::1",
            b"[::1",
            b"[]",
            b"[a]",
            b"[:::1]",
            b"[::1]x",
            b"a,b",
            b"u@a",
            b"a%4",
            b"a%zz",
            b"\xc3\xa9",
        ];
        for value in bad {
            assert!(!is_authority(value), "{}", value.escape_ascii());
        }
    }

    #[test]
    fn a_target_is_a_path_a_uri_or_an_asterisk() {
        let good: [&[u8]; 6] = [
            b"/",
            b"//a?b#".strip_suffix(b"#").unwrap(),
            b"/%zz|{}\xe9",
            b"http://a",
            b"HTTPS://a?b",
            b"http://a:80/b@c",
        ];
        for target in good {
            assert_eq!(check(b"GET", target), Ok(()), "{}", target.escape_ascii());
        }
        let bad: [&[u8]; 12] = [
            b"*",
            b"a",
            b"?a",
            b"\\a",
            b"a:80",
            b"/a#b",
            b"/a b",
            b"http:/a",
            b"http:///a",
            b"http://u@a/",
            b"ftp://a/",
            b"http://:80/",
        ];
        for target in bad {
            assert!(check(b"GET", target).is_err(), "{}", target.escape_ascii());
        }
        assert_eq!(check(b"OPTIONS", b"*"), Ok(()));
    }
}
