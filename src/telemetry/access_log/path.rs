//! Paths without what may be secret: values of path parameters (`;jsessionid=…`), queries, and passwords before a host.

/// Parameters of a query whose values are never shown, by what their names contain, in lower case.
const SECRETS: [&[u8]; 12] = [
    b"sess",
    b"token",
    b"pass",
    b"pwd",
    b"secret",
    b"key",
    b"auth",
    b"code",
    b"sig",
    b"sid",
    b"credential",
    b"jwt",
];

/// Stands for a value.
const HIDDEN: u8 = b'*';

/// Writes a request's target, or a URL, without secrets. `query`: with its query.
pub(in crate::telemetry) fn without_secrets(target: &[u8], query: bool, to: &mut Vec<u8>) {
    let (target, fragment) = split(target, b'#');
    let (path, rest) = split(target, b'?');
    // The absolute form of a target (RFC 9112 section 3.2.2), and each `Referer`.
    let authority = memchr::memchr_iter(b':', path).find(|at| path.get(at + 1..at + 3) == Some(b"//"));
    let path = match authority {
        Some(at) => {
            let (scheme, rest) = path.split_at(at + 3);
            let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            to.extend_from_slice(scheme);
            // RFC 3986 section 3.2.1.
            let host = memchr::memrchr(b'@', authority)
                .map_or(authority, |at| authority.get(at + 1..).unwrap_or_default());
            to.extend_from_slice(host);
            path
        }
        None => path,
    };
    write_path(path, to);
    if let Some(rest) = rest.filter(|_| query) {
        to.push(b'?');
        write_query(rest, to);
    }
    // Clients do not send fragments; where one does, nobody needs it.
    let _ = fragment;
}

/// A target, or a URL, as it is shown, if it can be seen at a glance that nothing in it is hidden but its query.
pub(super) fn harmless(target: &[u8], query: bool) -> Option<&[u8]> {
    let (shown, rest) = split(target, b'?');
    if rest.is_some() && query {
        return None;
    }
    let path = shown.strip_prefix(b"https://").or_else(|| shown.strip_prefix(b"http://")).unwrap_or(shown);
    // Parameters, encoded ones, fragments, passwords, and schemes in odd places. Looks at each byte, without a way out.
    let odd = |byte: &u8| matches!(byte, b';' | b'%' | b'#' | b'@' | b':');
    (!path.iter().fold(false, |any, byte| any | odd(byte))).then_some(shown)
}

/// Values of path parameters are hidden; the names stay.
fn write_path(path: &[u8], to: &mut Vec<u8>) {
    if memchr::memchr(b';', path).is_none() && !has_encoded_semicolon(path) {
        to.extend_from_slice(path);
        return;
    }
    let mut hidden = None;
    let mut at = 0;
    while let Some(byte) = path.get(at) {
        let length = match path.get(at..at + 3) {
            Some([b'%', b'3', b'b' | b'B']) => 3,
            _ => 1,
        };
        match byte {
            // A segment, or another parameter, begins.
            b'/' => hidden = None,
            b';' => hidden = Some(false),
            b'%' if length == 3 => hidden = Some(false),
            b'=' if hidden == Some(false) => {
                to.extend_from_slice(&[b'=', HIDDEN]);
                hidden = Some(true);
            }
            _ => {}
        }
        if hidden != Some(true) {
            to.extend_from_slice(path.get(at..at + length).unwrap_or_default());
        }
        at += length;
    }
}

fn write_query(query: &[u8], to: &mut Vec<u8>) {
    for (position, pair) in query.split(|byte| *byte == b'&').enumerate() {
        if position > 0 {
            to.push(b'&');
        }
        match split(pair, b'=') {
            (name, Some(_)) if is_secret(name) => {
                to.extend_from_slice(name);
                to.extend_from_slice(&[b'=', HIDDEN]);
            }
            _ => to.extend_from_slice(pair),
        }
    }
}

/// Whether a parameter's name says that its value is nobody's business. An encoded name may hide one.
fn is_secret(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    memchr::memchr(b'%', &name).is_some() || SECRETS.iter().any(|secret| find(&name, secret).is_some())
}

fn has_encoded_semicolon(path: &[u8]) -> bool {
    memchr::memchr_iter(b'%', path).any(|at| matches!(path.get(at + 1..at + 3), Some([b'3', b'b' | b'B'])))
}

fn split(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(at, text).and_then(|at| text.split_at_checked(at)) {
        Some((head, rest)) => (head, rest.get(1..)),
        None => (text, None),
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, wanted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(target: &str, query: bool) -> String {
        let mut written = Vec::new();
        without_secrets(target.as_bytes(), query, &mut written);
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn no_session_id_is_left_in_a_path() {
        for (target, expected) in [
            ("/a/b", "/a/b"),
            ("/a;jsessionid=SECRET/b;x=SECRET?q=SECRET", "/a;jsessionid=*/b;x=*"),
            ("/a;v=1;jsessionid=SECRET==SECRET;w", "/a;v=*;jsessionid=*;w"),
            ("/a%3Bjsessionid=SECRET%3bx=SECRET", "/a%3Bjsessionid=*%3bx=*"),
            ("/a;jsessionid", "/a;jsessionid"),
            ("/a?token=SECRET#SECRET", "/a"),
            ("http://user:SECRET@host:80/a;s=SECRET?x=SECRET", "http://host:80/a;s=*"),
            ("https://SECRET@host", "https://host"),
            ("*", "*"),
            ("host:443", "host:443"),
            ("", ""),
        ] {
            assert_eq!(shown(target, false), expected, "{target}");
        }
    }

    proptest! {
        #[test]
        fn what_looks_harmless_is_harmless(target in "(https?://|/|[a-z]+://)?[a-c/;%#@:=?.3B]{0,20}", query in any::<bool>()) {
            if let Some(harmless) = harmless(target.as_bytes(), query) {
                prop_assert_eq!(String::from_utf8_lossy(harmless), shown(&target, query));
            }
        }
    }

    #[test]
    fn what_nearly_all_clients_send_looks_harmless() {
        for target in ["/a/b?c=d", "https://app.test/a?b", "/"] {
            assert!(harmless(target.as_bytes(), false).is_some(), "{target}");
        }
        assert!(harmless(b"/a?b", true).is_none());
    }

    #[test]
    fn a_query_is_shown_without_what_looks_secret() {
        let target = "/a;s=SECRET?page=2&PHPSESSID=SECRET&access_token=SECRET&%74oken=SECRET&x&apiKey=SECRET&password=SECRET";
        let expected = "/a;s=*?page=2&PHPSESSID=*&access_token=*&%74oken=*&x&apiKey=*&password=*";
        assert_eq!(shown(target, true), expected);
        assert_eq!(shown("/a?", true), "/a?");
    }
}
