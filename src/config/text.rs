//! Values that are text with a syntax: names, cookie names, header names, paths, domains.

use std::path::PathBuf;

use schemars::JsonSchema;

use super::read::{Cursor, Read};
use super::report::Code;
use super::yaml::Scalar;

/// A boolean: `true` or `false`.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(inline)]
pub(super) struct Switch(pub(super) bool);

/// Any text that is not empty.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline)]
pub(super) struct Text(pub(super) String);

/// A name in log, metrics and command line: 1 to 64 letters, digits, `_`, `-` and `.`.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(inline, extend("pattern" = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))]
pub(super) struct Name(pub(super) String);

/// A cookie's name: an RFC 6265 token.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline)]
pub(super) struct CookieName(pub(super) String);

/// A header field's name, in lower case.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline)]
pub(super) struct HeaderName(pub(super) String);

/// The name of a parameter in a URL.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline)]
pub(super) struct ParameterName(pub(super) String);

/// A file; relative to the configuration file's folder.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline, extend("x-type" = "path"))]
pub(super) struct FilePath(#[schemars(with = "String")] pub(super) PathBuf);

/// Path and query of a request, beginning with `/`.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline, extend("pattern" = "^/"))]
pub(super) struct RequestPath(pub(super) String);

/// A host as the `Host` field names it, with or without a port.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline)]
pub(super) struct Host(pub(super) String);

/// The domain of a cookie.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline)]
pub(super) struct Domain(pub(super) String);

/// A name in DNS, with or without the dot at its end.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline)]
pub(super) struct DnsName(pub(super) String);

impl Read for Switch {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("true or false")?;
        match scalar.text.as_str() {
            "true" if scalar.plain => Some(Self(true)),
            "false" if scalar.plain => Some(Self(false)),
            text => {
                let found = if scalar.plain { "" } else { "the text " };
                let message =
                    format!("`{}` must be true or false, not {found}`{}`", cursor.name(), scalar.shown());
                let help = match text.to_lowercase().as_str() {
                    "yes" | "on" | "true" | "1" | "y" => "write `true`, in lower case and without quotes",
                    "no" | "off" | "false" | "0" | "n" => "write `false`, in lower case and without quotes",
                    _ => "write `true` or `false`",
                };
                cursor.refuse(Code::WrongType, message, help);
                None
            }
        }
    }
}

/// A non-empty scalar that `right` accepts; else the problem is that it is not `wanted`.
pub(super) fn matching(
    cursor: &Cursor<'_>,
    wanted: &str,
    help: &str,
    right: impl Fn(&str) -> bool,
) -> Option<String> {
    let scalar = cursor.scalar(wanted)?;
    if scalar.text.is_empty() {
        cursor.refuse(Code::BadValue, format!("`{}` is empty", cursor.name()), help);
        return None;
    }
    if !right(&scalar.text) {
        cursor.refuse(Code::BadValue, format!("`{}` is not {wanted}", scalar.shown()), help);
        return None;
    }
    Some(scalar.text.clone())
}

impl Read for Text {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        matching(cursor, "a text", "write it, or remove the key", |_| true).map(Self)
    }
}

impl Read for Name {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let help = "use up to 64 letters, digits, `_`, `-` and `.`, a letter or digit first";
        let part = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let right = |text: &str| {
            text.len() <= 64
                && text.chars().all(part)
                && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        };
        matching(cursor, "a name", help, right).map(Self)
    }
}

/// RFC 9110 section 5.6.2: what a cookie's (RFC 6265 section 4.1.1) and a field's name is made of.
pub(super) fn is_token(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}

impl Read for CookieName {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let help =
            "use letters, digits, `_` and `-`: RFC 6265 allows no spaces, quotes, `=`, `;`, `,` or brackets";
        matching(cursor, "a cookie name", help, |text| text.len() <= 128 && is_token(text)).map(Self)
    }
}

impl Read for HeaderName {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let help = "use letters, digits and `-`, such as x-session-id";
        matching(cursor, "a header name", help, |text| text.len() <= 128 && is_token(text))
            .map(|name| Self(name.to_ascii_lowercase()))
    }
}

impl Read for ParameterName {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let help = "write the bare name, without `;`, `?`, `&`, `=` or `/`";
        let right = |text: &str| text.len() <= 128 && is_token(text) && !text.contains('&');
        matching(cursor, "a parameter name", help, right).map(Self)
    }
}

impl Read for FilePath {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        matching(cursor, "a path", "write the path of a file", |text| !text.contains('\0'))
            .map(|path| Self(path.into()))
    }
}

impl Read for RequestPath {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("a path such as /health")?;
        let help = if scalar.text.contains("://") {
            "write the path alone; the backend's address and `host` say the rest".to_owned()
        } else if scalar.text.starts_with('/') {
            "percent-encode spaces and other special characters, and leave out `#`".to_owned()
        } else {
            format!("write `/{}`", scalar.shown())
        };
        let right =
            |text: &str| text.starts_with('/') && text.chars().all(|c| c.is_ascii_graphic() && c != '#');
        matching(cursor, "a path that begins with `/`", &help, right).map(Self)
    }
}

impl Read for Host {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let right = |text: &str| {
            let (name, port) =
                text.rsplit_once(':').filter(|(_, port)| !port.contains(']')).unwrap_or((text, "1"));
            let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
            let named =
                address.map_or_else(|| is_domain(name), |ip| ip.parse::<std::net::Ipv6Addr>().is_ok());
            named && port.parse::<u16>().is_ok()
        };
        matching(
            cursor,
            "a host",
            "write it as in a URL, such as app.example.com or app.example.com:8080",
            right,
        )
        .map(Self)
    }
}

impl Read for Domain {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("a domain such as example.com")?;
        let bare = scalar.text.trim_start_matches('.');
        let help = if scalar.text.starts_with('.') && is_domain(bare) {
            format!(
                "write `{}`: browsers ignore the leading dot",
                Scalar { text: bare.to_owned(), ..scalar.clone() }.shown()
            )
        } else {
            "write a domain without scheme, port and path, such as example.com; IP addresses do not work here"
                .to_owned()
        };
        let right = |text: &str| is_domain(text) && text.parse::<std::net::IpAddr>().is_err();
        matching(cursor, "a cookie domain", &help, right).map(Self)
    }
}

impl Read for DnsName {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("a name such as app.internal")?;
        let help = if scalar.text.parse::<std::net::IpAddr>().is_ok() {
            "list addresses under `backends`"
        } else {
            "write it without scheme, port and path, such as app.internal or _http._tcp.app.internal"
        };
        let right = |text: &str| {
            is_domain(text.strip_suffix('.').unwrap_or(text)) && text.parse::<std::net::IpAddr>().is_err()
        };
        matching(cursor, "a name in DNS", help, right).map(Self)
    }
}

/// RFC 1123 section 2.1, with `_`, which the world uses.
pub(super) fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_as_browsers_take_them() {
        for good in ["example.com", "a", "x-1.internal", "a_b.c", "xn--bcher-kva.example"] {
            assert!(is_domain(good), "{good}");
        }
        for bad in ["", ".example.com", "example.com.", "a..b", "-a.b", "a b", "bücher.de", "a:80", "a/b"] {
            assert!(!is_domain(bad), "{bad}");
        }
    }

    #[test]
    fn tokens_are_those_of_the_rfc() {
        assert!(is_token("__Host-JSESSIONID.1"));
        for bad in ["a b", "a=b", "a;b", "a,b", "\"a\"", "a(b)", "ü", "a\tb", "a/b", "[a]"] {
            assert!(!is_token(bad), "{bad}");
        }
    }
}
