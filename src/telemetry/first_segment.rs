//! Which application of a backend a request was for: the first segment of its path. A session id may stand anywhere in
//! a URL, so nothing that could be one is kept.

/// Longer names are none that a person has given.
const LONGEST: usize = 24;
/// What stands for all others.
const OTHER: &str = "/…";

/// The first segment of a request's path, such as `/shop`; `/…` where it may be anything else than a name.
pub fn first_segment(target: &[u8]) -> &str {
    let path = target.strip_prefix(b"/").unwrap_or(target);
    let end = path.iter().position(|byte| b"/?;#".contains(byte)).unwrap_or(path.len());
    let named = |byte: &u8| byte.is_ascii_alphanumeric() || b"._~-".contains(byte);
    let digits = |name: &[u8]| name.iter().filter(|byte| byte.is_ascii_digit()).count();
    let whole = target.get(..end + 1).filter(|_| target.first() == Some(&b'/'));
    match path.get(..end) {
        Some(name) if name.len() <= LONGEST && name.iter().all(named) && digits(name) <= 4 => {
            whole.and_then(|whole| std::str::from_utf8(whole).ok()).unwrap_or(OTHER)
        }
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::first_segment;

    #[test]
    fn a_name_is_kept_and_nothing_that_may_be_a_secret() {
        let cases = [
            ("/", "/"),
            ("/shop", "/shop"),
            ("/shop/cart?id=7", "/shop"),
            ("/shop;jsessionid=0123456789ABCDEF", "/shop"),
            ("/?q", "/"),
            ("/v2/items", "/v2"),
            ("/0123456789ABCDEF0123456789ABCDEF/x", "/…"),
            ("/order-12345678", "/…"),
            ("/%41", "/…"),
            ("/a b", "/…"),
            ("*", "/…"),
            ("http://host/x", "/…"),
            ("", "/…"),
        ];
        for (target, expected) in cases {
            assert_eq!(first_segment(target.as_bytes()), expected, "{target}");
        }
        assert_eq!(first_segment(b"/\xff\xfe"), "/…");
    }
}
