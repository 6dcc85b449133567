//! How different servers would read the same bytes of a connection.

/// How a server reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// As RFC 9112 has it: CRLF ends lines, names and values are what they are, the coding goes before the length.
    Strict,
    /// The length goes before the coding, and the last length before the first.
    LengthFirst,
    /// A bare LF ends a line; whatever looks like a framing field is one; whatever contains `chunked` is.
    Lenient,
}

/// What ends a connection's reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// Nothing is left.
    Clean,
    /// A request that is not all there.
    Partial,
    /// What is no request.
    Broken,
}

/// A request's lines, without their ends.
pub(crate) struct Head<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) lines: Vec<&'a [u8]>,
}

/// Where the requests of a connection end, by one style.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reading {
    pub(crate) ends: Vec<usize>,
    pub(crate) end: End,
}

impl Reading {
    /// Reads as many requests as there are.
    pub(crate) fn of(bytes: &[u8], style: Style) -> Self {
        let (mut ends, mut at) = (Vec::new(), 0);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match request(rest, style) {
                Ok(length) => at += length,
                Err(end) => return Self { ends, end },
            }
            ends.push(at);
        }
        Self { ends, end: End::Clean }
    }
}

/// The first request's head, as far as it is there.
pub(crate) fn head(bytes: &[u8], style: Style) -> Option<Head<'_>> {
    let (mut lines, mut at) = (Vec::new(), 0);
    loop {
        let rest = bytes.get(at..)?;
        let (line, length) = line(rest, style)?;
        at += length;
        if line.is_empty() {
            return Some(Head { bytes: bytes.get(..at)?, lines });
        }
        lines.push(line);
    }
}

/// A field's name and value, as the style sees them.
pub(crate) fn field(line: &[u8], style: Style) -> Option<(Vec<u8>, Vec<u8>)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at(colon);
    let value = value.get(1..)?.trim_ascii();
    let name = match style {
        Style::Strict | Style::LengthFirst => name.to_vec(),
        // Whatever is no letter is overlooked.
        Style::Lenient => name.iter().copied().filter(|byte| byte.is_ascii_graphic()).collect(),
    };
    Some((name.to_ascii_lowercase(), value.to_ascii_lowercase()))
}

/// The length of the first request.
fn request(bytes: &[u8], style: Style) -> Result<usize, End> {
    let Some(head) = head(bytes, style) else { return Err(End::Partial) };
    let words = head.lines.first().map_or(0, |line| line.split(|byte| *byte == b' ').count());
    if words != 3 {
        return Err(End::Broken);
    }
    let fields: Vec<_> = head.lines.iter().skip(1).filter_map(|line| field(line, style)).collect();
    let value =
        |name: &'static [u8]| fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| value);
    let mut lengths = value(b"content-length").map(|value| number(value));
    let chunked = value(b"transfer-encoding").any(|value| match style {
        Style::Strict | Style::LengthFirst => value == b"chunked",
        Style::Lenient => value.windows(7).any(|window| window == b"chunked"),
    });
    let length = match style {
        Style::LengthFirst => lengths.next_back(),
        Style::Strict | Style::Lenient => lengths.next().filter(|_| !chunked),
    };
    let body = bytes.get(head.bytes.len()..).unwrap_or_default();
    let body = match length {
        Some(None) => return Err(End::Broken),
        Some(Some(length)) if length > body.len() => return Err(End::Partial),
        Some(Some(length)) => length,
        None if chunked => chunks(body, style)?,
        None => 0,
    };
    Ok(head.bytes.len() + body)
}

fn number(value: &[u8]) -> Option<usize> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn chunks(bytes: &[u8], style: Style) -> Result<usize, End> {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let (size, length) = line(rest, style).ok_or(End::Partial)?;
        let digits = size.split(|byte| *byte == b';').next().unwrap_or_default();
        let digits = if style == Style::Lenient { digits.trim_ascii() } else { digits };
        let digits = std::str::from_utf8(digits).or(Err(End::Broken))?;
        let size = usize::from_str_radix(digits, 16).or(Err(End::Broken))?;
        at += length;
        if size == 0 {
            // Trailers, up to an empty line.
            loop {
                let rest = bytes.get(at..).unwrap_or_default();
                let (trailer, length) = line(rest, style).ok_or(End::Partial)?;
                at += length;
                if trailer.is_empty() {
                    return Ok(at);
                }
            }
        }
        at = at.checked_add(size).ok_or(End::Broken)?;
        let rest = bytes.get(at..).ok_or(End::Partial)?;
        match line(rest, style) {
            Some(([], length)) => at += length,
            Some(_) => return Err(End::Broken),
            None => return Err(End::Partial),
        }
    }
}

/// A line without its end, and its length with it.
fn line(bytes: &[u8], style: Style) -> Option<(&[u8], usize)> {
    let end = match style {
        Style::Strict | Style::LengthFirst => bytes.windows(2).position(|window| window == b"\r\n")? + 1,
        Style::Lenient => bytes.iter().position(|byte| *byte == b'\n')?,
    };
    let line = bytes.get(..end)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), end + 1))
}
