//! Texts with pieces of the request: where a redirect leads, a rewritten path, a header's value.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_encode};

use super::matcher::{Matcher, Name, PathPattern};
use super::path::{segments, usual};
use super::view::RequestView;

/// A text with pieces of the request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Template(pub Box<[Piece]>);

/// A part of a template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// These very bytes.
    Text(Box<[u8]>),
    /// `http` or `https`, as the client sees it.
    Scheme,
    /// The host, in lower case, without port.
    Host,
    /// The path as sent.
    Path,
    /// The path behind the prefix that matched: empty, or from a `/` on.
    Rest,
    /// The query as sent, with its `?`; empty where there is none.
    Query,
    /// The client's address.
    Client,
    /// The request's id.
    RequestId,
}

/// What templates are filled with.
#[derive(Clone, Copy, Debug)]
pub struct Filling<'a> {
    /// The request.
    pub request: &'a RequestView<'a>,
    /// The matcher of the route that took it.
    pub matcher: &'a Matcher,
    /// Whether the client's own connection is encrypted.
    pub secure: bool,
    /// Its id, if it has one.
    pub request_id: Option<&'a [u8]>,
}

/// Bytes that stand in a URL only encoded. A backslash is a slash to browsers.
const NOT_IN_URLS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
/// Bytes that stand in a path only encoded, where it was decoded before.
const NOT_IN_PATHS: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

impl Template {
    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text for a header field. `None`: the request lacks a piece of it.
    pub fn fill(&self, with: &Filling<'_>) -> Option<Vec<u8>> {
        let mut text = Vec::with_capacity(64);
        for piece in &self.0 {
            text.extend_from_slice(&piece.of(with)?);
        }
        Some(text)
    }

    /// The text as a URL or path: no byte in it that would have to be encoded, and never two slashes at its start, which
    /// would be another host.
    pub fn url(&self, with: &Filling<'_>) -> Option<Vec<u8>> {
        let text = self.fill(with)?;
        let mut url: Vec<u8> = percent_encode(&text, NOT_IN_URLS).collect::<String>().into_bytes();
        let slashes = url.iter().take_while(|byte| **byte == b'/').count();
        url.drain(..slashes.saturating_sub(1));
        Some(url)
    }
}

impl Piece {
    fn of<'a>(&'a self, with: &Filling<'a>) -> Option<Cow<'a, [u8]>> {
        let request = with.request;
        Some(match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Scheme => Cow::Borrowed(if with.secure { b"https" } else { b"http" }),
            Self::Host => {
                let name = request.host.and_then(Name::of)?;
                // The front door lets user names pass no more than a port; a name has none of this.
                let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(byte);
                Cow::Owned(Some(name.as_bytes()).filter(|name| name.iter().all(plain))?.to_vec())
            }
            Self::Path => Cow::Borrowed(request.path()?),
            Self::Rest => rest(request.path()?, with.matcher)?,
            Self::Query => match request.query() {
                [] => Cow::Borrowed(b""),
                query => Cow::Owned([b"?", query].concat()),
            },
            Self::RequestId => Cow::Borrowed(with.request_id?),
            Self::Client => Cow::Owned(request.client.to_canonical().to_string().into_bytes()),
        })
    }
}

/// What stands behind the longest prefix of the route that the path begins with. As it was sent, where the prefix was
/// written plainly; else in its usual reading.
fn rest<'a>(raw: &'a [u8], matcher: &Matcher) -> Option<Cow<'a, [u8]>> {
    let usual = usual(raw);
    let prefixes = matcher.paths.iter().filter_map(|path| match path {
        PathPattern::Prefix(prefix) => Some(prefix.strip_suffix(b"/").unwrap_or(prefix)),
        PathPattern::Exact(_) | PathPattern::Regex(_) => None,
    });
    let begins = |path: &[u8], prefix: &[u8]| {
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    let prefix = prefixes.filter(|prefix| begins(&usual, prefix)).max_by_key(|prefix| prefix.len())?;
    let plain = segments(raw).all(|segment| !matches!(segment, b"." | b".."));
    if plain && begins(raw, prefix) {
        return raw.get(prefix.len()..).map(Cow::Borrowed);
    }
    let rest = usual.get(prefix.len()..)?;
    Some(Cow::Owned(percent_encode(rest, NOT_IN_PATHS).collect::<String>().into_bytes()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;

    fn filled(pieces: &[Piece], host: &str, target: &str) -> String {
        let headers = HeaderMap::new();
        let request = RequestView {
            method: &Method::GET,
            host: Some(host.as_bytes()),
            target: target.as_bytes(),
            headers: &headers,
            client: [10, 0, 0, 1].into(),
            server_name: None,
        };
        let paths = ["/old", "/old/deeper"].map(|prefix| PathPattern::Prefix(prefix.as_bytes().into()));
        let matcher = Matcher { paths: paths.into(), ..Matcher::default() };
        let with = Filling { request: &request, matcher: &matcher, secure: true, request_id: None };
        let url = Template(pieces.into()).url(&with);
        url.map_or_else(|| "nothing".to_owned(), |url| String::from_utf8(url).unwrap())
    }

    fn text(text: &str) -> Piece {
        Piece::Text(text.as_bytes().into())
    }

    #[test]
    fn pieces_of_the_request_stand_where_they_are_named() {
        let whole = [Piece::Scheme, text("://"), Piece::Host, Piece::Path, Piece::Query];
        assert_eq!(filled(&whole, "App.test:80", "/a%20b;x=1?q=1&r"), "https://app.test/a%20b;x=1?q=1&r");
        assert_eq!(filled(&whole, "app.test", "http://app.test"), "https://app.test/");
        assert_eq!(filled(&whole, "app.test", "*"), "nothing");
        assert_eq!(filled(&[text("/from/"), Piece::Client], "a", "/"), "/from/10.0.0.1");
        let moved = [text("/new"), Piece::Rest, Piece::Query];
        for (target, expected) in [
            ("/old", "/new"),
            ("/old/", "/new/"),
            ("/old/a%2fb;c=d?e", "/new/a%2fb;c=d?e"),
            ("/old/deeper/x", "/new/x"),
            ("/%6fld/a%20b", "/new/a%20b"),
            ("/old;x=1/a b", "/new/a%20b"),
            ("/old/x/../y", "/new/y"),
            ("//old//y", "/new/y"),
        ] {
            assert_eq!(filled(&moved, "a", target), expected, "{target}");
        }
    }

    /// A browser follows `//host`, `/\host` and a host that goes on into another domain.
    #[test]
    fn a_path_cannot_become_a_host() {
        for pieces in [[Piece::Path, Piece::Query], [Piece::Rest, Piece::Query]] {
            for target in [
                "//evil.test",
                "///evil.test",
                "/\\evil.test",
                "/old//evil.test",
                "/old/\\evil.test",
                "//old//evil.test",
                "/old/%2fevil.test",
                "/old/%5cevil.test",
                "/x/..//evil.test",
                "/old/..;//evil.test",
            ] {
                let url = filled(&pieces, "a.test", target);
                let from = url::Url::parse("https://a.test/").unwrap();
                if url != "nothing" {
                    let to = from.join(&url).unwrap();
                    assert_eq!(to.host_str(), Some("a.test"), "{target} became {url}");
                }
            }
        }
        let same_host = [text("https://a.test"), Piece::Path];
        for target in ["//evil.test", "/@evil.test", "/.evil.test"] {
            let to = url::Url::parse(&filled(&same_host, "x", target)).unwrap();
            assert_eq!(to.host_str(), Some("a.test"), "{target}");
        }
        assert_eq!(filled(&[text("https://"), Piece::Host, text("/")], "evil.test@a.test", "/"), "nothing");
    }
}
