//! The corpus: `tests/data/http1/README.md` says how its files are written.

use std::path::Path;

/// What RFC 9110 and 9112 say of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It MUST be refused.
    Refuse,
    /// It is no HTTP, and SHOULD be refused.
    Invalid,
    /// It may be refused or served.
    Either,
    /// It has to be served.
    Accept,
}

/// What one client sends over one connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Case {
    pub(crate) verdict: Verdict,
    /// So many good answers mean that it was accepted.
    pub(crate) answers: usize,
    /// The file that it stands in, without extension.
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// What nobody may be asked for unless the client was answered for it.
const SECOND: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// Reads all files of a folder, in the order of their names.
///
/// # Errors
/// A file cannot be read, or a line is none of a corpus; the error names it.
pub(crate) fn read(folder: &Path) -> Result<Vec<Case>, String> {
    let cannot = |error: std::io::Error| format!("{}: {error}", folder.display());
    let entries = std::fs::read_dir(folder).map_err(cannot)?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let group = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).map_err(cannot)?;
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
            let case = case(&group, line).ok_or_else(|| format!("{}:{}: {line}", path.display(), number + 1));
            cases.push(case?);
        }
    }
    Ok(cases)
}

fn case(group: &str, line: &str) -> Option<Case> {
    let (head, bytes) = line.split_once(": ")?;
    let (verdict, name) = head.split_once(' ')?;
    let (verdict, answers) = match verdict.split_once('@') {
        Some((verdict, answers)) => (verdict, answers.parse().ok()?),
        None => (verdict, 1),
    };
    let verdict = match verdict {
        "refuse" => Verdict::Refuse,
        "invalid" => Verdict::Invalid,
        "either" => Verdict::Either,
        "accept" => Verdict::Accept,
        _ => return None,
    };
    Some(Case { verdict, answers, group: group.to_owned(), name: name.to_owned(), bytes: unescape(bytes)? })
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '|' => bytes.extend_from_slice(b"\r\n"),
            '\\' => match characters.next()? {
                'r' => bytes.push(b'\r'),
                'n' => bytes.push(b'\n'),
                't' => bytes.push(b'\t'),
                '0' => bytes.push(0),
                '$' => bytes.extend_from_slice(SECOND.as_bytes()),
                'x' => {
                    let (hex, rest) = characters.as_str().split_at_checked(2)?;
                    bytes.push(u8::from_str_radix(hex, 16).ok()?);
                    characters = rest.chars();
                }
                '{' => {
                    let (inside, rest) = characters.as_str().split_once('}')?;
                    let (times, inside) = inside.split_once('*')?;
                    bytes.extend(unescape(inside)?.repeat(times.parse().ok()?));
                    characters = rest.chars();
                }
                literal @ ('|' | '\\') => bytes.extend_from_slice(literal.to_string().as_bytes()),
                _ => return None,
            },
            other => bytes.extend_from_slice(other.to_string().as_bytes()),
        }
    }
    Some(bytes)
}
