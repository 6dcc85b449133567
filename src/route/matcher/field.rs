//! Values of header fields, cookies and query parameters.

use std::borrow::Cow;

use http::HeaderName;
use regex::bytes::Regex;

use crate::affinity;
use crate::route::path::code;
use crate::route::view::RequestView;

/// What a value has to be. One of several fields of a name is enough.
#[derive(Clone, Debug)]
pub enum ValueTest {
    /// It is there.
    Present,
    /// It is not there.
    Absent,
    /// It is one of these.
    Equals(Box<[Box<[u8]>]>),
    /// This matches it. It is to be anchored at both ends.
    Regex(Regex),
}

impl ValueTest {
    pub(super) fn header(&self, request: &RequestView<'_>, name: &HeaderName) -> bool {
        let values = request.headers.get_all(name).iter();
        self.holds(values.map(|value| Cow::Borrowed(value.as_bytes().trim_ascii())))
    }

    pub(super) fn cookie(&self, request: &RequestView<'_>, name: &[u8]) -> bool {
        let fields = request.headers.get_all(http::header::COOKIE).iter();
        let pairs = fields.flat_map(|field| affinity::pairs(field.as_bytes()));
        self.holds(pairs.filter(|pair| pair.name == name).map(|pair| Cow::Borrowed(pair.value)))
    }

    pub(super) fn query(&self, request: &RequestView<'_>, name: &[u8]) -> bool {
        let parameters = request.query().split(|byte| *byte == b'&').filter_map(|parameter| {
            let at = memchr::memchr(b'=', parameter).unwrap_or(parameter.len());
            let (key, value) = parameter.split_at_checked(at)?;
            (*decoded(key) == *name).then(|| decoded(value.get(1..).unwrap_or_default()))
        });
        self.holds(parameters)
    }

    fn holds<'v>(&self, mut values: impl Iterator<Item = Cow<'v, [u8]>>) -> bool {
        match self {
            Self::Present => values.next().is_some(),
            Self::Absent => values.next().is_none(),
            Self::Equals(known) => values.any(|value| known.iter().any(|known| **known == *value)),
            Self::Regex(regex) => values.any(|value| regex.is_match(&value)),
        }
    }
}

/// A name or value of a query, as forms write it.
fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'%', b'+', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        let code = (byte == b'%').then(|| code(bytes.as_slice())).flatten();
        if code.is_some() {
            bytes.nth(1);
        }
        decoded.push(code.unwrap_or(if byte == b'+' { b' ' } else { byte }));
    }
    Cow::Owned(decoded)
}
