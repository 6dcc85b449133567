//! Explanations: of requests that may come, which change nothing, and of those that came.

use std::time::Duration;

use serde_json::{Value, json};
use steadfast::affinity::{self, Circumstance, Evidence, RequestView, Verdict};
use steadfast::names::Reason;

use crate::admin::Administered;
use crate::support::app::App;
use crate::support::balancer::apps;
use crate::support::core::{Jar, Replica, START, Says};
use crate::support::eventually::eventually;
use crate::support::exchange::get;

const ADMIN: &str = "{ listen: 127.0.0.1:0 }";

fn question(headers: &[(&str, &str)], suppose: &[(&str, &str)]) -> Value {
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let suppose: Vec<_> =
        suppose.iter().map(|(backend, state)| json!({ "backend": backend, "state": state })).collect();
    json!({ "url": "/", "headers": headers, "if": suppose })
}

fn explain(balancer: &Administered, headers: &[(&str, &str)], suppose: &[(&str, &str)]) -> Value {
    let answer = balancer.send("POST", "/v1/explain", &question(headers, suppose));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// What an explanation's evidence is worth, in its order.
fn weights(explained: &Value) -> Vec<&str> {
    let evidence = explained["evidence"].as_array().unwrap();
    evidence.iter().map(|clue| clue["weight"].as_str().unwrap()).collect()
}

#[test]
fn asking_is_no_use_of_a_session() {
    let idle = Duration::from_secs(1800);
    for (asks, lives) in [(true, false), (false, true)] {
        let replica = Replica::new(2);
        let mut jar = Jar::default();
        replica.exchange(&mut jar, "a", Says::Session("s1"), START);
        let headers = [(http::header::COOKIE, http::HeaderValue::from_static("JSESSIONID=s1"))];
        let headers = headers.into_iter().collect();
        let request = RequestView {
            target: b"/",
            headers: &headers,
            client: [10, 0, 0, 1].into(),
            connection_choice: None,
            named_session: None,
        };
        let decide = |late: bool, now| {
            let evidence = Evidence::read(&request, &replica.policy, &replica.pool, now);
            let at = Circumstance { now, draw: 0, held: false };
            let how = if late { affinity::foresee } else { affinity::decide };
            match how(&evidence, &replica.policy, &replica.pool, at) {
                Verdict::To(decision) => decision.reason,
                other => panic!("{other:?}"),
            }
        };
        let shortly_before = START.after(idle - Duration::from_secs(10));
        assert_eq!(decide(asks, shortly_before), Reason::Learned);
        let reason = decide(true, START.after(idle + Duration::from_secs(10)));
        assert_eq!(reason == Reason::Learned, lives, "asked: {asks}, then {reason}");
    }
}

#[test]
fn asking_takes_nobodys_turn() {
    let apps = apps(3);
    let pool = "    balance: { algorithm: round_robin }\n    affinity: { mode: none }\n";
    let balancer = Administered::start_with(&apps, ADMIN, pool);
    for _ in 0..12 {
        let foreseen: Vec<_> =
            (0..5).map(|_| explain(&balancer, &[], &[])["backend"].as_str().unwrap().to_owned()).collect();
        assert!(foreseen.iter().all(|backend| *backend == foreseen[0]), "{foreseen:?}");
        assert_eq!(get(balancer.address, "/plain", &[]).server(), foreseen[0]);
    }
}

#[test]
fn each_piece_of_evidence_is_weighed_and_the_next_one_named() {
    let apps = apps(3);
    let balancer = Administered::plain(&apps);
    let first = get(balancer.address, "/", &[]);
    let home = first.server().to_owned();
    let cookies = format!("{}; {}=forged", first.cookies(), balancer_cookie(&first));
    let explained = explain(&balancer, &[("Cookie", &cookies)], &[]);
    assert_eq!(weights(&explained), ["decides", "outranked", "absent"], "{explained:#}");
    assert_eq!((&explained["backend"], &explained["reason"]), (&json!(home), &json!("lb_cookie")));
    assert_eq!(explained["states"].as_array().unwrap().len(), 3, "{explained:#}");
    let next = explained["runner_up"].as_str().unwrap().to_owned();
    assert_ne!(next, home);
    let unknown = explain(&balancer, &[("Cookie", "JSESSIONID=unknown")], &[]);
    assert_eq!((weights(&unknown), &unknown["reason"]), (vec!["decides"], &json!("hash")));

    // What if? And then it happens, and so it is.
    let supposed = explain(&balancer, &[("Cookie", &cookies)], &[(&home, "down")]);
    assert_eq!(weights(&supposed), ["unusable", "unusable", "absent"], "{supposed:#}");
    assert_eq!((&supposed["backend"], &supposed["reason"]), (&json!(next), &json!("moved")));
    let both = explain(&balancer, &[("Cookie", &cookies)], &[(&home, "maintenance"), (&next, "draining")]);
    assert!(both["backend"] != home.as_str() && both["backend"] != next.as_str(), "{both:#}");
    let drained = explain(&balancer, &[("Cookie", &cookies)], &[(&home, "draining")]);
    assert_eq!((&drained["backend"], &drained["reason"]), (&json!(home), &json!("lb_cookie")), "drained");
    let again = get(balancer.address, "/", &[&format!("Cookie: {}", first.cookies())]);
    assert_eq!(again.server(), home, "supposing changes nothing");
    apps.iter().find(|app| app.name == home).unwrap().stop();
    let moved = get(balancer.address, "/", &[&format!("Cookie: {}", first.cookies())]);
    assert_eq!(moved.server(), next, "the runner-up");
    let refused = balancer.send("POST", "/v1/explain", &question(&[], &[("none", "up")]));
    assert_eq!(refused.code(), (404, "unknown_backend"), "{refused:?}");
}

/// The name of the load-balancer cookie.
fn balancer_cookie(answer: &crate::support::exchange::Response) -> String {
    answer.cookie("steadfast-").unwrap().split_once('=').unwrap().0.to_owned()
}

#[tokio::test]
async fn recent_requests_are_explained_with_what_became_of_their_sessions() {
    let apps: Vec<App> = apps(3);
    let balancer = Administered::plain(&apps);
    let first = get(balancer.address, "/shop/cart?id=7", &[]);
    let home = apps.iter().find(|app| app.name == first.server()).unwrap();
    home.stop();
    let moved = get(balancer.address, "/shop/cart", &[&format!("Cookie: {}", first.cookies())]);
    // A record is written when the request ends, a moment after its answer.
    let requests = eventually("both are kept", async || {
        let answer = balancer.get("/v1/requests").body;
        let requests = answer["requests"].as_array().unwrap().clone();
        (requests.len() == 2).then_some(requests)
    })
    .await;
    let (latest, before) = (&requests[0], &requests[1]);
    assert_eq!((&before["reason"], &before["outcome"]), (&json!("new"), &json!("started")), "{before:#}");
    assert_eq!((&latest["reason"], &latest["outcome"]), (&json!("moved"), &json!("lost_after_move")));
    assert_eq!((&latest["left"], &latest["backend"]), (&json!(home.name), &json!(moved.server())));
    assert_eq!(
        (&latest["method"], &latest["path"], &latest["status"]),
        (&json!("GET"), &json!("/shop"), &json!(200))
    );
    let one = balancer.get(&format!("/v1/requests/{}", latest["number"])).body;
    assert_eq!(weights(&one), ["unusable", "unusable"], "{one:#}");
    assert!(one["evidence"][0]["why"].as_str().unwrap().contains(&home.name), "{one:#}");
    let state = one["states"].as_array().unwrap().iter().find(|state| state["backend"] == home.name.as_str());
    assert_ne!(state.unwrap()["state"], "up", "as it was then: {one:#}");
    let secret = first.cookie("JSESSIONID").unwrap().split_once('=').unwrap().1.to_owned();
    assert!(!one.to_string().contains(&secret), "no session id");
    assert_eq!(balancer.get("/v1/requests/999").code(), (404, "unknown_request"));
}
