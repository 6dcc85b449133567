//! What has to be equal, whoever tells it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::Seen;
use super::kept::Kept;
use crate::metrics::{Samples, sum};
use crate::support::app::App;

fn word(line: &Value, field: &str) -> String {
    line[field].as_str().unwrap_or("-").to_owned()
}

pub(super) fn log_and_clients_agree(lines: &[Value], seen: &HashMap<String, Seen>) {
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

pub(super) fn log_and_metrics_agree(lines: &[Value], samples: &Samples) {
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

/// Each application saw the requests that ended there, and no other but those that were tried elsewhere, too.
pub(super) fn log_and_applications_agree(lines: &[Value], apps: &[App]) {
    let by_name: HashMap<String, &Value> =
        lines.iter().map(|line| (word(line, "user_agent"), line)).collect();
    for app in apps {
        let saw: BTreeSet<String> = app.agents().into_iter().collect();
        for line in lines.iter().filter(|line| line["backend"] == app.name.as_str() && line["status"] == 200)
        {
            assert!(saw.contains(&word(line, "user_agent")), "{} never saw {line}", app.name);
        }
        for name in &saw {
            let line = by_name[name];
            let was_here = line["backend"] == app.name.as_str();
            assert!(was_here || line["retries"].as_u64() > Some(0), "{} saw {line}", app.name);
        }
    }
}

/// What is no token of ours is counted once for each time that it was presented.
pub(super) fn tokens_are_refused_as_often_as_they_are_forged(
    seen: &HashMap<String, Seen>,
    samples: &Samples,
) {
    let forged: usize = seen.values().map(|seen| seen.forged).sum();
    assert!(forged > 0);
    assert_eq!(sum(samples, "steadfast_affinity_tokens_refused_total", &[]), forged as f64);
}

/// What is told of a request by its id is what its line says, and its evidence leads where it went.
pub(super) fn log_and_explanations_agree(lines: &[Value], kept: &Kept) {
    let by_id: HashMap<String, &Value> = lines.iter().map(|line| (word(line, "request_id"), line)).collect();
    assert_eq!(by_id.len(), lines.len(), "each request has an id of its own");
    let mut reasons = BTreeSet::new();
    for (id, explained) in kept {
        let (line, told) = (by_id[id], &explained["request"]);
        for field in ["pool", "backend", "reason", "outcome", "retries", "status", "method"] {
            assert_eq!(told[field], line[field], "{field} of {told}, and of {line}");
        }
        let (backend, reason) = (word(line, "backend"), word(line, "reason"));
        let deciding: Vec<_> = explained["evidence"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|clue| clue["weight"] == "decides")
            .map(|clue| word(clue, "says"))
            .collect();
        match reason.as_str() {
            "lb_cookie" | "learned" | "conflict" => {
                assert_eq!(deciding.len(), 1, "{explained:#}");
                assert!(deciding[0].contains(&backend), "{explained:#}");
            }
            "hash" => assert_eq!(deciding.len(), 1, "{explained:#}"),
            _ => assert!(deciding.is_empty(), "{explained:#}"),
        }
        reasons.insert(reason);
    }
    for reason in ["lb_cookie", "learned", "conflict", "hash", "moved", "new"] {
        assert!(reasons.contains(reason), "some were {reason}: {reasons:?}");
    }
}

/// Where nothing happened between the question and the answer, the request went where the pure function had said, for the
/// same reason, by the same evidence. Tells how many could be compared with their explanations.
pub(super) fn decisions_are_as_foretold(lines: &[Value], seen: &HashMap<String, Seen>, kept: &Kept) -> usize {
    let mut compared = BTreeMap::<String, usize>::new();
    let mut explained = 0;
    for line in lines {
        let Some(foretold) = &seen[&word(line, "user_agent")].foretold else { continue };
        if line["retries"].as_u64() > Some(0) {
            continue;
        }
        assert_eq!(word(line, "reason"), foretold.reason, "{line}");
        // Newcomers go by how many came lately, and others come meanwhile.
        if foretold.reason != "new" {
            assert_eq!(line["backend"].as_str(), foretold.backend.as_deref(), "{line}");
        }
        if let Some(kept) = kept.get(&word(line, "request_id")) {
            let evidence = kept["evidence"].as_array().unwrap().iter();
            let weights: Vec<_> = evidence.map(|clue| word(clue, "weight")).collect();
            assert_eq!(weights, foretold.weights, "{kept:#}");
            explained += 1;
        }
        *compared.entry(foretold.reason.to_owned()).or_default() += 1;
    }
    for reason in ["lb_cookie", "learned", "new"] {
        assert!(compared.contains_key(reason), "some of each reason were foretold: {compared:?}");
    }
    explained
}
