//! Shows a line of the file without its secrets.
//!
//! Works on text, not on the tree: a file whose syntax is broken has no tree, and a mistyped key must not
//! print the secret behind it either.

/// Keys of the sections with secrets whose values are none.
const PUBLIC: [&str; 6] = ["id", "file", "env", "listen", "token_file", "dashboard"];

/// Top-level sections that hold secrets.
const SECTIONS: [&str; 3] = ["keys", "affinity_seed", "admin"];

/// Words from this length on may be secrets, wherever they stand in such a section.
const LONG_WORD: usize = 16;

/// What stands in place of a secret.
const MASK: &str = "…";

/// Line `number` (from 1) of the text, cut off where a secret may begin; empty if there is no such line.
pub(super) fn line(text: &str, number: usize) -> String {
    let Some(index) = number.checked_sub(1) else { return String::new() };
    let Some(line) = text.lines().nth(index) else { return String::new() };
    let line = line.trim_end();
    let secret = section(text, index).is_some_and(|name| SECTIONS.contains(&name));
    let start = first_secret(line, secret).or_else(|| secret.then(|| long_word(line)).flatten());
    match start.into_iter().chain(credentials(line)).min() {
        Some(start) => format!("{}{MASK}", line.get(..start).unwrap_or_default()),
        None => line.to_owned(),
    }
}

/// Where the user and the password of a URL begin, under whatever key it stands.
fn credentials(line: &str) -> Option<usize> {
    let start = line.find("://")? + "://".len();
    line.get(start..)?.contains('@').then_some(start)
}

/// How a message calls a key that is unknown: where secrets are, it may be one that lost its key.
pub(super) fn unknown_key(path: &str, key: &str) -> String {
    let section = path.split(['.', '[']).next().unwrap_or_default();
    let word = key.len() < LONG_WORD && key.chars().all(|c| c.is_ascii_lowercase() || "_-".contains(c));
    if SECTIONS.contains(&section) && !word || key.contains("//") || key.contains('@') {
        "unknown key".to_owned()
    } else {
        format!("unknown key `{key}`")
    }
}

/// The top-level key that a line belongs to.
fn section(text: &str, index: usize) -> Option<&str> {
    let above: Vec<&str> = text.lines().take(index + 1).collect();
    let head = above
        .iter()
        .rev()
        .find(|line| line.starts_with(|c: char| c.is_alphanumeric() || "\"'".contains(c)))?;
    Some(head.split(':').next().unwrap_or_default().trim().trim_matches(['"', '\'']))
}

/// Where the first value that may be a secret begins.
fn first_secret(line: &str, in_section: bool) -> Option<usize> {
    let keys = line.match_indices(':').filter_map(|(colon, _)| {
        let rest = line.get(colon + 1..)?;
        let key = line.get(..colon)?.rsplit([' ', '{', ',', '[', '\t']).next()?.trim_matches(['"', '\'']);
        (rest.is_empty() || rest.starts_with([' ', '\t', '"', '\''])).then_some((key, rest, colon + 1))
    });
    if !in_section {
        // A URL may hold a password wherever it is mistyped; a path holds none.
        let is_path = |rest: &str| rest.trim_start_matches([' ', '"', '\'']).starts_with('/');
        let is_secret = |key: &str, rest: &str| match key {
            "value" => true,
            "url" => !is_path(rest),
            // Where the name of a file, or a mapping with one, has to stand.
            "key" => is_key(rest),
            _ => false,
        };
        let mut secret = keys.filter(|(key, rest, _)| is_secret(key, rest));
        return secret.next().and_then(|(.., start)| behind_blanks(line, start));
    }
    let mut keys = keys.peekable();
    if keys.peek().is_none() {
        // A line without a key continues a value from above, or ends a list.
        let harmless = line.trim_start().starts_with(['#', ']', '}']);
        let start = line.find(|c: char| c != ' ' && c != '-' && c != '\t').unwrap_or_default();
        return behind_blanks(line, start).filter(|_| !harmless);
    }
    let secret = |key: &str, rest: &str| {
        let opens = rest.trim_start().starts_with(['[', '{', '#']);
        !(PUBLIC.contains(&key) || SECTIONS.contains(&key) && opens)
    };
    keys.find(|(key, rest, _)| secret(key, rest)).and_then(|(.., start)| behind_blanks(line, start))
}

/// Whether a value may be a key itself, and is no name of a file.
fn is_key(rest: &str) -> bool {
    let word = rest.trim_start_matches([' ', '"', '\'']);
    let end = word.find([' ', ',', '}', '"', '\'']).unwrap_or(word.len());
    let word = word.get(..end).unwrap_or_default();
    word.len() >= LONG_WORD && !word.starts_with(['/', '$']) && !word.contains('.')
}

/// The first long word that is not the value of a public key: a secret whose key is broken.
fn long_word(line: &str) -> Option<usize> {
    const ENDS: [char; 8] = [' ', ',', '{', '}', '[', ']', '"', '\''];
    let mut public = false;
    let mut start = 0;
    for piece in line.split_inclusive(ENDS) {
        let word = piece.trim_end_matches(ENDS);
        if word.len() >= LONG_WORD && !public {
            return Some(start);
        }
        if !word.is_empty() {
            public = word.strip_suffix(':').is_some_and(|key| PUBLIC.contains(&key));
        }
        start += piece.len();
    }
    None
}

/// The first place from `start` on that is not blank; `None` if nothing follows, or only a reference to the
/// environment, which is no secret.
fn behind_blanks(line: &str, start: usize) -> Option<usize> {
    let rest = line.get(start..)?;
    let value = rest.trim_start();
    let variable = value.trim_end_matches([' ', '}', ']', '"', '\'']).trim_start_matches(['"', '\'']);
    let harmless =
        variable.starts_with("${") && !variable.get(2..).is_some_and(|name| name.contains([' ', ',', '$']));
    (!value.is_empty() && !harmless).then(|| start + rest.len() - value.len())
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_secret_is_never_shown() {
        let cases = [
            ("keys:\n  - { id: a, value: c2VjcmV0 }", 2, "  - { id: a, value: …"),
            ("keys:\n  - id: a\n    valeu: c2VjcmV0", 3, "    valeu: …"),
            ("keys:\n  - id: a\n    value: |\n      c2VjcmV0", 4, "      …"),
            ("keys:\n  - c2VjcmV0", 2, "  - …"),
            ("keys:\n  - { id: a, value c2VjcmV0c2VjcmV0 }", 2, "  - { id: a, value …"),
            ("keys:\n  - { id: a, value:c2VjcmV0c2VjcmV0 }", 2, "  - { id: a, …"),
            ("    shared: { url: redis:/:horse@h }", 1, "    shared: { url: …"),
            ("    shared: { ulr: redis://:horse@h }", 1, "    shared: { ulr: redis://…"),
            ("    shared: redis://:horse@h", 1, "    shared: redis://…"),
            ("    shared: { url redis://u:horse@h }", 1, "    shared: { url redis://…"),
            ("      key: 8f95f09245765f80256934e50c66207f", 1, "      key: …"),
            ("affinity_seed: correct horse", 1, "affinity_seed: …"),
            ("affinity_seed: { value: correct horse, battery }", 1, "affinity_seed: { value: …"),
            (
                "{\n  \"keys\": [{\"id\": \"a\", \"value\": \"c2VjcmV0\"}]",
                2,
                "  \"keys\": [{\"id\": \"a\", \"value\": …",
            ),
        ];
        for (text, number, shown) in cases {
            assert_eq!(line(text, number), shown);
        }
    }

    #[test]
    fn what_is_no_secret_is_shown_whole() {
        let cases = [
            ("version: 1\npools:\n  app: x", 3),
            ("keys:\n  - { id: a, file: /etc/steadfast/token.key }", 2),
            ("keys:\n  - id: a\n    env: STEADFAST_KEY", 3),
            ("keys:\n  - { id: a, value: \"${KEY}\" }", 2),
            ("health: { http: { url: /health } }", 1),
            ("tls: { cert: site.pem, key: private/of.the.site.key }", 1),
            ("connection_id: { key: { file: quic-lb.key } }", 1),
            ("learn: { shared: { url: \"${URL}\" } }", 1),
        ];
        for (text, number) in cases {
            assert_eq!(line(text, number), text.lines().nth(number - 1).expect("the line"));
        }
    }
}
