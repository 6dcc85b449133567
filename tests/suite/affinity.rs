//! Affinity over real sockets: what a client holds after a response, and where its next request goes.

use crate::support::balancer::{Balancer, SHARED, apps};
use crate::support::exchange::{Connection, get, request};

fn with(cookies: &str) -> String {
    format!("Cookie: {cookies}")
}

#[test]
fn the_first_response_binds_and_the_cookie_of_the_application_is_kept() {
    let apps = apps(3);
    let balancer = Balancer::plain(&apps);
    let first = get(balancer.address, "/set3", &[]);
    let lines = first.all("set-cookie");
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines[0] == "a=1" && lines[1] == "b=2" && lines[2].starts_with("JSESSIONID="), "{lines:?}");
    assert!(
        lines[3].starts_with("steadfast-") && lines[3].contains("; Path=/; HttpOnly; SameSite=Lax"),
        "{lines:?}"
    );
    assert_eq!(first.all("cache-control"), ["private"]);
    for count in 2..5 {
        let next = get(balancer.address, "/", &[&with(&first.cookies())]);
        assert_eq!((next.server(), next.word("count=")), (first.server(), count.to_string().as_str()));
        assert!(next.all("set-cookie").is_empty(), "a client that holds everything gets nothing");
    }
}

#[test]
fn either_cookie_alone_leads_home() {
    let apps = apps(3);
    let balancer = Balancer::plain(&apps);
    for client in 0..20 {
        let agent = format!("User-Agent: {client}");
        let first = get(balancer.address, "/", &[&agent]);
        for cookie in [first.cookie("JSESSIONID").unwrap(), first.cookie("steadfast-").unwrap()] {
            let next = get(balancer.address, "/plain", &["User-Agent: another", &with(&cookie)]);
            assert_eq!(next.server(), first.server(), "{cookie}");
        }
        let id = first.word("session=").to_owned();
        let next = get(balancer.address, &format!("/;jsessionid={id}?x=1"), &["User-Agent: another"]);
        assert_eq!((next.server(), next.word("fresh=")), (first.server(), "false"));
    }
}

#[test]
fn replicas_that_share_nothing_but_keys_agree() {
    let apps = apps(3);
    let (one, two) = (Balancer::plain(&apps), Balancer::plain(&apps));
    for client in 0..30 {
        let agent = format!("User-Agent: {client}");
        assert_eq!(
            get(one.address, "/plain", &[&agent]).server(),
            get(two.address, "/plain", &[&agent]).server(),
            "first contact"
        );
        let first = get(one.address, "/", &[&agent]);
        assert_eq!(get(two.address, "/", &[&with(&first.cookies())]).server(), first.server(), "token");
        let unknown = with(&format!("JSESSIONID=unknown{client}"));
        assert_eq!(
            get(one.address, "/plain", &[&unknown]).server(),
            get(two.address, "/plain", &[&unknown]).server(),
            "hash"
        );
    }
}

#[test]
fn login_keeps_the_session_at_home_and_logout_releases_it() {
    let apps = apps(3);
    let balancer = Balancer::plain(&apps);
    let first = get(balancer.address, "/", &[]);
    let login = get(balancer.address, "/login", &[&with(&first.cookies())]);
    assert_eq!((login.server(), login.word("count=")), (first.server(), "2"), "the state lives on");
    assert_ne!(login.cookies(), first.cookies());
    let next = get(balancer.address, "/", &[&with(&login.cookies())]);
    assert_eq!((next.server(), next.word("count=")), (first.server(), "3"));
    let logout = get(balancer.address, "/logout", &[&with(&login.cookies())]);
    let ours = logout.all("set-cookie").into_iter().find(|line| line.starts_with("steadfast-")).unwrap();
    assert!(ours.contains("=; Max-Age=0") && ours.contains("; Path=/; HttpOnly; SameSite=Lax"), "{ours}");
}

#[test]
fn the_cookie_follows_the_attributes_of_the_application() {
    let apps = apps(1);
    let balancer = Balancer::plain(&apps);
    let first = get(balancer.address, "/attributes", &[]);
    let ours = first.all("set-cookie").into_iter().find(|line| line.starts_with("steadfast-")).unwrap();
    for attribute in ["; Secure", "; SameSite=None", "; Max-Age=600"] {
        assert!(ours.contains(attribute), "{ours}");
    }
}

#[test]
fn a_cookie_is_injected_where_the_application_has_none_but_never_into_a_shared_cache() {
    let apps = apps(3);
    let balancer = Balancer::plain(&apps);
    let plain = get(balancer.address, "/plain", &[]);
    assert!(plain.cookie("steadfast-").is_some());
    assert_eq!(plain.all("cache-control"), ["private"]);
    let shared = get(balancer.address, "/static", &["User-Agent: x"]);
    assert!(shared.all("set-cookie").is_empty());
    assert_eq!(shared.all("cache-control"), ["public, max-age=60"]);
    let mut connection = Connection::open(balancer.address);
    let preflight = request("OPTIONS", "/plain", &["Origin: http://a", "Access-Control-Request-Method: PUT"]);
    connection.send(preflight.as_bytes());
    assert!(connection.receive().unwrap().all("set-cookie").is_empty(), "never on a preflight");
    connection.send(request("GET", "/early", &[]).as_bytes());
    let early = connection.receive().unwrap();
    assert_eq!((early.status, early.all("set-cookie").len()), (200, 1), "on the final response alone");
}

#[test]
fn our_cookie_never_reaches_a_backend_and_all_others_do_byte_for_byte() {
    let apps = apps(1);
    let balancer = Balancer::plain(&apps);
    let first = get(balancer.address, "/", &[]);
    let ours = first.cookie("steadfast-").unwrap();
    let field = format!("Cookie: a=\"1\";{ours};  b ;=c; JSESSIONID=x");
    let echo = get(balancer.address, "/echo", &[&field, "Cookie: second=1"]).body;
    assert!(echo.contains("Cookie: a=\"1\";  b ;=c; JSESSIONID=x\r\n"), "{echo}");
    assert!(echo.contains("Cookie: second=1\r\n"), "{echo}");
    assert!(!echo.contains("steadfast"), "{echo}");
    let alone = get(balancer.address, "/echo", &[&with(&ours)]).body;
    assert!(!alone.to_lowercase().contains("cookie"), "{alone}");
}

#[test]
fn repeated_and_strange_cookies_hide_nothing() {
    let apps = apps(3);
    let balancer = Balancer::plain(&apps);
    for client in 0..10 {
        let first = get(balancer.address, "/", &[&format!("User-Agent: {client}")]);
        let (id, ours) = (first.cookie("JSESSIONID").unwrap(), first.cookie("steadfast-").unwrap());
        let quoted = id.replacen('=', "=\"", 1) + "\"";
        for cookies in [
            format!("JSESSIONID=stale; {id}; {ours}"),
            format!("JSESSIONID=stale; {id}"),
            format!("x=\u{e4}\u{f6}; =; ;;{id}"),
            quoted,
            format!("{ours}x; {ours}; {id}"),
            format!("xJSESSIONID=1; JSESSIONIDx=2;{id}"),
        ] {
            let next = get(balancer.address, "/plain", &["User-Agent: another", &with(&cookies)]);
            assert_eq!(next.server(), first.server(), "{cookies}");
        }
    }
}

#[test]
fn a_session_whose_backend_is_gone_moves_once() {
    let apps = apps(3);
    let (one, two) = (Balancer::plain(&apps), Balancer::plain(&apps));
    let first = get(one.address, "/", &[]);
    let home = apps.iter().find(|app| app.name == first.server()).unwrap();
    home.stop();
    let moved = get(one.address, "/", &[&with(&first.cookies())]);
    let other = get(two.address, "/", &[&with(&first.cookies())]);
    assert_eq!(moved.status, 200);
    assert_ne!(moved.server(), first.server());
    assert_eq!(moved.server(), other.server(), "both replicas choose one successor");
    home.restart();
    for balancer in [&one, &two] {
        let next = get(balancer.address, "/", &[&with(&moved.cookies())]);
        assert_eq!((next.server(), next.word("fresh=")), (moved.server(), "false"), "no fail-back");
    }
}

#[test]
fn a_draining_backend_keeps_its_sessions_and_gets_no_new_ones() {
    let apps = apps(2);
    let before = Balancer::plain(&apps);
    let held: Vec<_> = (0..20).map(|n| get(before.address, "/", &[&format!("User-Agent: {n}")])).collect();
    let backends = format!(
        "backends: [ {{ id: app1, address: \"{}\", state: draining }}, {{ id: app2, address: \"{}\" }} ]\n",
        apps[0].address, apps[1].address
    );
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "version: 1\nstate_dir: state\n{SHARED}listeners: [ {{ name: web, address: 127.0.0.1:0, routes: [ {{ pool: app }} ] }} ]\npools:\n  app:\n    {backends}"
    );
    let checked = crate::support::balancer::checked(&text, folder.path());
    let bound = steadfast::Steadfast::from_checked(checked).bind().unwrap();
    let address = bound.addresses()[0].1;
    let _running = bound.spawn().unwrap();
    for first in &held {
        assert_eq!(get(address, "/", &[&with(&first.cookies())]).server(), first.server());
    }
    for n in 0..50 {
        assert_eq!(get(address, "/", &[&format!("User-Agent: {n}")]).server(), "app2");
    }
}
