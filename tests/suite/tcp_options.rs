//! Layer 4: what the sockets of both sides are given.

use std::net::{Ipv4Addr, SocketAddr};

use crate::support::eventually::soon;
use crate::support::layer4::{Layer4, tcp};
use crate::support::tcp::{Echo, Talk, client};

/// An address as the kernel lists it.
fn listed(address: SocketAddr) -> String {
    let SocketAddr::V4(address) = address else { panic!("{address} is none of IPv4") };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
}

/// Whether the timer of keep-alive runs in the connections that this side has (column 6; 02: that timer, and no other).
fn kept_alive(is: impl Fn(&str, &str) -> bool) -> Vec<bool> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let established = rows.filter(|row| row[3] == "01" && is(row[1], row[2]));
    established.map(|row| row[5].starts_with("02:")).collect()
}

#[test]
fn silent_ends_are_asked_for_as_the_listener_says_also_after_a_reload() {
    let apps = Echo::several("app", 1);
    let with = |options: &str| tcp(&[&apps[0]], &[], &format!("    tcp: {{ {options} }}\n"), "");
    let balancer = Layer4::start(&with("keepalive: 1m"));
    let (ours, theirs) = (listed(balancer.address), listed(apps[0].address()));
    let in_front = |client: Ipv4Addr| {
        let client = listed((client, 0).into());
        let host = client.split(':').next().unwrap().to_owned();
        kept_alive(|local, remote| local == ours && remote.starts_with(&host))
    };
    let behind = || kept_alive(|_, remote| remote == theirs);
    let first = Talk::from(client(1), balancer.address).unwrap();
    soon("both sides are", || (in_front(client(1)) == [true] && behind() == [true]).then_some(()));
    balancer.reload(&with("keepalive: null"));
    let second = Talk::from(client(2), balancer.address).unwrap();
    soon("neither is", || (in_front(client(2)) == [false] && behind().contains(&false)).then_some(()));
    balancer.reload(&with("keepalive: 2m"));
    let third = Talk::from(client(3), balancer.address).unwrap();
    soon("both are again", || {
        let behind = behind().into_iter().filter(|kept| *kept).count();
        (in_front(client(3)) == [true] && behind == 2).then_some(())
    });
    assert_eq!(in_front(client(1)), [true], "what was open stays as it was");
    drop((first, second, third));
}
