//! Changes at run time: by hand, by another configuration, and both.

use std::fs;
use std::time::Duration;

use steadfast::config::checked::BackendState;
use steadfast::lifecycle::{BackendChange, ChangeError};

use crate::support::app::App;
use crate::support::balancer::{Balancer, SHARED, apps};
use crate::support::exchange::get;

/// A client with its cookies, and where its session lives.
struct Client {
    cookies: String,
    home: String,
}

impl Client {
    fn start(balancer: &Balancer, n: usize) -> Self {
        let first = get(balancer.address, "/", &[&format!("User-Agent: agent {n}")]);
        Self { cookies: format!("Cookie: {}", first.cookies()), home: first.server().to_owned() }
    }

    fn goes_to(&self, balancer: &Balancer) -> String {
        get(balancer.address, "/", &[&self.cookies]).server().to_owned()
    }
}

fn clients(balancer: &Balancer, count: usize) -> Vec<Client> {
    (0..count).map(|n| Client::start(balancer, n)).collect()
}

fn of<'a>(clients: &'a [Client], home: &'a str) -> impl Iterator<Item = &'a Client> {
    clients.iter().filter(move |client| client.home == home)
}

fn news(balancer: &Balancer) -> Vec<String> {
    (0..60)
        .map(|n| get(balancer.address, "/", &[&format!("User-Agent: new {n}")]).server().to_owned())
        .collect()
}

fn drain(deadline: Option<Duration>) -> BackendChange {
    BackendChange { state: Some(BackendState::Draining), deadline, weight: None }
}

#[test]
fn who_is_taken_out_of_the_configuration_keeps_its_sessions_and_gets_no_new_ones() {
    let apps = apps(3);
    let balancer = Balancer::plain(&apps);
    let clients = clients(&balancer, 40);
    assert!(of(&clients, "app3").count() > 0);
    let plan = balancer.reload(&apps[..2], "");
    assert_eq!(plan.changes, ["pool app: backend app3: state up → draining"]);
    assert_eq!(plan.moving_sessions, 0);
    for client in &clients {
        assert_eq!(client.goes_to(&balancer), client.home, "steady, drained");
    }
    assert!(!news(&balancer).contains(&"app3".to_owned()), "drained");
    balancer.reload(&apps, "");
    assert!(news(&balancer).contains(&"app3".to_owned()), "it came back");
}

#[test]
fn a_drain_ends_at_its_deadline_and_its_sessions_move_once() {
    let apps = apps(3);
    let balancer = Balancer::plain(&apps);
    let clients = clients(&balancer, 40);
    balancer.control.change("app", "app1", &drain(Some(Duration::from_secs(3600)))).unwrap();
    for client in of(&clients, "app1") {
        assert_eq!(client.goes_to(&balancer), "app1", "drained: its deadline has not passed");
    }
    balancer.control.change("app", "app1", &drain(Some(Duration::from_millis(1)))).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    assert!(of(&clients, "app1").count() > 0);
    for client in of(&clients, "app1") {
        assert_ne!(client.goes_to(&balancer), "app1", "drained: the deadline has passed");
    }
    for client in clients.iter().filter(|client| client.home != "app1") {
        assert_eq!(client.goes_to(&balancer), client.home, "steady");
    }
}

#[test]
fn changes_by_hand_survive_a_reload_and_are_shown() {
    let apps = apps(2);
    let balancer = Balancer::plain(&apps);
    balancer.control.change("app", "app1", &drain(None)).unwrap();
    let more = App::start("app9");
    balancer.control.add("app", "app9", more.address, 3).unwrap();
    balancer.reload(&apps, "    retries: { attempts: 1 }\n");
    let shown = balancer.control.differences();
    assert_eq!(
        shown,
        ["pool app: backend app1: state up → draining", "pool app: backend app9: added"],
        "whole: a reload keeps them"
    );
    let went = news(&balancer);
    assert!(went.contains(&"app9".to_owned()) && !went.contains(&"app1".to_owned()), "{went:?}");
    assert!(balancer.control.forget_change("app", "app1").unwrap());
    assert!(news(&balancer).contains(&"app1".to_owned()), "the file's word counts again");
}

#[test]
fn a_change_that_cannot_be_made_says_why() {
    let apps = apps(1);
    let balancer = Balancer::plain(&apps);
    let control = &balancer.control;
    let address = apps[0].address;
    let errors = [
        control.change("none", "app1", &drain(None)).unwrap_err(),
        control.change("app", "none", &drain(None)).unwrap_err(),
        control.add("app", "app1", address, 1).unwrap_err(),
        control.add("app", "a b", address, 1).unwrap_err(),
        control.remove("app", "app1").unwrap_err(),
    ];
    let words: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        [
            "there is no pool `none`",
            "pool `app` has no backend `none`",
            "pool `app` already has a backend `app1`; remove it first, or choose another id",
            "`a b` is no id: letters, digits, `-`, `_` and `.`, at most 128 of them",
            "backend `app1` is the last one of its pool",
        ]
    );
    assert!(matches!(errors[4], ChangeError::LastBackend(_)));
    assert_eq!(control.differences(), [""; 0]);
}

#[test]
fn discovered_backends_serve_from_the_first_request_on_and_drain_when_they_are_found_no_more() {
    let apps = apps(3);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backends");
    let line = |app: &App| format!("id={} {}\n", app.name, app.address);
    fs::write(&file, line(&apps[1])).unwrap();
    let pool = format!("    discovery: {{ file: {{ path: \"{}\", refresh: 1s }} }}\n", file.display());
    let balancer = Balancer::start(&apps[..1], SHARED, "", &pool);
    assert!(news(&balancer).contains(&"app2".to_owned()), "found before the first request");
    let clients = clients(&balancer, 40);
    fs::write(&file, line(&apps[2])).unwrap();
    eventually("app3 is found", || news(&balancer).contains(&"app3".to_owned()));
    assert!(!news(&balancer).contains(&"app2".to_owned()), "drained");
    assert!(of(&clients, "app2").count() > 0);
    for client in &clients {
        assert_eq!(client.goes_to(&balancer), client.home, "steady, drained");
    }
    fs::remove_file(&file).unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    assert!(news(&balancer).contains(&"app3".to_owned()), "a file that is gone takes nobody away");
    balancer.reload(&apps[..1], "");
    eventually("discovery ends", || !news(&balancer).contains(&"app3".to_owned()));
}

fn eventually(what: &str, is: impl Fn() -> bool) {
    let tries = std::iter::repeat_with(is).inspect(|_| std::thread::sleep(Duration::from_millis(50)));
    assert!(tries.take(400).any(|done| done), "{what}");
}

#[test]
fn a_removal_at_once_moves_sessions_and_a_deadline_ends_a_drain() {
    let apps = apps(3);
    let balancer = Balancer::start(&apps, SHARED, "", "    removal: at_once\n");
    let clients = clients(&balancer, 40);
    let plan = balancer.reload(&apps[..2], "    removal: at_once\n");
    assert_eq!(usize::try_from(plan.moving_sessions).unwrap(), of(&clients, "app3").count(), "{plan:?}");
    assert!(plan.moving_sessions > 0);
    for client in &clients {
        assert_eq!(client.goes_to(&balancer) == client.home, client.home != "app3", "{}", client.home);
    }
    balancer.reload(&apps, "    drain: { deadline: 1s }\n");
    let clients = self::clients(&balancer, 40);
    balancer.reload(&apps[..2], "    drain: { deadline: 1s }\n");
    let gone = || of(&clients, "app3").all(|client| client.goes_to(&balancer) != "app3");
    assert!(of(&clients, "app3").count() > 0);
    eventually("the drain ends", gone);
}

#[test]
fn a_plan_counts_the_sessions_that_would_move() {
    let apps = apps(3);
    let balancer = Balancer::plain(&apps);
    let clients = clients(&balancer, 30);
    let maintenance = BackendChange { state: Some(BackendState::Maintenance), ..BackendChange::default() };
    balancer.control.change("app", "app2", &maintenance).unwrap();
    let plan = balancer.reload(&apps[1..], "");
    let of_second = of(&clients, "app2").count();
    assert_eq!(usize::try_from(plan.moving_sessions).unwrap(), of_second, "maintenance moves them: {plan:?}");
    assert!(of_second > 0 && plan.needs_another_process.is_none());
}
