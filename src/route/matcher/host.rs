//! Hosts: exact, or all below a domain.

use arrayvec::ArrayVec;

/// A name in DNS is at most 253 bytes long (RFC 1035 section 2.3.4); a longer one is none of ours.
const MOST_BYTES: usize = 255;

/// A host, or many. In lower case, without a port and without a dot at its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HostPattern {
    /// This very host.
    Exact(Box<[u8]>),
    /// Every host below this domain, at any depth; not the domain itself. `*.example.com` is `example.com` here.
    Below(Box<[u8]>),
}

impl HostPattern {
    /// Whether it takes a name.
    pub(in crate::route) fn takes(&self, name: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => **exact == *name,
            Self::Below(domain) => {
                name.strip_suffix(&**domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with(b"."))
            }
        }
    }
}

/// A host as patterns are written: in lower case, without port and dot at its end.
#[derive(Debug)]
pub(in crate::route) struct Name(ArrayVec<u8, MOST_BYTES>);

impl Name {
    pub(in crate::route) fn of(host: &[u8]) -> Option<Self> {
        // The colons of an IPv6 address stand in brackets.
        let end = match host.first()? {
            b'[' => memchr::memchr(b']', host)? + 1,
            _ => memchr::memchr(b':', host).unwrap_or(host.len()),
        };
        let name = host.get(..end)?;
        let name = name.strip_suffix(b".").unwrap_or(name);
        let mut lower = ArrayVec::new();
        lower.try_extend_from_slice(name).ok()?;
        lower.make_ascii_lowercase();
        Some(Self(lower))
    }

    pub(in crate::route) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The domains that a name is below, from the longest.
pub(in crate::route) fn parents(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    // A dot at the very start has nothing in front of it that could be below something.
    memchr::memchr_iter(b'.', name).filter(|at| *at > 0).filter_map(|at| name.get(at + 1..))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str) -> Option<String> {
        Name::of(host.as_bytes()).map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned())
    }

    #[test]
    fn a_host_is_read_without_port_case_and_last_dot() {
        let table = [
            ("app.example.com", "app.example.com"),
            ("App.Example.COM:8080", "app.example.com"),
            ("app.example.com.", "app.example.com"),
            ("app.example.com.:80", "app.example.com"),
            ("[2001:DB8::1]:80", "[2001:db8::1]"),
            ("10.0.0.1:80", "10.0.0.1"),
        ];
        for (host, expected) in table {
            assert_eq!(name(host).as_deref(), Some(expected), "{host}");
        }
        assert_eq!(name(""), None);
        assert_eq!(name(&"a".repeat(300)), None);
    }

    #[test]
    fn a_wildcard_takes_what_is_below_it() {
        let below = HostPattern::Below(b"example.com"[..].into());
        for (host, taken) in [
            ("a.example.com", true),
            ("a.b.example.com", true),
            ("example.com", false),
            (".example.com", false),
            ("aexample.com", false),
            ("a.example.org", false),
        ] {
            assert_eq!(below.takes(host.as_bytes()), taken, "{host}");
            assert_eq!(parents(host.as_bytes()).any(|parent| parent == b"example.com"), taken, "{host}");
        }
    }
}
