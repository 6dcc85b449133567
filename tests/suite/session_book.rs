//! The session book: what became of sessions over real sockets, and how many live.

use std::time::Duration;

use steadfast::names::Outcome;
use steadfast::telemetry::BackendReport;

use crate::support::balancer::{Balancer, apps};
use crate::support::core::{Jar, Replica, START, Says};
use crate::support::exchange::get;

fn with(cookies: &str) -> String {
    format!("Cookie: {cookies}")
}

/// The pages of all backends as one.
fn sum(balancer: &Balancer, of: impl Fn(&BackendReport) -> u64) -> u64 {
    balancer.sessions().backends.iter().map(of).sum()
}

#[test]
fn sessions_are_booked_where_they_live_and_by_what_became_of_them() {
    let apps = apps(3);
    let balancer = Balancer::plain(&apps);
    let firsts: Vec<_> =
        (0..20).map(|n| get(balancer.address, "/", &[&format!("User-Agent: {n}")])).collect();
    let report = balancer.sessions();
    for app in &apps {
        let here = firsts.iter().filter(|first| first.server() == app.name).count() as u64;
        let page = report.backends.iter().find(|page| page.backend.as_str() == app.name).unwrap();
        assert_eq!((page.created, page.live.learned, page.live.by_token), (here, here, 0), "{}", app.name);
    }
    let login = get(balancer.address, "/login", &[&with(&firsts[0].cookies())]);
    get(balancer.address, "/logout", &[&with(&firsts[1].cookies())]);
    get(balancer.address, "/", &[&with("JSESSIONID=invented")]);
    let bound = get(balancer.address, "/plain", &["User-Agent: without a session"]);
    let counted = |of: fn(&BackendReport) -> u64| sum(&balancer, of);
    assert_eq!(counted(|page| page.rotated), 1);
    assert_eq!(counted(|page| page.released), 1);
    assert_eq!(counted(|page| page.lost.no_proof), 1);
    assert_eq!(counted(|page| page.created), 21);
    assert_eq!(counted(|page| page.bound), 1);
    assert_eq!(counted(|page| page.live.learned), 20, "one has logged out, an invented one was started");
    assert_eq!(counted(|page| page.live.by_token), 0, "who was never heard of again has no session");
    get(balancer.address, "/plain", &[&with(&bound.cookie("steadfast-").unwrap())]);
    assert_eq!(counted(|page| page.live.by_token), 1);
    // Its backend dies: booked on both sides.
    let home = apps.iter().find(|app| app.name == login.server()).unwrap();
    home.stop();
    let moved = get(balancer.address, "/plain", &[&with(&login.cookies())]);
    let report = balancer.sessions();
    let page = |name: &str| report.backends.iter().find(|page| page.backend.as_str() == name).unwrap();
    assert_eq!((page(moved.server()).moved_in, page(&home.name).moved_out), (1, 1));
    let again = format!("{}; {}", login.cookie("JSESSIONID").unwrap(), moved.cookie("steadfast-").unwrap());
    // The application starts a new one only now; the token of the move proves that it belongs here.
    assert_eq!(get(balancer.address, "/", &[&with(&again)]).server(), moved.server());
}

#[test]
fn what_a_replica_has_not_learned_is_estimated_and_what_it_has_learned_stays_exact() {
    let (one, two) = (Replica::new(1), Replica::new(1));
    let backend = one.backend("app1").tag();
    let learned =
        |replica: &Replica, now| replica.policy.learned.count_by_backend(now).get(&backend).copied();
    let mut users = vec![Jar::default(); 50];
    for (n, jar) in users.iter_mut().enumerate() {
        let first = one.exchange(jar, &n.to_string(), Says::Session(&format!("s{n}")), START);
        assert_eq!((first.outcome, first.by_token), (Outcome::Started, None));
    }
    // An hour of use, twice the idle time: only the tokens lead home, and the table still knows who is there.
    let mut now = START;
    for _ in 0..60 {
        now = now.after(Duration::from_secs(60));
        for jar in users.iter_mut().take(30) {
            assert_eq!(one.exchange(jar, "", Says::Nothing, now).by_token, None);
        }
    }
    assert_eq!(learned(&one, now), Some(30), "twenty were not heard of again");
    let seeds: std::collections::HashSet<_> = users
        .iter_mut()
        .take(30)
        .filter_map(|jar| two.exchange(jar, "", Says::Nothing, now).by_token)
        .collect();
    assert_eq!((seeds.len(), learned(&two, now)), (30, None), "another replica knows them by their tokens");
    let goodbye = two.exchange(&mut users[0], "", Says::Goodbye, now);
    assert_eq!((goodbye.outcome, goodbye.by_token), (Outcome::Released, None));
}
