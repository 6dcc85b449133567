//! The certificate for a server name: the exact name, else its wildcard, else the first certificate.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::identity::Identity;

/// Finds the certificate for a server name.
#[derive(Debug)]
pub struct Resolver {
    identities: Vec<Arc<CertifiedKey>>,
    /// By name, in lower case: several where one name has keys of several kinds.
    exact: HashMap<Box<str>, Vec<usize>>,
    /// By what stands behind `*.`.
    wildcards: HashMap<Box<str>, Vec<usize>>,
}

impl Resolver {
    /// A resolver of these; the first is for clients that name nobody, or somebody else.
    pub fn new<'i>(identities: impl IntoIterator<Item = &'i Identity>) -> Self {
        let mut resolver = Self { identities: Vec::new(), exact: HashMap::new(), wildcards: HashMap::new() };
        for (index, identity) in identities.into_iter().enumerate() {
            resolver.identities.push(Arc::clone(identity.certified()));
            for name in identity.names() {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut resolver.wildcards, parent),
                    None => (&mut resolver.exact, name.as_str()),
                };
                map.entry(name.into()).or_default().push(index);
            }
        }
        resolver
    }

    /// The certificate for a name, of a kind that the client can verify where there is one.
    pub fn find(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Arc<CertifiedKey>> {
        let named = name.and_then(|name| self.named(name)).map(Vec::as_slice).unwrap_or_default();
        let named = named.iter().filter_map(|index| self.identities.get(*index));
        let suits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        named.clone().find(suits).or_else(|| named.clone().next()).or_else(|| {
            let first = self.identities.first()?;
            // Who has keys of two kinds for one name has them for those who name nobody, too.
            let same = |index: &usize| self.identities.get(*index);
            let siblings = self.siblings().iter().filter_map(same);
            Some(siblings.clone().find(suits).unwrap_or(first))
        })
    }

    fn named(&self, name: &str) -> Option<&Vec<usize>> {
        // Clients send names in lower case, but need not.
        let lower;
        let name = match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => {
                lower = name.to_ascii_lowercase();
                lower.as_str()
            }
            false => name,
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        self.exact.get(name).or_else(|| {
            // A wildcard stands for one label (RFC 9525 section 6.3).
            let (label, parent) = name.split_once('.')?;
            self.wildcards.get(parent).filter(|_| !label.is_empty())
        })
    }

    /// Those that have a name of the first one.
    fn siblings(&self) -> &[usize] {
        let lists = self.exact.values().chain(self.wildcards.values());
        let lists = lists.filter(|list| list.first() == Some(&0));
        lists.max_by_key(|list| list.len()).map(Vec::as_slice).unwrap_or_default()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name(), hello.signature_schemes()).map(Arc::clone)
    }
}
