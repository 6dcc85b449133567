//! Drains: what is left, when they will have ended, and a backend that says itself that it drains.

use std::thread;
use std::time::Duration;

use serde_json::Value;
use steadfast::clock::Now;
use steadfast::names::BackendIndex;
use steadfast::pool::State;

use crate::support::balancer::{Balancer, SHARED, apps};
use crate::support::exchange::get;
use crate::support::program::Program;

const CHECKED: &str = "    health: { http: { path: /plain, drain_on: { status: [503], header: x-draining } }, interval: 50ms, timeout: 50ms }\n";

fn state(balancer: &Balancer, at: u16) -> State {
    let snapshot = balancer.current.load();
    snapshot.pools[0].pool.backend(BackendIndex(at)).unwrap().state(Now::read())
}

fn wait_for(balancer: &Balancer, at: u16, expected: State) {
    for _ in 0..1000 {
        if state(balancer, at) == expected {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("not {expected:?} but {:?}", state(balancer, at));
}

/// A client whose session lives on the first application.
fn at_home(balancer: &Balancer) -> String {
    (0..100)
        .map(|n| get(balancer.address, "/", &[&format!("User-Agent: {n}")]))
        .find(|answer| answer.server() == "app1")
        .unwrap()
        .cookies()
}

#[test]
fn a_backend_that_says_so_drains_until_it_says_so_no_longer() {
    let apps = apps(2);
    let balancer = Balancer::start(&apps, SHARED, "", CHECKED);
    let cookies = format!("Cookie: {}", at_home(&balancer));
    let old_stays = || {
        let answer = get(balancer.address, "/", &[&cookies]);
        assert_eq!(
            (answer.server(), answer.word("fresh=")),
            ("app1", "false"),
            "drained: it keeps its sessions"
        );
    };
    for how in ["503 Service Unavailable\r\n", "200 OK\r\nX-Draining: yes\r\n"] {
        apps[0].plain_says(how);
        wait_for(&balancer, 0, State::Draining);
        old_stays();
        for n in 0..30 {
            let new = get(balancer.address, "/", &[&format!("User-Agent: new {n}")]);
            assert_eq!(new.server(), "app2", "drained: it takes no new ones");
        }
        // A reload does not make it forget.
        balancer.reload(&apps, &format!("{CHECKED}    timeouts: {{ read: 59s }}\n"));
        assert_eq!(state(&balancer, 0), State::Draining);
        balancer.reload(&apps, CHECKED);
        apps[0].plain_says("200 OK\r\n");
        wait_for(&balancer, 0, State::Up);
        old_stays();
    }
    apps[0].plain_says("503 Service Unavailable\r\n");
    wait_for(&balancer, 0, State::Draining);
    balancer.reload(&apps, "");
    assert_eq!(state(&balancer, 0), State::Up, "nobody listens to its page any more");
}

#[test]
fn commands_tell_what_is_left_and_when_it_will_have_ended() {
    let apps = apps(2);
    let program = Program::start(&apps);
    let mut homes = Vec::new();
    for n in 0..60 {
        homes.push(get(program.address, "/", &[&format!("User-Agent: {n}")]));
    }
    let mut there: Vec<_> = homes.iter().filter(|answer| answer.server() == "app1").collect();
    let all = there.len();
    let (code, said) = program.command(&["drain", "app/app1", "--deadline", "1h"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with(&format!("app/app1: draining, {all} sessions, ")), "{said}");
    assert!(said.contains("at most 1h left") || said.contains("at most 59m"), "{said}");
    let backend = || -> Value {
        let (_, said) = program.command(&["status", "--json"]);
        let pid = serde_json::from_str::<Value>(&said).unwrap()["pid"].as_i64().unwrap();
        assert_eq!(pid, i64::from(program.pid().as_raw()));
        let mut admin = std::os::unix::net::UnixStream::connect(program.admin()).unwrap();
        let request = b"GET /v1/pools/app/backends/app1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
        std::io::Write::write_all(&mut admin, request).unwrap();
        let answer = std::io::read_to_string(admin).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    let mut forecast = Value::Null;
    while let Some(gone) = there.pop() {
        get(program.address, "/logout", &[&format!("Cookie: {}", gone.cookies())]);
        thread::sleep(Duration::from_millis(300));
        let now = backend();
        assert_eq!(now["learned_sessions"], there.len(), "{now}");
        if forecast.is_null() {
            forecast = now["drain_forecast_s"].clone();
        }
    }
    assert!(forecast.as_u64().is_some_and(|seconds| seconds < 60), "it was told before the end: {forecast}");
    let (code, said) = program.command(&["drain", "app/app1", "--wait"]);
    assert!(code == 0 && said.contains("app/app1: drained"), "{said}");
}
