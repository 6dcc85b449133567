//! Log, metrics, explanations, the session book and what clients and applications saw agree, while backends die, come back
//! and drain, and clients lose cookies, forge them and log in.

mod client;
mod compare;
mod foretold;
mod kept;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;
use steadfast::config::checked::BackendState;
use steadfast::lifecycle::BackendChange;

use crate::metrics::{Metered, sum};
use crate::support::app::App;
use crate::support::balancer::apps;
use crate::support::eventually::soon;

use self::foretold::Foretold;

const CLIENTS: usize = 8;
const EACH: usize = 1250;

/// One request as its client saw it.
struct Seen {
    /// The session id that it presented.
    presented: Option<String>,
    status: u16,
    /// What the application said of itself, if it was reached.
    server: Option<String>,
    /// The session id that the application answered with, if it speaks of sessions on that page.
    session: Option<String>,
    /// Whether the application had not known the session before.
    fresh: Option<bool>,
    /// Load-balancer cookies that it presented and that nobody has issued.
    forged: usize,
    /// What the decision had to be, where nothing happened meanwhile.
    foretold: Option<Foretold>,
}

/// What goes on beside the clients.
#[derive(Default)]
struct World {
    answered: AtomicUsize,
    /// Odd while something happens to a backend; another number afterwards.
    incidents: AtomicUsize,
}

impl World {
    /// Once so many thousandths of all requests are answered, this happens.
    fn at(&self, share: usize, happens: impl FnOnce()) {
        while self.answered.load(Ordering::Relaxed) < CLIENTS * EACH * share / 1000 {
            thread::yield_now();
        }
        self.incidents.fetch_add(1, Ordering::SeqCst);
        happens();
        self.incidents.fetch_add(1, Ordering::SeqCst);
    }
}

/// What happens to the backends meanwhile.
fn incidents(metered: &Metered, apps: &[App], world: &World) {
    let change = |backend: &str, state: BackendState| {
        let change = BackendChange { state: Some(state), ..BackendChange::default() };
        metered.control.change("app", backend, &change).unwrap();
    };
    // Twice, as another client may then be in another state.
    for round in [0, 500] {
        world.at(round + 50, || apps[1].stop());
        world.at(round + 125, || apps[1].restart());
        world.at(round + 175, || change("app1", BackendState::Draining));
        world.at(round + 250, || change("app1", BackendState::Up));
        world.at(round + 275, || change("app3", BackendState::Maintenance));
        world.at(round + 325, || change("app3", BackendState::Up));
        world.at(round + 375, || apps[0].stop());
        world.at(round + 450, || apps[0].restart());
    }
}

#[test]
fn log_metrics_explanations_and_what_the_application_saw_agree_in_all_weathers() {
    let apps = apps(3);
    let top = "access_log: { file: { path: access.log } }\n";
    let more = "    retries: { attempts: 2 }\n";
    let listener = "    headers: { request_id: X-Request-Id }\n";
    let metered = Metered::start_with(&apps, "{ listen: 127.0.0.1:0 }", top, listener, more);
    let world = World::default();
    let all = CLIENTS * EACH;
    let (seen, kept) = thread::scope(|scope| {
        let (metered, world) = (&metered, &world);
        let clients: Vec<_> =
            (0..CLIENTS).map(|number| scope.spawn(move || client::run(metered, number, world))).collect();
        let collector =
            scope.spawn(move || kept::collect(metered, || world.answered.load(Ordering::Relaxed) >= all));
        incidents(metered, &apps, world);
        let seen: HashMap<String, Seen> =
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        (seen, collector.join().unwrap())
    });
    assert_eq!(seen.len(), all);
    let path = metered.folder().join("access.log");
    let lines: Vec<Value> = soon("each request has its line", || {
        let text = std::fs::read_to_string(&path).unwrap();
        (text.lines().count() >= all)
            .then(|| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    });
    assert_eq!(lines.len(), all, "one line for each");
    let samples = soon("all is counted", || {
        let samples = metered.samples();
        let counted = sum(&samples, "steadfast_l7_requests_total", &[])
            + sum(&samples, "steadfast_l7_answered_total", &[]);
        (counted == all as f64).then_some(samples)
    });
    compare::log_and_clients_agree(&lines, &seen);
    compare::log_and_applications_agree(&lines, &apps);
    compare::log_and_metrics_agree(&lines, &samples);
    compare::tokens_are_refused_as_often_as_they_are_forged(&seen, &samples);
    compare::log_and_explanations_agree(&lines, &kept);
    let compared = compare::decisions_are_as_foretold(&lines, &seen, &kept);
    println!("{} explanations were kept, {compared} of them had been foretold", kept.len());
}
