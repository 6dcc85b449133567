//! A resolver that changes, empties, times out and lies: no backend is lost through its failure.

use std::net::IpAddr;
use std::time::Duration;

use steadfast::discovery::{DnsSpec, OnEmpty, Record, Source, Spec};

use self::dns::{Data, Dns, Kind, Reply};
use super::Watched;
use crate::support::eventually::eventually;

#[path = "../../support/dns.rs"]
mod dns;

/// Looks as often as it may.
fn spec(dns: &Dns, name: &str, record: Record) -> DnsSpec {
    DnsSpec {
        name: name.to_owned(),
        record,
        refresh: Duration::from_secs(1),
        minimum: Duration::from_secs(1),
        timeout: Duration::from_millis(200),
        resolvers: vec![dns.address()],
        on_empty: OnEmpty::Keep,
    }
}

fn addresses(dns: &Dns, name: &str) -> Box<dyn Source> {
    Spec::Dns(spec(dns, name, Record::Address { port: 80 })).source()
}

/// Waits until a name was asked for this many times more than before.
async fn asked_since(dns: &Dns, name: &str, before: usize, times: usize) {
    eventually(name, async || (dns.asked(name) >= before + times).then_some(())).await;
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> Data {
    Data::Srv { priority, weight, port, target: target.to_owned() }
}

#[tokio::test]
async fn no_backend_is_lost_through_a_failure_of_the_resolver() {
    let dns = Dns::start().await;
    let one = vec![Data::Address(ip("10.0.0.1"))];
    let failures = [
        ("servfail.example", Reply::ServFail),
        ("refused.example", Reply::Refused),
        ("silent.example", Reply::Silent),
        ("nxdomain.example", Reply::NxDomain),
        ("empty.example", Reply::Empty),
        ("truncated.example", Reply::Truncated(one)),
        ("garbage.example", Reply::Garbage),
        ("blocked.example", Reply::Records(60, vec![Data::Address(ip("0.0.0.0"))])),
    ];
    for (name, _) in &failures {
        dns.say_v4(name, 1, &[[10, 0, 0, 1], [10, 0, 0, 2]]);
    }
    let watched = Watched::start(failures.iter().map(|(name, _)| (*name, addresses(&dns, name))).collect());
    let both = ["10.0.0.1:80 10.0.0.1:80 1", "10.0.0.2:80 10.0.0.2:80 1"];
    for (name, _) in &failures {
        watched.until(name, &both).await;
    }
    let mut asked = Vec::new();
    for (name, failure) in &failures {
        dns.say(name, Kind::A, failure.clone());
        asked.push((*name, dns.asked(name)));
    }
    for (name, before) in asked {
        // Two looks at least: A and AAAA, each tried twice at most.
        asked_since(&dns, name, before, 6).await;
        assert_eq!(watched.told(name), [both], "{name}: a failure is no news");
    }
    for (name, _) in &failures {
        dns.say_v4(name, 1, &[[10, 0, 0, 3]]);
    }
    for (name, _) in &failures {
        watched.until(name, &["10.0.0.3:80 10.0.0.3:80 1"]).await;
        assert_eq!(watched.told(name).len(), 2, "{name}: and then it goes on");
    }
}

#[tokio::test]
async fn changes_are_seen_whatever_the_time_to_live_says() {
    let dns = Dns::start().await;
    let lies = [("zero.example", 0), ("week.example", 7 * 86_400), ("most.example", u32::MAX)];
    for (name, ttl) in lies {
        dns.say_v4(name, ttl, &[[10, 0, 0, 1]]);
    }
    let watched = Watched::start(lies.iter().map(|(name, _)| (*name, addresses(&dns, name))).collect());
    for (name, ttl) in lies {
        watched.until(name, &["10.0.0.1:80 10.0.0.1:80 1"]).await;
        dns.say_v4(name, ttl, &[[10, 0, 0, 2], [10, 0, 0, 1]]);
        dns.say(name, Kind::Aaaa, Reply::Records(ttl, vec![Data::Address(ip("fd00::1"))]));
    }
    for (name, _) in lies {
        let three = ["10.0.0.1:80 10.0.0.1:80 1", "10.0.0.2:80 10.0.0.2:80 1", "[fd00::1]:80 [fd00::1]:80 1"];
        watched.until(name, &three).await;
    }
}

#[tokio::test]
async fn a_failing_family_keeps_its_addresses_while_the_other_changes() {
    let dns = Dns::start().await;
    let name = "two.example";
    dns.say_v4(name, 1, &[[10, 0, 0, 1]]);
    dns.say(name, Kind::Aaaa, Reply::Records(1, vec![Data::Address(ip("fd00::1"))]));
    let watched = Watched::start(vec![(name, addresses(&dns, name))]);
    watched.until(name, &["10.0.0.1:80 10.0.0.1:80 1", "[fd00::1]:80 [fd00::1]:80 1"]).await;
    dns.say(name, Kind::Aaaa, Reply::ServFail);
    dns.say_v4(name, 1, &[[10, 0, 0, 2]]);
    watched.until(name, &["10.0.0.2:80 10.0.0.2:80 1", "[fd00::1]:80 [fd00::1]:80 1"]).await;
    dns.say(name, Kind::Aaaa, Reply::Empty);
    watched.until(name, &["10.0.0.2:80 10.0.0.2:80 1"]).await;
}

#[tokio::test]
async fn services_are_known_by_their_targets() {
    let dns = Dns::start().await;
    let name = "_http._tcp.app.example";
    let (a, b) = ("A.app.example", "b.app.example");
    dns.say(name, Kind::Srv, Reply::Records(1, vec![srv(10, 3, 8080, a), srv(20, 5, 8081, b)]));
    dns.say_v4("a.app.example", 1, &[[10, 0, 0, 1]]);
    dns.say_v4("b.app.example", 1, &[[10, 0, 0, 2]]);
    let watched = Watched::start(vec![("app", Spec::Dns(spec(&dns, name, Record::Srv)).source())]);
    watched.until("app", &["a.app.example 10.0.0.1:8080 3", "b.app.example 10.0.0.2:8081 0"]).await;
    dns.say_v4("a.app.example", 1, &[[10, 0, 0, 9]]);
    watched.until("app", &["a.app.example 10.0.0.9:8080 3", "b.app.example 10.0.0.2:8081 0"]).await;
    dns.say(name, Kind::Srv, Reply::Records(1, vec![srv(10, 0, 8080, b), srv(10, 0, 8081, b)]));
    watched.until("app", &["b.app.example:8080 10.0.0.2:8080 1", "b.app.example:8081 10.0.0.2:8081 1"]).await;
    assert_eq!(watched.told("app").len(), 3);
}

#[tokio::test]
async fn no_service_is_lost_through_a_failure_of_the_resolver() {
    let dns = Dns::start().await;
    let withdrawn = Reply::Records(1, vec![srv(0, 0, 0, ".")]);
    let failures = [
        ("one.example", Kind::A, Reply::ServFail),
        ("two.example", Kind::A, Reply::NxDomain),
        ("_three.example", Kind::Srv, Reply::ServFail),
        ("_four.example", Kind::Srv, withdrawn),
    ];
    let named = |name: &str| {
        let bare = name.trim_start_matches('_');
        (format!("_{bare}"), bare.to_owned(), format!("{bare} 10.0.0.1:80 1"))
    };
    let mut sources = Vec::new();
    for (name, _, _) in &failures {
        let (service, target, _) = named(name);
        dns.say(&service, Kind::Srv, Reply::Records(1, vec![srv(1, 1, 80, &target)]));
        dns.say_v4(&target, 1, &[[10, 0, 0, 1]]);
        sources.push((*name, Spec::Dns(spec(&dns, &service, Record::Srv)).source()));
    }
    let watched = Watched::start(sources);
    let mut asked = Vec::new();
    for (name, kind, failure) in &failures {
        watched.until(name, &[&named(name).2]).await;
        dns.say(name, *kind, failure.clone());
        asked.push((*name, dns.asked(name)));
    }
    for (name, before) in asked {
        asked_since(&dns, name, before, 4).await;
        assert_eq!(watched.told(name), [[named(name).2]], "{name}: a failure is no news");
    }
}

#[tokio::test]
async fn an_answer_that_stays_empty_removes_all_only_where_it_may() {
    let dns = Dns::start().await;
    let (keeps, removes) = ("keeps.example", "removes.example");
    for name in [keeps, removes] {
        dns.say_v4(name, 1, &[[10, 0, 0, 1]]);
    }
    let remove = DnsSpec { on_empty: OnEmpty::Remove, ..spec(&dns, removes, Record::Address { port: 80 }) };
    let watched =
        Watched::start(vec![(keeps, addresses(&dns, keeps)), (removes, Spec::Dns(remove).source())]);
    for name in [keeps, removes] {
        watched.until(name, &["10.0.0.1:80 10.0.0.1:80 1"]).await;
        dns.say(name, Kind::A, Reply::Empty);
    }
    watched.until(removes, &[]).await;
    assert_eq!(watched.told(keeps).len(), 1);
    dns.say_v4(removes, 1, &[[10, 0, 0, 2]]);
    watched.until(removes, &["10.0.0.2:80 10.0.0.2:80 1"]).await;
    assert_eq!(watched.told(removes).len(), 3);
}

#[tokio::test]
async fn the_system_is_asked_where_no_resolver_is_named() {
    let dns = Dns::start().await;
    let spec = DnsSpec { resolvers: Vec::new(), ..spec(&dns, "localhost", Record::Address { port: 80 }) };
    let answer = Spec::Dns(spec).source().next().await.unwrap();
    assert_eq!(answer.found[0].id.as_str(), "127.0.0.1:80");
}
