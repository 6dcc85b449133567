//! Media types: what a client accepts, and what its body is.

use http::{HeaderMap, header};

/// A media type such as `text/csv`, or all of a kind: `text/*`. In lower case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MediaRange {
    /// Such as `text`.
    pub kind: Box<[u8]>,
    /// Such as `csv`; `None`: any.
    pub subtype: Option<Box<[u8]>>,
}

/// A range of an `Accept` field.
#[derive(Clone, Copy, Debug)]
struct Accepted<'a> {
    kind: &'a [u8],
    subtype: &'a [u8],
    /// 0 to 1000.
    quality: u16,
}

/// Whether the client names one of the types, itself or by its kind, and likes nothing better. That it takes anything
/// (`*/*`), as every browser does, names none.
pub(super) fn prefers(headers: &HeaderMap, types: &[MediaRange]) -> bool {
    let ranges = || {
        let fields = headers.get_all(header::ACCEPT).iter();
        fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b',')).filter_map(accepted)
    };
    let best = ranges().map(|range| range.quality).max().unwrap_or(0);
    best > 0 && types.iter().any(|media| media.quality(ranges()) == Some(best))
}

/// Whether the body is of one of the types.
pub(super) fn is_one_of(headers: &HeaderMap, types: &[MediaRange]) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return false };
    let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    let Some((kind, subtype)) = split(essence) else { return false };
    types.iter().any(|media| media.covers(kind, subtype))
}

impl MediaRange {
    /// Whether it takes a media type that is written without parameters.
    pub fn takes(&self, essence: &[u8]) -> bool {
        split(essence).is_some_and(|(kind, subtype)| self.covers(kind, subtype))
    }

    fn covers(&self, kind: &[u8], subtype: &[u8]) -> bool {
        self.kind.eq_ignore_ascii_case(kind)
            && self.subtype.as_ref().is_none_or(|own| own.eq_ignore_ascii_case(subtype))
    }

    /// How much a client likes this type: the most specific range counts (RFC 9110 section 12.5.1).
    fn quality<'a>(&self, ranges: impl Iterator<Item = Accepted<'a>>) -> Option<u16> {
        let mut by_kind = None;
        let mut exact: Option<u16> = None;
        for range in ranges.filter(|range| self.kind.eq_ignore_ascii_case(range.kind)) {
            match (&self.subtype, range.subtype) {
                // Of a kind, whatever the client likes best.
                (None, _) => exact = exact.max(Some(range.quality)),
                (Some(_), b"*") => by_kind = by_kind.max(Some(range.quality)),
                (Some(own), subtype) if own.eq_ignore_ascii_case(subtype) => {
                    exact = exact.max(Some(range.quality));
                }
                (Some(_), _) => {}
            }
        }
        exact.or(by_kind)
    }
}

fn split(essence: &[u8]) -> Option<(&[u8], &[u8])> {
    let essence = essence.trim_ascii();
    let (kind, rest) = essence.split_at_checked(memchr::memchr(b'/', essence)?)?;
    Some((kind, rest.get(1..)?))
}

fn accepted(range: &[u8]) -> Option<Accepted<'_>> {
    let mut parts = range.split(|byte| *byte == b';');
    let (kind, subtype) = split(parts.next()?)?;
    let weight = parts.find_map(|part| {
        let part = part.trim_ascii();
        let (name, value) = part.split_at_checked(memchr::memchr(b'=', part)?)?;
        name.trim_ascii().eq_ignore_ascii_case(b"q").then(|| quality(value.get(1..).unwrap_or_default()))
    });
    Some(Accepted { kind, subtype, quality: weight.unwrap_or(Some(1000))? })
}

/// A weight of RFC 9110 section 12.4.2, in thousandths; a range with a broken one is left out.
pub fn quality(text: &[u8]) -> Option<u16> {
    let text = text.trim_ascii();
    let (whole, rest) = text.split_first()?;
    let fraction = match rest {
        [] => b"",
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return None,
    };
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    let mut thousandths = 0;
    for place in 0..3 {
        thousandths = thousandths * 10 + fraction.get(place).map_or(Some(0), |byte| digit(*byte))?;
    }
    match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> MediaRange {
        let (kind, subtype) = text.split_once('/').unwrap();
        let subtype = (subtype != "*").then(|| subtype.as_bytes().into());
        MediaRange { kind: kind.as_bytes().into(), subtype }
    }

    #[test]
    fn a_client_prefers_what_it_names_and_likes_best() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
        let table = [
            ("text/csv", "text/csv", true),
            ("text/csv", "TEXT/CSV ; charset=utf-8", true),
            ("text/csv", "text/csv;q=0.5", true),
            ("text/csv", "text/html, text/csv;q=0.9", false),
            ("text/csv", "text/html;q=0.8, text/csv;q=0.9", true),
            ("text/csv", "text/csv;q=0", false),
            ("text/csv", "text/csv;q=0, */*", false),
            ("text/csv", "*/*", false),
            ("text/csv", browser, false),
            ("text/html", browser, true),
            ("application/xml", browser, false),
            ("text/csv", "text/*", true),
            ("text/csv", "text/*, text/csv;q=0.1", false),
            ("text/csv", "text/*;q=0.1, text/csv", true),
            ("text/*", "text/csv", true),
            ("text/*", "text/csv;q=0.5, application/json", false),
            ("text/csv", "", false),
            ("text/csv", "text/csv;q=2", false),
            ("text/csv", "text/csv;q=0.0001", false),
            ("text/csv", "text/csv;q=1.001", false),
            ("text/csv", "text/csv;q=", false),
            ("text/csv", "csv", false),
        ];
        for (media, accept, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(prefers(&headers, &[range(media)]), expected, "{media} in {accept}");
        }
        assert!(!prefers(&HeaderMap::new(), &[range("text/csv")]));
    }

    #[test]
    fn a_body_is_of_its_type_whatever_its_parameters() {
        let table = [
            ("application/json", "application/json", true),
            ("application/json", "Application/JSON; charset=utf-8", true),
            ("application/*", "application/json", true),
            ("application/json", "application/jsonx", false),
            ("application/json", "text/json", false),
            ("application/json", "json", false),
        ];
        for (media, value, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
            assert_eq!(is_one_of(&headers, &[range(media)]), expected, "{media} of {value}");
        }
    }
}
