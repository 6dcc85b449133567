//! Routes of TLS connections that are not ended here: by the server name and the protocols that their first message names.

use super::matcher::{HostPattern, Name};
use super::table::PoolIndex;

/// One rule. Everything that it says has to hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerNameRoute {
    /// One of these servers is named; empty: any, also none.
    pub hosts: Vec<HostPattern>,
    /// One of these protocols is offered; empty: any, also none.
    pub alpn: Vec<Box<[u8]>>,
    /// Where it leads.
    pub pool: PoolIndex,
}

/// Rules in order: the first that takes a connection wins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServerNameRoutes(Vec<ServerNameRoute>);

impl ServerNameRoutes {
    /// Takes the rules, in order.
    pub fn new(routes: Vec<ServerNameRoute>) -> Self {
        Self(routes)
    }

    /// Whether there are none, so that nobody has to look.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pool of a connection, if a rule takes it.
    pub fn find(&self, server_name: Option<&[u8]>, alpn: &[Vec<u8>]) -> Option<PoolIndex> {
        let name = server_name.and_then(Name::of);
        let takes = |route: &&ServerNameRoute| {
            let host = || {
                name.as_ref().is_some_and(|name| route.hosts.iter().any(|host| host.takes(name.as_bytes())))
            };
            let offers = || route.alpn.iter().any(|wanted| alpn.iter().any(|offered| **offered == **wanted));
            (route.hosts.is_empty() || host()) && (route.alpn.is_empty() || offers())
        };
        self.0.iter().find(takes).map(|route| route.pool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(host: &str) -> HostPattern {
        HostPattern::Exact(host.as_bytes().into())
    }

    #[test]
    fn the_first_rule_that_holds_whole_wins() {
        let below = HostPattern::Below(b"example.com".as_slice().into());
        let routes = ServerNameRoutes::new(vec![
            ServerNameRoute {
                hosts: vec![exact("a.example.com")],
                alpn: vec![b"imap".as_slice().into()],
                pool: PoolIndex(0),
            },
            ServerNameRoute {
                hosts: vec![exact("a.example.com"), exact("b.test")],
                alpn: vec![],
                pool: PoolIndex(1),
            },
            ServerNameRoute { hosts: vec![below], alpn: vec![], pool: PoolIndex(2) },
            ServerNameRoute {
                hosts: vec![],
                alpn: vec![b"acme-tls/1".as_slice().into()],
                pool: PoolIndex(3),
            },
        ]);
        let find = |name: Option<&str>, alpn: &[&str]| {
            let alpn: Vec<_> = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
            routes.find(name.map(str::as_bytes), &alpn).map(|pool| pool.0)
        };
        assert_eq!(find(Some("a.example.com"), &["h2", "imap"]), Some(0));
        assert_eq!(find(Some("A.Example.Com."), &["h2"]), Some(1));
        assert_eq!(find(Some("b.test"), &[]), Some(1));
        assert_eq!(find(Some("x.y.example.com"), &[]), Some(2));
        assert_eq!(find(Some("example.com"), &[]), None);
        assert_eq!(find(None, &["acme-tls/1"]), Some(3));
        assert_eq!(find(None, &[]), None);
    }
}
