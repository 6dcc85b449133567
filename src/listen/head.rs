//! The head of an HTTP/1 request, judged before anything else looks at it (RFC 9112).
//!
//! What could be read in two ways is refused: a message has one framing, one host, and lines that end in
//! CRLF. The parser behind the door checks the rest.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use memchr::{memchr, memchr2};

use super::target::{self, is_authority};

/// What ends a head; prepared once, as every request is searched for it.
static END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));

/// Bounds of a request head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadLimits {
    /// Bytes in all.
    pub bytes: usize,
    /// Header fields.
    pub fields: usize,
    /// Bytes of the request target.
    pub target_bytes: usize,
    /// Bytes of a body whose length is announced, if bounded.
    pub body_bytes: Option<u64>,
}

/// What the door found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Head {
    /// Not all there yet.
    Partial,
    /// A good head.
    Whole {
        /// Its bytes, the empty line included.
        length: usize,
        /// Where its body ends.
        framing: Framing,
    },
}

/// Where a request's body ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// After this many bytes.
    Length(u64),
    /// Where the chunks say.
    Chunked,
    /// The client asks for another protocol on this connection.
    Upgrade,
}

impl Framing {
    /// Whether a body follows the head.
    pub(super) fn has_body(self) -> bool {
        match self {
            Self::Length(length) => length > 0,
            Self::Chunked => true,
            Self::Upgrade => false,
        }
    }
}

/// Why a request is refused, as the status that says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rejection {
    /// 400: it could be read in two ways, or in none.
    Malformed(&'static str),
    /// 405: `CONNECT` is not served.
    Connect,
    /// 408: it took too long.
    TimedOut,
    /// 413: its body is too large.
    BodyTooLarge,
    /// 414: its target is too long.
    TargetTooLong,
    /// 431: too many or too large header fields.
    FieldsTooLarge,
    /// 501: a transfer coding other than `chunked`.
    UnknownCoding,
    /// 505: neither HTTP/1.0 nor HTTP/1.1.
    UnknownVersion,
}

impl Rejection {
    /// What to answer, where a body could not be read; nothing to a client that has left.
    pub(super) fn of(error: &std::io::Error) -> Option<Self> {
        match error.kind() {
            std::io::ErrorKind::TimedOut => Some(Self::TimedOut),
            std::io::ErrorKind::InvalidData => Some(Self::Malformed("bad chunks")),
            std::io::ErrorKind::FileTooLarge => Some(Self::BodyTooLarge),
            _ => None,
        }
    }

    /// The status code and its phrase.
    pub fn status(self) -> (u16, &'static str) {
        match self {
            Self::Malformed(_) => (400, "Bad Request"),
            Self::Connect => (405, "Method Not Allowed"),
            Self::TimedOut => (408, "Request Timeout"),
            Self::BodyTooLarge => (413, "Content Too Large"),
            Self::TargetTooLong => (414, "URI Too Long"),
            Self::FieldsTooLarge => (431, "Request Header Fields Too Large"),
            Self::UnknownCoding => (501, "Not Implemented"),
            Self::UnknownVersion => (505, "HTTP Version Not Supported"),
        }
    }

    /// What was wrong, for a log line at debug level.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Malformed(what) => what,
            other => other.status().1,
        }
    }
}

/// Bytes of empty lines before a request line (RFC 9112 section 2.2: at least one is to be ignored).
pub(crate) fn leading_blank(bytes: &[u8]) -> usize {
    let mut blank = 0;
    while bytes.get(blank..blank + 2) == Some(b"\r\n") && blank < 8 {
        blank += 2;
    }
    blank
}

/// Judges what has been read of a request so far. `searched` bytes of it were seen before.
///
/// # Errors
/// The request is to be refused, whatever follows.
pub fn inspect(bytes: &[u8], searched: usize, limits: &HeadLimits) -> Result<Head, Rejection> {
    // The end may straddle what was seen before.
    let from = searched.saturating_sub(3);
    let end = END.find(bytes.get(from..).unwrap_or_default()).map(|at| from + at);
    let Some(end) = end else {
        if bytes.len() > limits.bytes {
            return Err(too_large(bytes, limits));
        }
        // A lone LF would never show the end that we wait for.
        return lone_lf(bytes, from)
            .map_or(Ok(Head::Partial), |()| Err(Rejection::Malformed("a line ends in a bare LF")));
    };
    let length = end + 4;
    if length > limits.bytes {
        return Err(too_large(bytes, limits));
    }
    let mut lines = Lines(bytes.get(..end + 2).unwrap_or_default());
    let version = request_line(lines.next().ok_or(Rejection::Malformed("no request line"))??, limits)?;
    let mut fields = Fields::default();
    for line in lines {
        fields.read(line?, limits)?;
    }
    let framing = fields.framing(version, limits)?;
    Ok(Head::Whole { length, framing })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

fn too_large(bytes: &[u8], limits: &HeadLimits) -> Rejection {
    match memchr(b'\n', bytes) {
        Some(first_line) if first_line <= limits.target_bytes => Rejection::FieldsTooLarge,
        _ => Rejection::TargetTooLong,
    }
}

fn lone_lf(bytes: &[u8], from: usize) -> Option<()> {
    let mut at = from;
    while let Some(found) = memchr(b'\n', bytes.get(at..)?) {
        let lf = at + found;
        if lf == 0 || bytes.get(lf - 1) != Some(&b'\r') {
            return Some(());
        }
        at = lf + 1;
    }
    None
}

/// Lines without their CRLF.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a [u8], Rejection>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = memchr(b'\n', self.0)?;
        let (line, rest) = self.0.split_at_checked(at)?;
        self.0 = rest.get(1..)?;
        let Some(line) = line.strip_suffix(b"\r") else {
            return Some(Err(Rejection::Malformed("a line ends in a bare LF")));
        };
        if memchr2(b'\r', 0, line).is_some() {
            return Some(Err(Rejection::Malformed("a bare CR or a NUL in the head")));
        }
        Some(Ok(line))
    }
}

fn request_line(line: &[u8], limits: &HeadLimits) -> Result<Version, Rejection> {
    let malformed = Rejection::Malformed("the request line is not `method target version`");
    let method_end = memchr(b' ', line).ok_or(malformed)?;
    let (method, rest) = line.split_at_checked(method_end).ok_or(malformed)?;
    let rest = rest.get(1..).ok_or(malformed)?;
    let target_end = memchr::memrchr(b' ', rest).ok_or(malformed)?;
    let (target, version) = rest.split_at_checked(target_end).ok_or(malformed)?;
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) || target.is_empty() {
        return Err(malformed);
    }
    let version = match version {
        b" HTTP/1.1" => Version::Http11,
        b" HTTP/1.0" => Version::Http10,
        _ if version.starts_with(b" HTTP/") => return Err(Rejection::UnknownVersion),
        _ => return Err(malformed),
    };
    if method == b"CONNECT" {
        return Err(Rejection::Connect);
    }
    if target.len() > limits.target_bytes {
        return Err(Rejection::TargetTooLong);
    }
    target::check(method, target).map(|()| version)
}

/// What the fields say that bears on framing and host.
#[derive(Default)]
struct Fields {
    count: usize,
    hosts: u8,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
    connection_upgrade: bool,
}

impl Fields {
    fn read(&mut self, line: &[u8], limits: &HeadLimits) -> Result<(), Rejection> {
        self.count += 1;
        if self.count > limits.fields {
            return Err(Rejection::FieldsTooLarge);
        }
        let colon = memchr(b':', line).ok_or(Rejection::Malformed("a header line without a colon"))?;
        let (name, value) =
            line.split_at_checked(colon).ok_or(Rejection::Malformed("a header line without a colon"))?;
        // Also refuses white space before the colon and folded lines (RFC 9112 sections 5.1 and 5.2).
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return Err(Rejection::Malformed("a header name is no token"));
        }
        let value = trim(value.get(1..).unwrap_or_default());
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(value),
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.upgrade = true;
                Ok(())
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                value.split(|byte| *byte == b',').try_for_each(|word| self.connection_option(trim(word)))
            }
            _ => Ok(()),
        }
    }

    /// What concerns this connection only. The framing concerns all of them (RFC 9110 section 7.6.1): without it, the
    /// body would be lost on the way.
    fn connection_option(&mut self, option: &[u8]) -> Result<(), Rejection> {
        self.connection_upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        let framing: [&[u8]; 2] = [b"content-length", b"transfer-encoding"];
        if framing.iter().any(|name| option.eq_ignore_ascii_case(name)) {
            return Err(Rejection::Malformed("Connection names a framing field"));
        }
        Ok(())
    }

    /// RFC 9112 section 3.2.
    fn host(&mut self, value: &[u8]) -> Result<(), Rejection> {
        self.hosts += 1;
        if self.hosts > 1 {
            return Err(Rejection::Malformed("several Host fields"));
        }
        if is_authority(value) { Ok(()) } else { Err(Rejection::Malformed("the Host field is no host")) }
    }

    /// Digits, once. Equal repetitions are allowed to be accepted (RFC 9110 section 8.6), and are not.
    fn content_length(&mut self, value: &[u8]) -> Result<(), Rejection> {
        if self.length.is_some() {
            return Err(Rejection::Malformed("several Content-Length fields"));
        }
        let zeros = value.iter().take_while(|byte| **byte == b'0').count();
        // What does not fit into 18 digits nobody sends.
        let digits = !value.is_empty() && value.len() - zeros <= 18 && value.iter().all(u8::is_ascii_digit);
        if !digits {
            return Err(Rejection::Malformed("the Content-Length is no number"));
        }
        self.length = Some(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')));
        Ok(())
    }

    /// Exactly `chunked`, once (RFC 9112 section 6.1).
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Rejection> {
        if self.chunked {
            return Err(Rejection::Malformed("several Transfer-Encoding fields"));
        }
        if value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
            return Ok(());
        }
        let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
        let codings = value.split(|byte| *byte == b',').map(trim);
        let plain =
            codings.clone().all(|coding| !coding.is_empty() && coding.iter().all(|byte| is_token(*byte)));
        let chunked_once = codings.filter(|coding| coding.eq_ignore_ascii_case(b"chunked")).count() == 1;
        if plain && chunked_once && trim(last).eq_ignore_ascii_case(b"chunked") {
            return Err(Rejection::UnknownCoding);
        }
        Err(Rejection::Malformed("the Transfer-Encoding does not end in one `chunked`"))
    }

    fn framing(&self, version: Version, limits: &HeadLimits) -> Result<Framing, Rejection> {
        if self.hosts == 0 && version == Version::Http11 {
            return Err(Rejection::Malformed("no Host field"));
        }
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(Rejection::Malformed("both Content-Length and Transfer-Encoding")),
            (true, None) if version == Version::Http10 => {
                Err(Rejection::Malformed("Transfer-Encoding in an HTTP/1.0 request"))
            }
            (true, None) => Ok(Framing::Chunked),
            (false, Some(length)) if limits.body_bytes.is_some_and(|limit| length > limit) => {
                Err(Rejection::BodyTooLarge)
            }
            (false, Some(length)) if length > 0 => Ok(Framing::Length(length)),
            (false, _) if self.upgrade && self.connection_upgrade => Ok(Framing::Upgrade),
            (false, _) => Ok(Framing::Length(0)),
        }
    }
}

/// `tchar` of RFC 9110 section 5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    value.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits =
        HeadLimits { bytes: 1024, fields: 10, target_bytes: 100, body_bytes: Some(1000) };

    fn judge(head: &str) -> Result<Head, Rejection> {
        inspect(head.as_bytes(), 0, &LIMITS)
    }

    fn framing(head: &str) -> Framing {
        match judge(head) {
            Ok(Head::Whole { framing, .. }) => framing,
            other => panic!("{head:?}: {other:?}"),
        }
    }

    #[test]
    fn good_heads_have_one_framing() {
        assert_eq!(framing("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Framing::Length(0));
        assert_eq!(framing("GET / HTTP/1.0\r\n\r\n"), Framing::Length(0));
        assert_eq!(
            framing("POST / HTTP/1.1\r\nhost:a.b:80\r\ncontent-length: 5\r\n\r\nhello"),
            Framing::Length(5)
        );
        assert_eq!(
            framing("POST / HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: Chunked\r\n\r\n"),
            Framing::Chunked
        );
        assert_eq!(
            framing(
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
            ),
            Framing::Upgrade
        );
        assert_eq!(
            framing(
                "GET http://a/b?c HTTP/1.1\r\nHost: a\r\nX-\u{e9}: \u{e9}\r\n\r\n"
                    .replace("X-\u{e9}", "X-E")
                    .as_str()
            ),
            Framing::Length(0)
        );
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let bad = [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
            "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\r\n\r\n",
            "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n",
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        ];
        for head in bad {
            let verdict = judge(head);
            assert!(matches!(verdict, Err(Rejection::Malformed(_))), "{head:?}: {verdict:?}");
        }
    }

    #[test]
    fn limits_and_versions_have_their_own_status() {
        let long = "a".repeat(200);
        let table = [
            (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), Rejection::TargetTooLong),
            (format!("GET /{}", "a".repeat(2000)), Rejection::TargetTooLong),
            (format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(2000)), Rejection::FieldsTooLarge),
            (
                format!("GET / HTTP/1.1\r\n{}Host: a\r\n\r\n", "X: y\r\n".repeat(10)),
                Rejection::FieldsTooLarge,
            ),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), Rejection::UnknownVersion),
            ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n".to_owned(), Rejection::Connect),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n".to_owned(),
                Rejection::BodyTooLarge,
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_owned(),
                Rejection::UnknownCoding,
            ),
        ];
        for (head, expected) in table {
            assert_eq!(judge(&head), Err(expected), "{}", &head[..head.len().min(60)]);
        }
    }

    #[test]
    fn an_unfinished_head_is_waited_for() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for cut in 0..head.len() {
            assert_eq!(inspect(&head[..cut], 0, &LIMITS), Ok(Head::Partial));
            let whole = Head::Whole { length: head.len(), framing: Framing::Length(0) };
            assert_eq!(inspect(head, cut, &LIMITS), Ok(whole));
        }
    }
}
