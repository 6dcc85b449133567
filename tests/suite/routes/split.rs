//! Splits: a session keeps its pool whatever the weights become.

use super::configuration;
use crate::support::app::App;
use crate::support::balancer::{Balancer, apps};
use crate::support::exchange::{Response, get};

fn weights(one: u32, two: u32) -> String {
    format!("      - split: [ {{ pool: app1, weight: {one} }}, {{ pool: app2, weight: {two} }} ]\n")
}

fn start(apps: &[App], one: u32, two: u32) -> Balancer {
    Balancer::configured(&configuration(apps, "", &weights(one, two)))
}

fn sessions(balancer: &Balancer) -> Vec<Response> {
    (0..60).map(|n| get(balancer.address, "/", &[&format!("User-Agent: {n}")])).collect()
}

fn at(sessions: &[Response], server: &str) -> usize {
    sessions.iter().filter(|first| first.server() == server).count()
}

/// With all cookies, and with only the application's (a learned session), or only ours.
fn assert_all_at_home(balancer: &Balancer, sessions: &[Response], only: Option<&str>) {
    for first in sessions {
        let cookies = only.map_or_else(|| first.cookies(), |name| first.cookie(name).unwrap());
        let next = get(balancer.address, "/plain", &[&format!("Cookie: {cookies}"), "User-Agent: another"]);
        assert_eq!(next.server(), first.server(), "a session left its pool");
        if only != Some("steadfast-") {
            let next = get(balancer.address, "/", &[&format!("Cookie: {cookies}"), "User-Agent: another"]);
            assert_eq!((next.server(), next.word("fresh=")), (first.server(), "false"), "a session was lost");
        }
    }
}

#[test]
fn a_change_of_the_weights_loses_no_session() {
    let apps = apps(2);
    let balancer = start(&apps, 50, 50);
    let sessions = sessions(&balancer);
    assert!((10..=50).contains(&at(&sessions, "app2")), "{} of 60", at(&sessions, "app2"));
    for (one, two) in [(0, 100), (100, 0), (99, 1), (5, 95)] {
        balancer.put_in_force(&configuration(&apps, "", &weights(one, two)));
        assert_all_at_home(&balancer, &sessions, None);
        assert_all_at_home(&balancer, &sessions, Some("JSESSIONID"));
        assert_all_at_home(&balancer, &sessions, Some("steadfast-"));
        if one == 0 || two == 0 {
            let newcomers = self::sessions(&balancer);
            let server = if one == 0 { "app2" } else { "app1" };
            assert_eq!(at(&newcomers, server), newcomers.len(), "new clients go by the weights");
        }
    }
}

#[test]
fn replicas_agree_on_sessions_whatever_their_weights() {
    let apps = apps(2);
    let (one, other) = (start(&apps, 50, 50), start(&apps, 100, 0));
    let sessions = sessions(&one);
    assert!(at(&sessions, "app2") > 0);
    assert_all_at_home(&other, &sessions, None);
    assert_all_at_home(&other, &sessions, Some("steadfast-"));
    let same = start(&apps, 50, 50);
    for (n, first) in sessions.iter().enumerate() {
        let new = get(same.address, "/plain", &[&format!("User-Agent: {n}")]);
        assert_eq!(new.server(), first.server(), "the same client finds the same pool on any replica");
    }
}

#[test]
fn a_pool_that_is_gone_is_left_once() {
    let apps = apps(2);
    let text = |one, two| {
        let text = configuration(&apps, "", &weights(one, two));
        let check = "health: { tcp: true, interval: 50ms, timeout: 50ms, rise: 1, fall: 1, existing_sessions: move }, affinity:";
        text.replace("affinity: {", &format!("{check} {{"))
    };
    let balancer = Balancer::configured(&text(0, 100));
    let first = get(balancer.address, "/", &[]);
    assert_eq!(first.server(), "app2");
    balancer.put_in_force(&text(50, 50));
    apps[1].stop();
    let ask = |cookies: &str| get(balancer.address, "/", &[&format!("Cookie: {cookies}")]);
    let mut moved = ask(&first.cookies());
    for _ in 0..5_000 {
        if moved.status == 200 {
            break;
        }
        moved = ask(&first.cookies());
    }
    assert_eq!((moved.status, moved.server()), (200, "app1"), "the other pool of the split");
    apps[1].restart();
    // A browser holds the tokens of both pools by now.
    let cookies = format!("{}; {}", first.cookie("steadfast-").unwrap(), moved.cookies());
    let is_back = |_| {
        let newcomer = get(balancer.address, "/plain", &[&format!("User-Agent: {}", rand::random::<u64>())]);
        newcomer.status == 200 && newcomer.server() == "app2"
    };
    assert!((0..5_000).any(is_back), "the pool takes new clients again");
    for _ in 0..20 {
        let next = ask(&cookies);
        assert_eq!((next.server(), next.word("fresh=")), ("app1", "false"), "moved once");
    }
}

#[test]
fn no_backend_sees_our_cookies_of_either_pool() {
    let apps = apps(2);
    let (one, two) = (start(&apps, 100, 0), start(&apps, 0, 100));
    let token = |balancer: &Balancer| get(balancer.address, "/plain", &[]).cookie("steadfast-").unwrap();
    let cookies = format!("Cookie: a=b; {}; {}", token(&one), token(&two));
    let seen = get(one.address, "/echo", &[&cookies]).body;
    assert!(seen.contains("a=b") && !seen.contains("steadfast-"), "{seen}");
}
