//! `Cookie` request fields, read the way browsers write them (RFC 6265 section 5.4) and servers parse them.
//!
//! Works on bytes: a repeated, unquoted, nameless or non-ASCII cookie of somebody else must neither hide
//! ours nor be changed when ours is taken out.

use memchr::{memchr, memchr_iter};

/// One cookie of a `Cookie` field, as sent, without the white space around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair<'a> {
    /// Empty for a nameless cookie (`=value`, or no `=` at all).
    pub name: &'a [u8],
    /// Without the quotes, if it was quoted.
    pub value: &'a [u8],
}

/// The cookies of one `Cookie` field, in order.
pub fn pairs(field: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    segments(field).map(pair).filter(|pair| !(pair.name.is_empty() && pair.value.is_empty()))
}

/// A `Cookie` field after a cookie was taken out of it.
#[derive(PartialEq, Eq, Debug)]
pub enum Stripped {
    /// The field has no cookie of that name.
    Unchanged,
    /// Nothing else was in the field: drop it.
    Empty,
    /// The field without that cookie; every other byte as it was.
    Changed(Vec<u8>),
}

/// Takes every cookie named `name` out of a `Cookie` field; all else stays, byte for byte.
pub fn strip(field: &[u8], name: &[u8]) -> Stripped {
    let is_ours = |segment: &[u8]| pair(segment).name == name;
    if !segments(field).any(is_ours) {
        return Stripped::Unchanged;
    }
    let mut rest = Vec::with_capacity(field.len());
    let mut first = true;
    for segment in segments(field).filter(|segment| !is_ours(segment)) {
        if first {
            rest.extend_from_slice(trim_start(segment));
            first = false;
        } else {
            rest.push(b';');
            rest.extend_from_slice(segment);
        }
    }
    if trim(&rest).is_empty() { Stripped::Empty } else { Stripped::Changed(rest) }
}

fn segments(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr_iter(b';', field).chain(std::iter::once(field.len()));
    ends.scan(0, |start, end| {
        let segment = field.get(*start..end);
        *start = end + 1;
        segment
    })
}

fn pair(segment: &[u8]) -> Pair<'_> {
    let segment = trim(segment);
    match memchr(b'=', segment).and_then(|at| segment.split_at_checked(at)) {
        Some((name, rest)) => {
            let value = rest.strip_prefix(b"=").unwrap_or(rest);
            Pair { name: trim(name), value: unquote(trim(value)) }
        }
        None => Pair { name: b"", value: segment },
    }
}

/// The bytes between double quotes, if there are any: Tomcat's and Jetty's readers drop them too.
pub(super) fn unquote(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(value)
}

pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    let bytes = trim_start(bytes);
    let end = bytes.iter().rposition(|byte| !is_blank(*byte)).map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or(bytes)
}

fn trim_start(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !is_blank(*byte)).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or(bytes)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(field: &str) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        pairs(field.as_bytes()).map(|pair| (text(pair.name), text(pair.value))).collect()
    }

    fn stripped(field: &str) -> Option<String> {
        match strip(field.as_bytes(), b"LB") {
            Stripped::Unchanged => Some(field.to_owned()),
            Stripped::Empty => None,
            Stripped::Changed(rest) => Some(String::from_utf8(rest).unwrap()),
        }
    }

    #[test]
    fn cookies_are_read_as_browsers_and_servers_do() {
        let table: &[(&str, &[(&str, &str)])] = &[
            ("a=1; b=2", &[("a", "1"), ("b", "2")]),
            ("a=1;b=2", &[("a", "1"), ("b", "2")]),
            ("a=1;  b=2 ;", &[("a", "1"), ("b", "2")]),
            ("a=\"1\"", &[("a", "1")]),
            ("a=\"1", &[("a", "\"1")]),
            ("a=b=c", &[("a", "b=c")]),
            ("a=", &[("a", "")]),
            ("=v", &[("", "v")]),
            ("v", &[("", "v")]),
            ("a = 1", &[("a", "1")]),
            (";;a=1;;", &[("a", "1")]),
            ("xJSESSIONID=1; JSESSIONID=2", &[("xJSESSIONID", "1"), ("JSESSIONID", "2")]),
            ("a=1; a=2", &[("a", "1"), ("a", "2")]),
            ("", &[]),
        ];
        for (field, expected) in table {
            let expected: Vec<_> = expected.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            assert_eq!(read(field), expected, "{field:?}");
        }
    }

    #[test]
    fn our_cookie_is_taken_out_and_all_else_stays_byte_for_byte() {
        let table = [
            ("LB=x", None),
            (" LB=x ; ", None),
            ("a=1", Some("a=1")),
            ("a=1; LB=x", Some("a=1")),
            ("LB=x; a=1", Some("a=1")),
            ("a=1; LB=x; b=2", Some("a=1; b=2")),
            ("a=1;LB=x;b=\"2\"", Some("a=1;b=\"2\"")),
            ("LB=x; LB=y; a=1;  b", Some("a=1;  b")),
            ("aLB=x; LBa=y", Some("aLB=x; LBa=y")),
            ("a=1;; LB=x ;=z", Some("a=1;;=z")),
        ];
        for (field, expected) in table {
            assert_eq!(stripped(field).as_deref(), expected, "{field:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_kept() {
        let field = b"a=\xff\xfe; LB=x; b=\x80";
        assert_eq!(strip(field, b"LB"), Stripped::Changed(b"a=\xff\xfe; b=\x80".to_vec()));
    }

    proptest! {
        #[test]
        fn stripping_leaves_the_other_cookies(field in "[ab=;\" L]{0,40}(LB=[a-z;]{0,5})?[ab=; ]{0,20}") {
            let others: Vec<_> =
                pairs(field.as_bytes()).filter(|pair| pair.name != b"LB").collect();
            match strip(field.as_bytes(), b"LB") {
                Stripped::Unchanged => {}
                Stripped::Empty => prop_assert!(others.is_empty()),
                Stripped::Changed(rest) => prop_assert_eq!(pairs(&rest).collect::<Vec<_>>(), others),
            }
        }
    }
}
