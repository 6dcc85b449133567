//! SIGHUP: another configuration in the same process.

use crate::support::app::App;
use crate::support::balancer::apps;
use crate::support::exchange::get;
use crate::support::program::{Program, text};

#[test]
fn a_reload_adds_backends_and_moves_nobody() {
    let mut apps = apps(2);
    let program = Program::start(&apps);
    let clients: Vec<_> = (0..20)
        .map(|n| get(program.address, "/", &[&format!("User-Agent: agent {n}")]))
        .map(|first| (first.server().to_owned(), format!("Cookie: {}", first.cookie("JSESSIONID").unwrap())))
        .collect();
    apps.push(App::start("app3"));
    program.reload(&text(program.address, &apps, ""), "configuration reloaded");
    for (server, cookie) in &clients {
        let answer = get(program.address, "/", &[cookie]);
        assert_eq!((answer.server(), answer.word("fresh=")), (server.as_str(), "false"), "{answer:?}");
    }
    let news: Vec<_> = (0..60)
        .map(|n| get(program.address, "/", &[&format!("User-Agent: new {n}")]).server().to_owned())
        .collect();
    assert!(news.iter().any(|server| server == "app3"), "{news:?}");
}

#[test]
fn a_bad_file_changes_nothing_and_says_where() {
    let apps = apps(1);
    let program = Program::start(&apps);
    let bad = text(program.address, &apps, "    retires: { attempts: 1 }\n");
    let log = program.reload(&bad, "configuration refused");
    assert!(log.contains("retires") && log.contains("steadfast.yaml:"), "{log}");
    assert_eq!(get(program.address, "/", &[]).status, 200);
    program.reload(&text(program.address, &apps, "    retries: { attempts: 1 }\n"), "configuration reloaded");
}
