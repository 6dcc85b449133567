//! What requests are matched against: hosts, paths, methods, media types, regular expressions.

use percent_encoding::percent_decode_str;
use regex::bytes::{Regex, RegexBuilder};
use schemars::JsonSchema;

use super::checked;
use super::read::{Cursor, Read};
use super::report::Code;
use super::text::{is_domain, is_token, matching};

/// A host such as `app.example.com`, or `*.example.com` for all below a domain.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline, extend("x-type" = "host or `*.DOMAIN`"))]
pub(super) struct HostPattern(#[schemars(with = "String")] pub(super) checked::HostPattern);

/// A path that begins with `/`, decoded.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline, extend("x-type" = "path"))]
pub(super) struct MatchPath(#[schemars(with = "String")] pub(super) Vec<u8>);

/// A method such as `GET`.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline, extend("x-type" = "method"))]
pub(super) struct Method(#[schemars(with = "String")] pub(super) String);

/// A header field's name, in the case in which it is sent.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline)]
pub(super) struct FieldName(pub(super) String);

/// A media type such as `text/csv`, or `text/*`.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline, extend("x-type" = "media type"))]
pub(super) struct MediaType(#[schemars(with = "String")] pub(super) checked::MediaRange);

/// A regular expression that has to match the whole.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline, extend("x-type" = "regular expression"))]
pub(super) struct Pattern(#[schemars(with = "String")] pub(super) checked::Pattern);

/// Of a compiled regular expression, and of the automaton that it becomes: far above what a path needs.
const REGEX_BYTES: usize = 1 << 20;
/// How deep a regular expression may be nested.
const REGEX_DEPTH: u32 = 50;

impl Read for HostPattern {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("a host such as app.example.com")?;
        let port = scalar.text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let help = match scalar.text.strip_prefix('*') {
            _ if port => "leave out the port: a host is matched whatever the port",
            Some(rest) if !rest.starts_with('.') => {
                "a `*` stands for whole labels: write it as `*.example.com`"
            }
            None if scalar.text.starts_with('.') => "write `*.example.com` for all hosts below a domain",
            Some(_) | None => "write it such as app.example.com, or *.example.com for all below a domain",
        };
        let right = |text: &str| {
            let name = text.strip_prefix("*.").unwrap_or(text);
            let address = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
            is_domain(name) || address.is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok())
        };
        let text = matching(cursor, "a host", help, right)?.to_ascii_lowercase();
        Some(Self(match text.strip_prefix("*.") {
            Some(domain) => checked::HostPattern::Below(domain.to_owned()),
            None => checked::HostPattern::Exact(text),
        }))
    }
}

impl Read for MatchPath {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("a path such as /reports")?;
        let help = match scalar.text.as_str() {
            text if !text.starts_with('/') => format!("write `/{}`", scalar.shown()),
            text if text.contains('*') => "a path has no `*`: write `prefix: …` or `regex: …`".to_owned(),
            text if text.contains(['?', '#']) => "leave out the query: `query` matches it".to_owned(),
            _ => "write it as it is read: without `//`, `.`, `..`, `;` and `\\`".to_owned(),
        };
        let right = |text: &str| {
            let decoded: Vec<u8> = percent_decode_str(text).collect();
            let mut segments = decoded.split(|byte| *byte == b'/').skip(1).peekable();
            let mut plain = true;
            while let Some(segment) = segments.next() {
                let is_inner = segments.peek().is_some();
                plain &= !(matches!(segment, b"." | b"..") || segment.is_empty() && is_inner);
            }
            text.starts_with('/')
                && plain
                && !text.contains(['?', '#', ';', '\\', '*'])
                && !decoded.contains(&0)
        };
        matching(cursor, "a path to match", &help, right)
            .map(|text| Self(percent_decode_str(&text).collect()))
    }
}

impl Read for Method {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("a method such as GET")?;
        let help = format!("write `{}`: methods are in upper case", scalar.shown().to_ascii_uppercase());
        let right =
            |text: &str| text.len() <= 32 && text.chars().all(|c| c.is_ascii_uppercase() || "-_".contains(c));
        matching(cursor, "a method", &help, right).map(Self)
    }
}

impl Read for FieldName {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let help = "use letters, digits and `-`, such as X-Client";
        matching(cursor, "a header name", help, |text| text.len() <= 128 && is_token(text)).map(Self)
    }
}

impl Read for MediaType {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let help = "write it such as text/csv or text/*, without parameters";
        let right = |text: &str| {
            text.split_once('/').is_some_and(|(kind, subtype)| {
                let named = |text: &str| !text.is_empty() && is_token(text) && !text.contains('*');
                named(kind) && (subtype == "*" || named(subtype))
            })
        };
        let text = matching(cursor, "a media type", help, right)?.to_ascii_lowercase();
        let (kind, subtype) = text.split_once('/')?;
        let subtype = (subtype != "*").then(|| subtype.to_owned());
        Some(Self(checked::MediaRange { kind: kind.to_owned(), subtype }))
    }
}

impl Read for Pattern {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("a regular expression")?;
        // Alone first: `a)|(b` is none, but would become one inside the anchors.
        let regex = compiled(&scalar.text).and_then(|_| compiled(&format!(r"(?s-u)\A(?:{})\z", scalar.text)));
        match regex {
            Ok(regex) => Some(Self(checked::Pattern { text: scalar.text.clone(), regex })),
            Err(error) => {
                let help = match error {
                    regex::Error::CompiledTooBig(_) => {
                        "make it smaller: repetitions such as `{1,1000}` grow it".to_owned()
                    }
                    error => error.to_string().lines().last().unwrap_or_default().trim().to_owned(),
                };
                let message = format!("`{}` is no regular expression", scalar.shown());
                cursor.refuse(Code::BadValue, message, help);
                None
            }
        }
    }
}

fn compiled(text: &str) -> Result<Regex, regex::Error> {
    // Bytes, not characters: no byte that is not UTF-8 may slip past a `.`.
    RegexBuilder::new(text)
        .unicode(false)
        .dot_matches_new_line(true)
        .size_limit(REGEX_BYTES)
        .dfa_size_limit(REGEX_BYTES)
        .nest_limit(REGEX_DEPTH)
        .build()
}
