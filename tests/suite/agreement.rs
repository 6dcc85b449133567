//! Log, metrics, the session book and what clients and applications saw agree, while backends die, come back and drain.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;
use steadfast::config::checked::BackendState;
use steadfast::lifecycle::BackendChange;

use crate::metrics::{Metered, Samples, sum};
use crate::support::app::App;
use crate::support::balancer::apps;
use crate::support::eventually::soon;
use crate::support::exchange::get;

const CLIENTS: usize = 8;
const EACH: usize = 400;

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
}

/// Asks for random pages with a browser's cookies; what was seen, by the name that the request had.
fn client(metered: &Metered, number: usize, progress: &AtomicUsize) -> Vec<(String, Seen)> {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(number as u64 + 1);
    let mut draw = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let (mut id, mut token) = (None::<String>, None::<String>);
    let mut seen = Vec::new();
    for n in 0..EACH {
        // Another user of the machine, now and then.
        if draw(40) == 0 {
            (id, token) = (None, None);
        } else if draw(40) == 0 {
            // A browser that has lost one of its cookies.
            token = None;
        }
        let path = ["/", "/", "/", "/login", "/logout", "/plain", "/static", "/reset"]
            [usize::try_from(draw(8)).unwrap()];
        let name = format!("r{number}-{n}");
        let cookies: Vec<_> = id.iter().map(|id| format!("JSESSIONID={id}")).chain(token.clone()).collect();
        let mut fields = vec![format!("User-Agent: {name}")];
        if !cookies.is_empty() {
            fields.push(format!("Cookie: {}", cookies.join("; ")));
        }
        let fields: Vec<_> = fields.iter().map(String::as_str).collect();
        let answer = get(metered.address, path, &fields);
        let says = |key: &str| answer.body.contains(key).then(|| answer.word(key).to_owned());
        seen.push((
            name,
            Seen {
                presented: id.clone(),
                status: answer.status,
                server: says("server="),
                session: says("session="),
                fresh: says("fresh=").map(|word| word == "true"),
            },
        ));
        for line in answer.all("set-cookie") {
            let pair = line.split(';').next().unwrap().to_owned();
            let (cookie, value) = pair.split_once('=').unwrap();
            let kept = Some(value.to_owned()).filter(|value| !value.is_empty());
            match cookie {
                "JSESSIONID" => id = kept,
                _ => token = kept.map(|_| pair.clone()),
            }
        }
        progress.fetch_add(1, Ordering::Relaxed);
    }
    seen
}

/// What happens to the backends meanwhile, each when so many requests were answered.
fn incidents(metered: &Metered, apps: &[App], progress: &AtomicUsize) {
    let change = |backend: &str, state: BackendState| {
        let change = BackendChange { state: Some(state), ..BackendChange::default() };
        metered.control.change("app", backend, &change).unwrap();
    };
    let wait_for = |share: usize| {
        while progress.load(Ordering::Relaxed) < CLIENTS * EACH * share / 10 {
            thread::yield_now();
        }
    };
    wait_for(1);
    apps[1].stop();
    wait_for(3);
    apps[1].restart();
    wait_for(4);
    change("app1", BackendState::Draining);
    wait_for(6);
    change("app1", BackendState::Up);
    change("app3", BackendState::Maintenance);
    wait_for(7);
    change("app3", BackendState::Up);
    apps[0].stop();
    wait_for(9);
    apps[0].restart();
}

fn word(line: &Value, field: &str) -> String {
    line[field].as_str().unwrap_or("-").to_owned()
}

#[test]
fn log_metrics_and_what_the_application_saw_agree_in_all_weathers() {
    let apps = apps(3);
    let top = "access_log: { file: { path: access.log } }\n";
    let metered =
        Metered::start_with(&apps, "{ listen: 127.0.0.1:0 }", top, "    retries: { attempts: 2 }\n");
    let progress = AtomicUsize::new(0);
    let seen: HashMap<String, Seen> = thread::scope(|scope| {
        let (metered, progress) = (&metered, &progress);
        let clients: Vec<_> =
            (0..CLIENTS).map(|number| scope.spawn(move || client(metered, number, progress))).collect();
        incidents(metered, &apps, progress);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let all = CLIENTS * EACH;
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
    log_and_clients_agree(&lines, &seen);
    log_and_metrics_agree(&lines, &samples);
    for app in &apps {
        let reached =
            lines.iter().filter(|line| line["backend"] == app.name.as_str() && line["status"] == 200);
        assert!(reached.count() as u64 <= app.requests(), "{} was asked by nobody else", app.name);
    }
}

fn log_and_clients_agree(lines: &[Value], seen: &HashMap<String, Seen>) {
    let (mut marks, mut ids) = (HashMap::new(), HashMap::new());
    let (mut moved, mut lost, mut kept) = (0, 0, 0);
    for line in lines {
        let seen = &seen[&word(line, "user_agent")];
        assert_eq!(line["status"], seen.status, "{line}");
        if let Some(server) = &seen.server {
            assert_eq!(&word(line, "backend"), server, "the backend is the one that answered: {line}");
        }
        // A mark stands for one session, and a session has one mark.
        for (id, mark) in [(&seen.presented, "session"), (&seen.session, "new_session")] {
            let (Some(id), Some(mark)) = (id, line[mark].as_str()) else { continue };
            assert_eq!(marks.entry(id.clone()).or_insert_with(|| mark.to_owned()), mark, "{line}");
            assert_eq!(ids.entry(mark.to_owned()).or_insert_with(|| id.clone()), id, "{line}");
        }
        let outcome = word(line, "outcome");
        match (seen.fresh, &seen.presented) {
            // The application knew the session that was presented.
            (Some(false), Some(_)) => {
                kept += 1;
                assert!(["kept", "rotated", "moved", "bound"].contains(&outcome.as_str()), "{line}");
            }
            (Some(true), None) => assert!(["started"].contains(&outcome.as_str()), "{line}"),
            // It did not: what its client had is gone. Whether it was a loss, only the one that looks on can tell.
            (Some(true), Some(_)) => {
                lost += 1;
                assert!(outcome.starts_with("lost_") || outcome == "rotated", "{line}");
                let reason = word(line, "reason");
                assert_eq!(outcome == "lost_after_move", reason == "moved", "{line}");
                assert_eq!(
                    outcome == "lost_no_proof",
                    ["hash", "conflict"].contains(&reason.as_str()),
                    "{line}"
                );
            }
            (Some(false), None) => panic!("the application knows a session that nobody presented: {line}"),
            (None, _) => {}
        }
        moved += usize::from(word(line, "reason") == "moved");
    }
    assert!(kept > 0 && lost > 0 && moved > 0, "the weather was rough: {kept} {lost} {moved}");
}

fn log_and_metrics_agree(lines: &[Value], samples: &Samples) {
    let mut requests: BTreeMap<(String, String, String), f64> = BTreeMap::new();
    let mut outcomes: BTreeMap<(String, String), f64> = BTreeMap::new();
    let mut sent: BTreeMap<String, f64> = BTreeMap::new();
    let (mut answered, mut refused, mut retries) = (0.0, 0.0, 0.0);
    for line in lines {
        let backend = word(line, "backend");
        if backend == "-" {
            answered += 1.0;
            refused += if line["reason"].is_string() { 1.0 } else { 0.0 };
            continue;
        }
        let code = match line["status"].as_u64().unwrap() {
            0 => "none".to_owned(),
            status => format!("{}xx", status / 100),
        };
        *requests.entry((backend.clone(), code, word(line, "reason"))).or_default() += 1.0;
        *outcomes.entry((backend.clone(), word(line, "outcome"))).or_default() += 1.0;
        *sent.entry(backend).or_default() += line["sent"].as_f64().unwrap();
        retries += line["retries"].as_f64().unwrap();
    }
    for ((backend, code, reason), count) in &requests {
        let labels =
            [format!("backend=\"{backend}\""), format!("code=\"{code}\""), format!("reason=\"{reason}\"")];
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        assert_eq!(sum(samples, "steadfast_l7_requests_total", &labels), *count, "{labels:?}");
    }
    assert_eq!(sum(samples, "steadfast_l7_requests_total", &[]), requests.values().sum::<f64>());
    assert_eq!(sum(samples, "steadfast_l7_answered_total", &[]), answered);
    assert_eq!(sum(samples, "steadfast_l7_refused_total", &[]), refused);
    assert_eq!(sum(samples, "steadfast_l7_retries_total", &[]), retries);
    for (backend, bytes) in sent {
        let label = format!("backend=\"{backend}\"");
        assert_eq!(sum(samples, "steadfast_l7_sent_bytes_total", &[&label]), bytes, "{backend}");
        let of =
            |outcome: &str| outcomes.get(&(backend.clone(), outcome.to_owned())).copied().unwrap_or_default();
        let metric = |name: &str, more: &str| {
            let labels: Vec<_> =
                [label.as_str(), more].into_iter().filter(|label| !label.is_empty()).collect();
            sum(samples, &format!("steadfast_affinity_sessions_{name}_total"), &labels)
        };
        assert_eq!(metric("rotated", ""), of("rotated"), "{backend}");
        assert_eq!(metric("released", ""), of("released"), "{backend}");
        assert_eq!(metric("bound", ""), of("bound"), "{backend}");
        assert_eq!(metric("moved", "direction=\"in\""), of("moved"), "{backend}");
        assert_eq!(metric("lost", "class=\"after_move\""), of("lost_after_move"), "{backend}");
        assert_eq!(metric("lost", "class=\"no_proof\""), of("lost_no_proof"), "{backend}");
        // Those that turn out to be lost with another one were called rotated before.
        assert!(metric("lost", "class=\"at_home\"") >= of("lost_at_home"), "{backend}");
    }
    let phases = |phase: &str| {
        sum(samples, "steadfast_l7_request_duration_seconds_count", &[&format!("phase=\"{phase}\"")])
    };
    assert_eq!(phases("whole"), requests.values().sum::<f64>());
    let connects =
        lines.iter().filter(|line| line["connect_ms"].is_number() && line["backend"].is_string()).count();
    assert_eq!(phases("connect"), connects as f64);
}
