//! Evidence other than cookies, and what becomes of a session whose backend is gone or suspect.

use std::thread;
use std::time::Duration;

use crate::support::balancer::{Balancer, SHARED, apps};
use crate::support::exchange::get;

fn with(cookies: &str) -> String {
    format!("Cookie: {cookies}")
}

fn affinity(settings: &str) -> String {
    format!("    affinity: {{ application_cookie: [JSESSIONID, SID], {settings} }}\n")
}

#[test]
fn a_route_suffix_is_the_servers_own_word() {
    let apps = apps(3);
    let balancer = Balancer::start(&apps, SHARED, "", &affinity("route_suffix: true"));
    for app in &apps {
        for cookie in ["JSESSIONID", "SID"] {
            let answer = get(balancer.address, "/plain", &[&with(&format!("{cookie}=x.y.{}", app.name))]);
            assert_eq!(answer.server(), app.name);
            assert!(answer.all("set-cookie").is_empty(), "the suffix leads back");
        }
    }
    let unknown = with("JSESSIONID=x.nobody");
    assert_eq!(get(balancer.address, "/plain", &[&unknown]).status, 200);
}

#[test]
fn headers_and_queries_carry_sessions_too() {
    let apps = apps(3);
    let balancer = Balancer::start(&apps, SHARED, "", &affinity("header: X-Session, query: sid"));
    for n in 0..20 {
        let header = format!("X-Session: {n}");
        let first = get(balancer.address, "/plain", &[&header, "User-Agent: one"]);
        assert_eq!(get(balancer.address, "/plain", &[&header, "User-Agent: two"]).server(), first.server());
        let path = format!("/plain?a=b&sid={n}");
        assert_eq!(
            get(balancer.address, &path, &["User-Agent: three"]).server(),
            first.server(),
            "one id, two places"
        );
    }
}

#[test]
fn a_lost_backend_can_be_an_error_instead_of_a_move() {
    let apps = apps(3);
    let balancer = Balancer::start(&apps, SHARED, "", &affinity("on_lost_backend: fail"));
    let first = get(balancer.address, "/", &[]);
    let home = apps.iter().find(|app| app.name == first.server()).unwrap();
    home.stop();
    let answer = get(balancer.address, "/", &[&with(&first.cookies())]);
    assert_eq!((answer.status, answer.all("retry-after").len()), (503, 1), "{answer:?}");
    assert_eq!(get(balancer.address, "/", &["User-Agent: new"]).status, 200, "new sessions go elsewhere");
}

#[test]
fn replicated_applications_may_have_their_sessions_back() {
    let apps = apps(3);
    let health = "    health: { tcp: true, interval: 50ms, timeout: 50ms, rise: 1, fall: 1 }\n";
    let balancer = Balancer::start(&apps, SHARED, "", &(affinity("fail_back: always") + health));
    let first = get(balancer.address, "/plain", &[]);
    let ours = with(&first.cookie("steadfast-").unwrap());
    let home = apps.iter().find(|app| app.name == first.server()).unwrap();
    home.stop();
    assert_ne!(get(balancer.address, "/plain", &[&ours]).server(), first.server());
    home.restart();
    let is_back = |_| get(balancer.address, "/plain", &[&ours]).server() == first.server();
    assert!((0..2_000).any(is_back), "it returns once its check passes");
}

#[test]
fn a_blip_is_waited_for() {
    let apps = apps(3);
    let settings = affinity("suspect_hold: 5s");
    let balancer = Balancer::start(&apps, SHARED, "", &settings);
    let first = get(balancer.address, "/plain", &[]);
    let ours = with(&first.cookie("steadfast-").unwrap());
    let home = apps.iter().find(|app| app.name == first.server()).unwrap();
    home.stop();
    let waiting = thread::scope(|scope| {
        let asked = scope.spawn(|| get(balancer.address, "/plain", &[&ours]));
        thread::sleep(Duration::from_millis(150));
        home.restart();
        asked.join().unwrap()
    });
    assert_eq!((waiting.status, waiting.server()), (200, first.server()), "held, and sent home");
}

#[test]
fn whoever_is_new_waits_for_a_blip_too_where_nobody_else_is_left() {
    for settings in ["first_contact: client", "first_contact: balance", "mode: hash", "mode: none"] {
        let apps = apps(1);
        let settings = format!("    affinity: {{ {settings}, suspect_hold: 5s }}\n");
        let balancer = Balancer::start(&apps, SHARED, "", &settings);
        assert_eq!(get(balancer.address, "/plain", &[]).status, 200);
        apps[0].stop();
        let answers = thread::scope(|scope| {
            let asked = [(); 3].map(|()| {
                thread::sleep(Duration::from_millis(50));
                scope.spawn(|| get(balancer.address, "/plain", &[]).status)
            });
            apps[0].restart();
            asked.map(|one| one.join().unwrap())
        });
        assert_eq!(answers, [200; 3], "{settings}");
    }
}

#[test]
fn a_failing_health_page_moves_nobody() {
    let apps = apps(2);
    // No application has this page; `200` is what it would have to be.
    let health = "    health: { http: { path: /reset }, interval: 50ms, timeout: 50ms, fall: 1 }\n";
    let before = Balancer::plain(&apps);
    let held: Vec<_> = (0..10).map(|n| get(before.address, "/", &[&format!("User-Agent: {n}")])).collect();
    let failing = Balancer::start(&apps, SHARED, "", health);
    let refused = |_| get(failing.address, "/", &[]).status == 503;
    assert!((0..5_000).any(refused), "new sessions are refused once all pages fail");
    for first in &held {
        let next = get(failing.address, "/", &[&with(&first.cookies())]);
        assert_eq!((next.server(), next.word("fresh=")), (first.server(), "false"), "tried at home");
    }
}
