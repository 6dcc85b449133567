//! Lost sessions are seen: a backend that restarts without a failed check, in virtual time; and ids that the
//! application has replaced stay known for requests in flight.

use std::time::Duration;

use steadfast::clock::Now;
use steadfast::names::{Epoch, Outcome, Reason};

use crate::support::core::{Exchange, Jar, Replica, START, Says};

fn at(seconds: u64) -> Now {
    START.after(Duration::from_secs(seconds))
}

/// Users of `app1`, in use for five minutes, and the end of these.
fn office(replica: &Replica, count: usize) -> (Vec<Jar>, u64) {
    let mut users = Vec::new();
    for n in 0..count {
        let mut jar = Jar::default();
        let first =
            replica.exchange(&mut jar, &format!("user {n}"), Says::Session(&format!("old{n}")), at(0));
        assert_eq!((first.server.as_str(), first.outcome), ("app1", Outcome::Started));
        users.push(jar);
    }
    for second in (0..300).step_by(10) {
        for user in &mut users {
            let kept = replica.exchange(user, "", Says::Nothing, at(second));
            assert_eq!((kept.reason, kept.outcome), (Reason::LbCookie, Outcome::Kept));
        }
    }
    (users, 300)
}

/// Everybody comes back, and the application knows nobody.
fn lose(replica: &Replica, users: &mut [Jar], from: u64) -> Vec<Exchange> {
    let lose = |(n, user): (usize, &mut Jar)| {
        replica.exchange(user, "", Says::Session(&format!("new{n}")), at(from + n as u64 / 4))
    };
    users.iter_mut().enumerate().map(lose).collect()
}

#[test]
fn a_restart_that_no_check_saw_is_reported_with_all_its_losses() {
    let replica = Replica::new(1);
    let (mut users, end) = office(&replica, 12);
    let exchanges = lose(&replica, &mut users, end);
    let outcomes: Vec<_> = exchanges.iter().map(|exchange| exchange.outcome).collect();
    assert_eq!(outcomes[..5], [Outcome::Rotated; 5], "a few may be logins");
    assert_eq!(outcomes[5..], [Outcome::LostAtHome; 7]);
    let restarts: Vec<_> = exchanges.iter().filter_map(|exchange| exchange.restart).collect();
    assert_eq!(restarts.len(), 1, "reported once");
    assert_eq!(restarts[0].lost, 6, "with those that were called rotations");
    assert_eq!(replica.backend("app1").epoch(), Epoch(1));
    let login = replica.exchange(&mut users[0], "", Says::Session("login"), at(end + 60));
    assert_eq!((login.reason, login.outcome), (Reason::LbCookie, Outcome::Rotated), "life goes on");
}

#[test]
fn one_application_cookie_without_ours_is_proof_too() {
    let replica = Replica::new(1);
    let (mut users, end) = office(&replica, 12);
    users.iter_mut().for_each(|user| user.ours = None);
    let exchanges = lose(&replica, &mut users, end);
    assert!(exchanges.iter().all(|exchange| exchange.reason == Reason::Learned));
    let lost = exchanges.iter().filter(|exchange| exchange.outcome == Outcome::LostAtHome).count();
    assert_eq!(lost, 7, "and five before");
}

#[test]
fn pictures_say_nothing_and_guesses_prove_nothing() {
    let replica = Replica::new(1);
    let mut users: Vec<Jar> = Vec::new();
    for n in 0..12 {
        let mut jar = Jar::default();
        replica.exchange(&mut jar, &format!("user {n}"), Says::Session(&format!("old{n}")), at(0));
        users.push(jar);
    }
    for second in (0..300).step_by(10) {
        users.iter_mut().for_each(|user| drop(replica.exchange(user, "", Says::Picture, at(second))));
    }
    let exchanges = lose(&replica, &mut users, 300);
    assert!(exchanges.iter().all(|exchange| exchange.restart.is_none()), "nobody was confirmed");
    for n in 0..100 {
        let mut stranger = Jar { session: Some(format!("unknown{n}")), ours: None };
        let guess = replica.exchange(&mut stranger, "", Says::Session(&format!("fresh{n}")), at(400));
        assert_eq!((guess.outcome, guess.restart), (Outcome::LostNoProof, None));
    }
}

#[test]
fn only_tokens_from_before_the_restart_are_gone() {
    let mut replica = Replica::new(2);
    let live = |replica: &Replica, id: &str| std::sync::Arc::clone(replica.backend(id).live());
    let bind = |replica: &Replica, agent: &str, id: &str, now| {
        let mut jar = Jar::default();
        (replica.exchange(&mut jar, agent, Says::Session(id), now).server, jar)
    };
    let (home, before) = bind(&replica, "early", "s1", at(0));
    let mut same = (0..).map(|n| bind(&replica, &format!("late {n}"), &format!("l{n}"), at(100)));
    let (_, after) = same.find(|(server, _)| *server == home).unwrap();
    // Felt later than it happened: both tokens are of the first epoch.
    live(&replica, &home).raise_epoch(u32::try_from(at(90).unix_s).unwrap());
    replica.forget();
    let (_, decision) = replica.decide(&after, "", at(200));
    assert_eq!(
        (replica.pool.backend(decision.backend).unwrap().id().as_str(), decision.reason),
        (home.as_str(), Reason::LbCookie),
        "its backend holds it"
    );
    let (_, decision) = replica.decide(&before, "", at(200));
    assert_eq!(decision.reason, Reason::Moved, "no longer pinned to a backend that has forgotten it");
    let lost = replica.exchange(&mut before.clone(), "", Says::Session("s9"), at(201));
    assert_eq!((lost.reason, lost.outcome), (Reason::Moved, Outcome::LostAtHome), "and that is why");
}

#[test]
fn replicas_that_have_seen_different_restarts_pass_sessions_back_and_forth() {
    let (mut one, mut two) = (Replica::new(1), Replica::new(1));
    one.backend("app1").live().raise_epoch(u32::try_from(at(0).unix_s).unwrap());
    let mut of_one = Jar::default();
    one.exchange(&mut of_one, "a", Says::Session("s1"), at(10));
    let mut of_two = Jar::default();
    two.exchange(&mut of_two, "b", Says::Session("s2"), at(10));
    for round in 0..5 {
        one.forget();
        two.forget();
        for jar in [&mut of_one, &mut of_two] {
            for replica in [&one, &two] {
                let kept = replica.exchange(jar, "", Says::Nothing, at(20 + round));
                assert_eq!((kept.reason, kept.outcome), (Reason::LbCookie, Outcome::Kept));
                assert!(!kept.given_token, "nobody overwrites the other's token");
            }
        }
    }
    // A session of the higher epoch that is renamed by the other replica keeps it.
    two.exchange(&mut of_one, "", Says::Session("s3"), at(30));
    let (evidence, _) = one.decide(&of_one, "", at(31));
    assert_eq!(evidence.tokens[0].epoch, Epoch(1));
}

#[test]
fn a_replaced_id_stays_known_for_requests_in_flight() {
    let replica = Replica::new(7);
    let mut jar = Jar::default();
    let home = replica.exchange(&mut jar, "a", Says::Session("first"), at(0)).server;
    let in_flight = jar.clone();
    replica.exchange(&mut jar, "", Says::Session("second"), at(10));
    let goes = |jar: &Jar, second| {
        let (_, decision) = replica.decide(jar, "", at(second));
        (replica.pool.backend(decision.backend).unwrap().id().to_string(), decision.reason)
    };
    // With the old token, with none, and with the new one that no longer vouches for it.
    assert_eq!(goes(&in_flight, 69), (home.clone(), Reason::LbCookie));
    let bare = Jar { ours: None, ..in_flight.clone() };
    assert_eq!(goes(&bare, 69), (home.clone(), Reason::Learned));
    let mixed = Jar { ours: jar.ours.clone(), ..in_flight.clone() };
    assert_eq!(goes(&mixed, 69), (home.clone(), Reason::Learned));
    assert_eq!(goes(&bare, 70).1, Reason::Hash, "sixty seconds are enough");
    assert_eq!(goes(&mixed, 70), (home.clone(), Reason::Conflict), "but the token leads home all the same");
    assert_eq!(goes(&in_flight, 3600), (home, Reason::LbCookie), "and so does the old one");
}
