//! Shared caches (RFC 9111): a load-balancer cookie must never be stored by one and given to others.

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::bind::ResponseView;
use super::cookie::trim;

/// Whether a shared cache may keep this response, so that it creates no session and no cookie belongs on it.
///
/// A response without any word on caching is not counted: most pages of applications have none. It is made
/// private instead.
pub(super) fn may_be_shared(response: &ResponseView<'_>) -> bool {
    if response.status == StatusCode::NOT_MODIFIED {
        // It would change the fields of a stored response.
        return true;
    }
    let mut shared = false;
    for (name, value) in directives(response.headers) {
        if is_private(name) {
            return false;
        }
        let lives = !matches!(value, b"0" | b"\"0\"" | b"");
        shared |= name.eq_ignore_ascii_case(b"public")
            || name.eq_ignore_ascii_case(b"s-maxage") && lives
            || name.eq_ignore_ascii_case(b"max-age") && lives;
    }
    shared
}

/// The `Cache-Control` that a response with a session cookie on it needs, where its own lets shared caches
/// keep it. Directives that speak to shared caches go; all others stay.
pub(super) fn made_private(headers: &HeaderMap) -> Option<HeaderValue> {
    if directives(headers).any(|(name, _)| is_private(name)) {
        return None;
    }
    let mut kept = b"private".to_vec();
    for field in headers.get_all(header::CACHE_CONTROL) {
        for directive in field.as_bytes().split(|byte| *byte == b',').map(trim) {
            let (name, _) = name_and_value(directive);
            let speaks_to_shared = [&b"public"[..], b"s-maxage", b"proxy-revalidate", b""]
                .iter()
                .any(|word| name.eq_ignore_ascii_case(word));
            if !speaks_to_shared {
                kept.extend_from_slice(b", ");
                kept.extend_from_slice(directive);
            }
        }
    }
    HeaderValue::from_bytes(&kept).ok()
}

fn is_private(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"private") || name.eq_ignore_ascii_case(b"no-store")
}

fn directives(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers
        .get_all(header::CACHE_CONTROL)
        .iter()
        .flat_map(|field| field.as_bytes().split(|byte| *byte == b','))
        .map(name_and_value)
}

fn name_and_value(directive: &[u8]) -> (&[u8], &[u8]) {
    let directive = trim(directive);
    match memchr::memchr(b'=', directive).and_then(|at| directive.split_at_checked(at)) {
        Some((name, value)) => (trim(name), trim(value.strip_prefix(b"=").unwrap_or(value))),
        None => (directive, b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cache_control: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !cache_control.is_empty() {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_str(cache_control).unwrap());
        }
        headers
    }

    #[test]
    fn responses_that_shared_caches_may_keep_are_told_apart() {
        let shared =
            ["public", "max-age=60", "Public, max-age=60", "s-maxage=1", "no-cache, max-age=5, public"];
        let not_shared =
            ["", "private", "no-store", "private, max-age=60", "max-age=0", "no-cache", "public, private"];
        let view = |headers: &HeaderMap| {
            may_be_shared(&ResponseView { status: StatusCode::OK, headers, preflight: false, secure: false })
        };
        for value in shared {
            assert!(view(&headers(value)), "{value}");
        }
        for value in not_shared {
            assert!(!view(&headers(value)), "{value}");
        }
    }

    #[test]
    fn a_response_with_a_session_cookie_is_made_private() {
        let table = [
            ("", Some("private")),
            ("public, max-age=60", Some("private, max-age=60")),
            ("s-maxage=10, must-revalidate", Some("private, must-revalidate")),
            ("no-cache", Some("private, no-cache")),
            ("private", None),
            ("no-store", None),
        ];
        for (value, expected) in table {
            let made = made_private(&headers(value));
            assert_eq!(made.as_ref().map(|value| value.to_str().unwrap()), expected, "{value}");
        }
    }
}
