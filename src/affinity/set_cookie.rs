//! `Set-Cookie` response fields of the application, read as a browser does (RFC 6265 section 5.2).

use std::time::Duration;

use super::cookie::{trim, unquote};

/// What one `Set-Cookie` line makes a browser do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetCookie<'a> {
    /// The cookie's name.
    pub name: &'a [u8],
    /// Its value, without quotes.
    pub value: &'a [u8],
    /// How long the browser keeps it.
    pub keeps: Keeps,
    /// Whether it has `Secure`.
    pub secure: bool,
    /// Whether it has `Partitioned`.
    pub partitioned: bool,
    /// Its `SameSite`, if it has a known one.
    pub same_site: Option<SameSite>,
}

/// How long a browser keeps a cookie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keeps {
    /// Until the browser ends.
    Session,
    /// For this long.
    For(Duration),
    /// Not at all: the line deletes the cookie.
    Deleted,
}

/// Values of the `SameSite` attribute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SameSite {
    /// Sent on requests from the site itself only.
    Strict,
    /// Sent on navigation from elsewhere, too.
    Lax,
    /// Sent always.
    None,
}

impl SameSite {
    /// The attribute's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

/// Reads one `Set-Cookie` line at the time `unix_s` (seconds since 1970). `None`: a browser ignores it.
pub fn parse(line: &[u8], unix_s: u64) -> Option<SetCookie<'_>> {
    let mut parts = line.split(|byte| *byte == b';');
    let (name, value) = split_pair(parts.next()?)?;
    let name = trim(name);
    if name.is_empty() {
        return None;
    }
    let mut cookie = SetCookie {
        name,
        value: unquote(trim(value)),
        keeps: Keeps::Session,
        secure: false,
        partitioned: false,
        same_site: None,
    };
    let mut max_age = None;
    let mut expires = None;
    for attribute in parts {
        let (key, value) = split_pair(attribute).unwrap_or((attribute, b""));
        let (key, value) = (trim(key), trim(value));
        if key.eq_ignore_ascii_case(b"max-age") {
            max_age = read_max_age(value).or(max_age);
        } else if key.eq_ignore_ascii_case(b"expires") {
            expires = read_expires(value, unix_s).or(expires);
        } else if key.eq_ignore_ascii_case(b"secure") {
            cookie.secure = true;
        } else if key.eq_ignore_ascii_case(b"partitioned") {
            cookie.partitioned = true;
        } else if key.eq_ignore_ascii_case(b"samesite") {
            cookie.same_site = read_same_site(value);
        }
    }
    // RFC 6265 section 5.3: Max-Age has precedence over Expires.
    cookie.keeps = max_age.or(expires).unwrap_or(Keeps::Session);
    if cookie.value.is_empty() {
        // Not a browser's rule but an application's habit: an emptied session cookie ends the session.
        cookie.keeps = Keeps::Deleted;
    }
    Some(cookie)
}

fn split_pair(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'=', bytes)?;
    let (left, right) = bytes.split_at_checked(at)?;
    Some((left, right.strip_prefix(b"=")?))
}

/// RFC 6265 section 5.2.2: a value that is no integer is ignored.
fn read_max_age(value: &[u8]) -> Option<Keeps> {
    let (negative, digits) = match value.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = digits
        .iter()
        .fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(if negative || seconds == 0 { Keeps::Deleted } else { Keeps::For(Duration::from_secs(seconds)) })
}

fn read_expires(value: &[u8], unix_s: u64) -> Option<Keeps> {
    // Old servers write "Thu, 01-Jan-1970 00:00:10 GMT"; httpdate knows the three forms of RFC 9110.
    let text = std::str::from_utf8(value).ok()?;
    let time = httpdate::parse_http_date(text)
        .or_else(|_| httpdate::parse_http_date(&text.replace('-', " ")))
        .ok()?;
    let at = time.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Some(match at.checked_sub(unix_s) {
        None | Some(0) => Keeps::Deleted,
        Some(left) => Keeps::For(Duration::from_secs(left)),
    })
}

fn read_same_site(value: &[u8]) -> Option<SameSite> {
    [SameSite::Strict, SameSite::Lax, SameSite::None]
        .into_iter()
        .find(|known| value.eq_ignore_ascii_case(known.as_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn keeps(line: &str) -> Keeps {
        parse(line.as_bytes(), NOW).unwrap().keeps
    }

    #[test]
    fn lines_are_read_as_browsers_do() {
        let cookie =
            parse(b"JSESSIONID=\"A1.app1\"; Path=/app; Secure; HttpOnly; SameSite=lax; Partitioned", NOW);
        assert_eq!(
            cookie,
            Some(SetCookie {
                name: b"JSESSIONID",
                value: b"A1.app1",
                keeps: Keeps::Session,
                secure: true,
                partitioned: true,
                same_site: Some(SameSite::Lax),
            })
        );
        assert_eq!(parse(b"no pair; Path=/", NOW), None);
        assert_eq!(parse(b"=value", NOW), None);
        assert_eq!(parse(b"", NOW), None);
    }

    #[test]
    fn lifetimes_follow_rfc_6265() {
        assert_eq!(keeps("a=1; Max-Age=60"), Keeps::For(Duration::from_secs(60)));
        assert_eq!(keeps("a=1; max-age=0"), Keeps::Deleted);
        assert_eq!(keeps("a=1; Max-Age=-1"), Keeps::Deleted);
        assert_eq!(keeps("a=1; Max-Age=1h"), Keeps::Session);
        assert_eq!(keeps("a=1; Expires=Thu, 01 Jan 1970 00:00:10 GMT"), Keeps::Deleted);
        assert_eq!(keeps("a=1; Expires=Thu, 01-Jan-1970 00:00:10 GMT"), Keeps::Deleted);
        assert_eq!(keeps("a=1; Expires=Tue, 14 Nov 2023 22:14:20 GMT"), Keeps::For(Duration::from_secs(60)));
        assert_eq!(
            keeps("a=1; Expires=Thu, 01 Jan 1970 00:00:10 GMT; Max-Age=5"),
            Keeps::For(Duration::from_secs(5))
        );
        assert_eq!(keeps("a=1; Expires=soon"), Keeps::Session);
        assert_eq!(keeps("a="), Keeps::Deleted);
        assert_eq!(keeps("a=\"\"; Max-Age=60"), Keeps::Deleted);
        assert_eq!(keeps("a=1; Max-Age=99999999999999999999999"), Keeps::For(Duration::from_secs(u64::MAX)));
    }
}
