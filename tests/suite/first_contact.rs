//! A browser's parallel first requests carry no cookie, and must meet one backend all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::thread;

use crate::support::balancer::{Balancer, apps};
use crate::support::exchange::{Connection, request};

#[test]
fn six_parallel_first_requests_of_500_clients_meet_one_backend_each() {
    let apps = apps(3);
    let balancer = Balancer::plain(&apps);
    let mut clients_of: BTreeMap<String, u32> = BTreeMap::new();
    for client in 0..500_u16 {
        let [high, low] = client.to_be_bytes();
        let from = Ipv4Addr::new(127, 1, high, low.max(1));
        let fields = request("GET", "/", &[&format!("User-Agent: browser {client}")]);
        let mut connections: Vec<_> = (0..6).map(|_| Connection::open_from(balancer.address, from)).collect();
        let servers: BTreeSet<String> = thread::scope(|scope| {
            let ask = |connection: &mut Connection| {
                connection.send(fields.as_bytes());
                connection.receive().unwrap().server().to_owned()
            };
            let asked: Vec<_> = connections.iter_mut().map(|it| scope.spawn(move || ask(it))).collect();
            asked.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        assert_eq!(servers.len(), 1, "client {client} met {servers:?}");
        *clients_of.entry(servers.into_iter().next().unwrap()).or_default() += 1;
    }
    assert_eq!(clients_of.len(), 3, "all backends are used: {clients_of:?}");
    assert!(clients_of.values().all(|clients| *clients > 80), "{clients_of:?}");
}
