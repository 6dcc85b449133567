//! Tokens that are not ours count as absent: no error, and no influence on the choice.

use std::collections::BTreeMap;

use crate::support::balancer::{Balancer, apps};
use crate::support::exchange::{Connection, get, request};

/// Values that a client might send in the place of a token.
fn hostile(good: &str, foreign: &str) -> Vec<String> {
    let (name, value) = good.split_once('=').unwrap();
    let flipped = |at: usize| {
        let mut bytes = value.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let mut values = vec![
        String::new(),
        "app1".to_owned(),
        "0".to_owned(),
        value[..95].to_owned(),
        format!("{value}A"),
        "A".repeat(96),
        "!".repeat(96),
        foreign.split_once('=').unwrap().1.to_owned(),
    ];
    values.extend([0, 1, 2, 20, 40, 80, 95].map(flipped));
    values.into_iter().map(|value| format!("{name}={value}")).collect()
}

#[test]
fn bad_tokens_change_nothing() {
    let apps = apps(3);
    let balancer =
        Balancer::start(&apps, crate::support::balancer::SHARED, "", "    balance: { load_factor: 1000 }\n");
    let other_keys = Balancer::start(&apps, "", "", "");
    let good = get(balancer.address, "/plain", &[]).cookie("steadfast-").unwrap();
    let foreign = get(other_keys.address, "/plain", &[]).cookie("steadfast-").unwrap();
    let hostile = hostile(&good, &foreign);
    let mut clean: BTreeMap<String, f64> = BTreeMap::new();
    let mut dirty: BTreeMap<String, f64> = BTreeMap::new();
    for client in 0..5_000 {
        let agent = format!("User-Agent: client {client}");
        let cookie = format!("Cookie: {}", hostile[client % hostile.len()]);
        // A connection each: its first choice would count for the second request otherwise.
        let (without, with) =
            (get(balancer.address, "/plain", &[&agent]), get(balancer.address, "/plain", &[&agent, &cookie]));
        assert_eq!((without.status, with.status), (200, 200), "{cookie}");
        assert_eq!(without.server(), with.server(), "{cookie} changed the choice");
        *clean.entry(without.server().to_owned()).or_default() += 1.0;
        *dirty.entry(with.server().to_owned()).or_default() += 1.0;
    }
    // Two degrees of freedom: 13.8 is passed by chance once in a thousand.
    let chi_square: f64 = clean.iter().map(|(server, clean)| (dirty[server] - clean).powi(2) / clean).sum();
    assert!(chi_square < 13.8, "{clean:?} {dirty:?}");
}

#[test]
fn a_huge_token_is_refused_as_a_large_head_or_ignored() {
    let apps = apps(1);
    let limits = "    limits: { head_bytes: 128KiB }\n";
    let balancer = Balancer::start(&apps, "", limits, "");
    let name = get(balancer.address, "/plain", &[]).cookie("steadfast-").unwrap();
    let name = name.split('=').next().unwrap();
    let mut connection = Connection::open(balancer.address);
    connection
        .send(request("GET", "/plain", &[&format!("Cookie: {name}={}", "A".repeat(65_536))]).as_bytes());
    assert_eq!(connection.receive().unwrap().status, 200);
    let many = format!("Cookie: {}", format!("{name}=x; ").repeat(1000));
    assert_eq!(get(balancer.address, "/plain", &[&many]).status, 200);
}
