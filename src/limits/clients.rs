//! How many connections each client has open.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use ipnet::IpNet;
use parking_lot::Mutex;

use super::prefix::Prefix;

/// Locks, so that threads seldom meet.
const SHARDS: usize = 16;

/// What bounds the connections of one client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PerClient {
    /// Connections that are open at once.
    pub connections: u32,
    /// What one client is.
    pub prefix: Prefix,
    /// Trusted proxies, which bring many clients.
    pub exempt: Vec<IpNet>,
}

/// The open connections of each client of a listener. Grows with open connections only, which are bounded.
#[derive(Debug, Default)]
pub struct ClientConnections {
    limit: ArcSwapOption<PerClient>,
    hasher: RandomState,
    open: [Mutex<HashMap<IpAddr, u32>>; SHARDS],
    /// Connections that were closed at once because their client had too many.
    refused: AtomicU64,
}

/// The place of one connection; given back when dropped.
#[derive(Debug)]
pub struct ClientPlace {
    of: Arc<ClientConnections>,
    /// `None`: it is not counted.
    client: Option<IpAddr>,
}

impl ClientConnections {
    /// Goes by this from the next connection on; `None`: no bound.
    pub fn follow(&self, limit: Option<PerClient>) {
        self.limit.store(limit.map(Arc::new));
    }

    /// A place for a connection from there, unless its client has too many. Costs one load where there is no bound.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<ClientPlace> {
        let place = |client| Some(ClientPlace { of: Arc::clone(self), client });
        let limit = self.limit.load();
        let Some(limit) = limit.as_deref() else { return place(None) };
        let address = address.to_canonical();
        if limit.exempt.iter().any(|network| network.contains(&address)) {
            return place(None);
        }
        let client = limit.prefix.of(address);
        let mut open = self.shard(&client)?.lock();
        let count = open.entry(client).or_default();
        if *count >= limit.connections {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        *count += 1;
        place(Some(client))
    }

    /// Connections that were closed at once because their client had too many.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn shard(&self, client: &IpAddr) -> Option<&Mutex<HashMap<IpAddr, u32>>> {
        let hash = self.hasher.hash_one(client) % SHARDS as u64;
        self.open.get(usize::try_from(hash).unwrap_or(0))
    }
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        let Some(shard) = self.of.shard(&client) else { return };
        let mut open = shard.lock();
        if let Some(count) = open.get_mut(&client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_so_many_and_proxies_any_number() {
        let clients = Arc::new(ClientConnections::default());
        let enter = |address: &str| clients.enter(address.parse().unwrap());
        assert!((0..10).all(|_| enter("192.0.2.1").is_some()), "no bound, no count");
        let prefix = Prefix { ipv4: 32, ipv6: 64 };
        clients.follow(Some(PerClient {
            connections: 2,
            prefix,
            exempt: vec!["10.0.0.0/8".parse().unwrap()],
        }));
        let first = enter("192.0.2.1").unwrap();
        let _second = enter("::ffff:192.0.2.1").unwrap();
        assert!(enter("192.0.2.1").is_none() && enter("192.0.2.2").is_some());
        drop(first);
        assert!(enter("192.0.2.1").is_some(), "a place was given back");
        let (one, two) = (enter("2001:db8::1"), enter("2001:db8::2"));
        assert!(one.is_some() && two.is_some() && enter("2001:db8::3").is_none(), "a network is one client");
        let proxied: Vec<_> = (0..10).map(|_| enter("10.1.2.3").unwrap()).collect();
        drop((proxied, one, two));
        assert_eq!(
            clients.open.iter().map(|shard| shard.lock().len()).sum::<usize>(),
            1,
            "nothing is left behind"
        );
        assert_eq!(clients.refused(), 2);
    }
}
