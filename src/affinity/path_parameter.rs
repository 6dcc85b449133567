//! Session ids in a request target: path parameters (`/app/page;jsessionid=X?…`) and query parameters.

use memchr::{memchr, memchr3};

/// The values of a path parameter, in any segment, in order. Names are compared without case, as some
/// servers write `;JSESSIONID=`.
pub(crate) fn path_values<'a>(target: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = path_of(target);
    std::iter::from_fn(move || {
        loop {
            let start = memchr(b';', rest)? + 1;
            rest = rest.get(start..)?;
            let end = memchr3(b';', b'/', b'?', rest).unwrap_or(rest.len());
            let parameter = rest.get(..end)?;
            rest = rest.get(end..)?;
            if let Some(value) = value_of(parameter, name, true) {
                return Some(value);
            }
        }
    })
}

/// The values of a query parameter, in order.
pub(crate) fn query_values<'a>(target: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let query = memchr(b'?', target).and_then(|at| target.get(at + 1..)).unwrap_or_default();
    query.split(|byte| *byte == b'&').filter_map(move |parameter| value_of(parameter, name, false))
}

fn path_of(target: &[u8]) -> &[u8] {
    let end = memchr::memchr2(b'?', b'#', target).unwrap_or(target.len());
    target.get(..end).unwrap_or(target)
}

fn value_of<'a>(parameter: &'a [u8], name: &[u8], any_case: bool) -> Option<&'a [u8]> {
    let at = memchr(b'=', parameter)?;
    let (key, value) = parameter.split_at_checked(at)?;
    let same = if any_case { key.eq_ignore_ascii_case(name) } else { key == name };
    let value = value.strip_prefix(b"=")?;
    (same && !value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(target: &str) -> Vec<&str> {
        path_values(target.as_bytes(), b"jsessionid").map(|v| std::str::from_utf8(v).unwrap()).collect()
    }

    #[test]
    fn path_parameters_are_found_in_any_segment() {
        let table: &[(&str, &[&str])] = &[
            ("/app;jsessionid=A1", &["A1"]),
            ("/app;jsessionid=A1.app1?x=1;jsessionid=B", &["A1.app1"]),
            ("/app;v=1;JSESSIONID=A1/page;x=2", &["A1"]),
            ("/app;jsessionid=A/b;jsessionid=B#;jsessionid=C", &["A", "B"]),
            ("/app;jsessionid=", &[]),
            ("/app;jsessionid", &[]),
            ("/app;xjsessionid=A", &[]),
            ("/", &[]),
            ("", &[]),
            (";;;jsessionid=A", &["A"]),
        ];
        for (target, expected) in table {
            assert_eq!(path(target), *expected, "{target}");
        }
    }

    #[test]
    fn query_parameters_are_found() {
        let query = |target: &'static str| query_values(target.as_bytes(), b"sid").collect::<Vec<_>>();
        assert_eq!(query("/?sid=1&sid=2"), [b"1", b"2"]);
        assert_eq!(query("/?a=1&sid=x"), [b"x"]);
        assert!(query("/sid=1").is_empty());
        assert!(query("/?SID=1&sid=").is_empty());
    }
}
