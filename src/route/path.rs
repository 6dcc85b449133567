//! A path as servers read it, so that a route cannot be dodged by writing it another way.
//!
//! Percent-encoding is decoded once, `;parameters` are dropped, repeated slashes count as one, dot segments are
//! resolved. Servers differ where a dot segment or a slash is disguised (`/a/..;/b`, `/a%2f..%2fb`, `/a\b`): such
//! a path has several readings, and all of them must lead to the same route.

use std::borrow::Cow;

/// Longer lists of readings do not occur: four questions, each with two answers.
const MOST_READINGS: u8 = 16;

/// In which ways servers differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct How {
    /// `;x=y` is dropped (Tomcat, Jetty) or part of the segment.
    drops_parameters: bool,
    /// `%2f`, `%5c` and `\` separate segments (NGINX, IIS), or are part of one.
    opens_slashes: bool,
    /// `//` counts as `/` before dot segments are resolved, or holds an empty segment.
    merges_slashes: bool,
    /// Dot segments are resolved, or are names as any other.
    resolves_dots: bool,
}

const USUAL: How =
    How { drops_parameters: true, opens_slashes: true, merges_slashes: true, resolves_dots: true };

/// The usual reading of a path: borrowed where it is written so already.
pub(super) fn usual(raw: &[u8]) -> Cow<'_, [u8]> {
    if is_usual(raw) { Cow::Borrowed(raw) } else { Cow::Owned(read(raw, USUAL)) }
}

/// Whether no server could take the path for what it is not: a NUL ends it in some languages.
pub(super) fn is_readable(raw: &[u8]) -> bool {
    memchr::memmem::find(raw, b"%00").is_none() && memchr::memchr(0, raw).is_none()
}

/// The other readings, where servers differ in a way that can lead elsewhere. Nearly always none.
pub(super) fn others(raw: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let disguised = !is_usual(raw) && has_disguise(raw);
    let last = if disguised { MOST_READINGS } else { 1 };
    (1..last).map(move |bits| {
        let how = How {
            drops_parameters: bits & 1 == 0,
            opens_slashes: bits & 2 == 0,
            merges_slashes: bits & 4 == 0,
            resolves_dots: bits & 8 == 0,
        };
        read(raw, how)
    })
}

/// Whether reading it would change nothing. A dot behind a slash may be harmless; then it is read, and is the same.
fn is_usual(raw: &[u8]) -> bool {
    let special = |byte: &u8| matches!(byte, b'%' | b';' | b'\\');
    let pair = |pair: &[u8]| matches!(pair, b"//" | b"/.");
    !raw.iter().any(special) && !raw.windows(2).any(pair)
}

/// Whether it has dot segments, or slashes that not every server takes for such.
fn has_disguise(raw: &[u8]) -> bool {
    let slashes = memchr::memchr(b'\\', raw).is_some()
        || raw.windows(3).any(|code| matches!(code, b"%2f" | b"%2F" | b"%5c" | b"%5C"));
    let plain = How { resolves_dots: false, ..USUAL };
    slashes || segments(&read(raw, plain)).any(is_dots)
}

fn is_dots(segment: &[u8]) -> bool {
    matches!(segment, b"." | b"..")
}

/// The segments of a path: what stands behind each slash.
pub(super) fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/')
}

fn read(raw: &[u8], how: How) -> Vec<u8> {
    let decoded = decode(raw, how);
    let mut path: Vec<u8> = Vec::with_capacity(decoded.len());
    // Where each segment of `path` begins, with its slash.
    let mut starts: Vec<usize> = Vec::new();
    let mut rest = segments(&decoded).peekable();
    while let Some(segment) = rest.next() {
        let is_last = rest.peek().is_none();
        if how.resolves_dots && is_dots(segment) {
            if segment == b".."
                && let Some(start) = starts.pop()
            {
                path.truncate(start);
            }
            // `/a/.` and `/a/b/..` are folders: `/a/`.
            if is_last {
                path.push(b'/');
            }
            continue;
        }
        if how.merges_slashes && segment.is_empty() && !is_last {
            continue;
        }
        starts.push(path.len());
        path.push(b'/');
        path.extend_from_slice(segment);
    }
    path
}

/// Without parameters and percent-encoding, where these are read so. A slash that separates nothing stays encoded.
fn decode(raw: &[u8], how: How) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    let mut in_parameter = false;
    while let Some(&byte) = bytes.next() {
        match byte {
            b'/' => in_parameter = false,
            b';' if how.drops_parameters => in_parameter = true,
            _ => {}
        }
        if in_parameter {
            continue;
        }
        let code = (byte == b'%').then(|| code(bytes.as_slice())).flatten();
        if code.is_some() {
            bytes.nth(1);
        }
        match code.unwrap_or(byte) {
            b'\\' if how.opens_slashes => decoded.push(b'/'),
            b'/' if code.is_some() && !how.opens_slashes => decoded.extend_from_slice(b"%2F"),
            byte => decoded.push(byte),
        }
    }
    decoded
}

/// The byte that two hexadecimal digits mean.
pub(super) fn code(digits: &[u8]) -> Option<u8> {
    let value = |digit: &u8| char::from(*digit).to_digit(16);
    let code = value(digits.first()?)? * 16 + value(digits.get(1)?)?;
    u8::try_from(code).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn usual_text(raw: &str) -> String {
        String::from_utf8_lossy(&usual(raw.as_bytes())).into_owned()
    }

    #[test]
    fn paths_are_read_as_servers_read_them() {
        let table = [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("/%61dmin", "/admin"),
            ("/a%20b", "/a b"),
            ("//admin", "/admin"),
            ("/a///b//", "/a/b/"),
            ("/./admin", "/admin"),
            ("/x/../admin", "/admin"),
            ("/../../admin", "/admin"),
            ("/x/%2e%2E/admin", "/admin"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/..", "/"),
            ("/admin;x=1", "/admin"),
            ("/admin;jsessionid=A/page;v=2", "/admin/page"),
            ("/x/..;/admin", "/admin"),
            ("/x%2f..%2fadmin", "/admin"),
            ("/x\\admin", "/x/admin"),
            ("/.well-known/x", "/.well-known/x"),
            ("/...", "/..."),
            ("/a%zz%", "/a%zz%"),
            ("/%25%32%66", "/%2f"),
            ("/a;/", "/a/"),
        ];
        for (raw, expected) in table {
            assert_eq!(usual_text(raw), expected, "{raw}");
        }
    }

    #[test]
    fn only_disguised_paths_have_other_readings() {
        for plain in ["/", "/a//b", "/a%20b", "/a;jsessionid=X.y/b", "/.well-known", "/a..b/..c", "/a%3Bb"] {
            assert_eq!(others(plain.as_bytes()).count(), 0, "{plain}");
        }
        for (disguised, reading) in [
            ("/public/..;/admin", "/public/..;/admin"),
            ("/a/..;/public", "/a/..;/public"),
            ("/public;%2f..%2fadmin", "/admin"),
            ("/public//../admin", "/public/admin"),
            ("/a%2Fb", "/a%2Fb"),
            ("/admin/../public", "/admin/../public"),
            ("/a\\b", "/a\\b"),
        ] {
            let readings: BTreeSet<_> = others(disguised.as_bytes()).collect();
            assert!(readings.contains(reading.as_bytes()), "{disguised}: {readings:?}");
        }
    }

    proptest! {
        #[test]
        fn the_usual_reading_is_stable(raw in "/[a./;%2\\\\\\x41]{0,24}") {
            let once = usual(raw.as_bytes()).into_owned();
            prop_assert!(once.starts_with(b"/"));
            prop_assert!(!segments(&once).any(is_dots), "{once:?}");
            prop_assert!(!once.windows(2).any(|pair| pair == b"//"), "{once:?}");
        }
    }
}
