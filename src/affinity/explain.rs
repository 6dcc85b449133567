//! The explanation of a decision: each piece of evidence, whether it counted and why not, and the choice.
//!
//! The choice comes from the very function that routes requests; this only describes what it looked at.

use super::decide::{Circumstance, Verdict, decide};
use super::evidence::{Evidence, Source};
use super::policy::Policy;
use crate::names::BackendIndex;
use crate::pool::Pool;

/// Why a request goes where it goes.
#[derive(Debug)]
pub struct Explanation {
    /// Each piece of evidence, in words.
    pub findings: Vec<Finding>,
    /// What was decided.
    pub verdict: Verdict,
    /// Who would be next if the chosen backend were gone.
    pub runner_up: Option<BackendIndex>,
}

/// One piece of evidence, in words.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is, without any secret: never a session id or a token.
    pub what: String,
    /// What it says, or why it counts as absent.
    pub says: String,
}

/// Explains the decision for a request.
pub fn explain(evidence: &Evidence, policy: &Policy, pool: &Pool, at: Circumstance) -> Explanation {
    let mut findings = Vec::new();
    let name_of = |index: BackendIndex| match pool.backend(index) {
        Some(backend) => format!("{} ({})", backend.id(), backend.state(at.now).as_str()),
        None => "a backend that the pool does not have".to_owned(),
    };
    for id in &evidence.ids {
        let what = format!("session id {}", place(id.source, policy));
        if let Some(route) = id.route {
            findings.push(Finding {
                what: what.clone(),
                says: format!("its route suffix names {}", name_of(route)),
            });
        }
        let says = match policy.learned.peek(&id.digest, at.now).map(|tag| pool.find_tag(tag)) {
            Some(Some(home)) => format!("learned: {}", name_of(home)),
            Some(None) => "learned: a backend that is gone".to_owned(),
            None => "not in the learned table".to_owned(),
        };
        findings.push(Finding { what, says });
    }
    for token in &evidence.tokens {
        let home = pool.find_tag(token.backend).map_or_else(|| "a backend that is gone".to_owned(), name_of);
        let vouches = match (
            token.fingerprints.is_empty(),
            evidence.ids.iter().any(|id| token.vouches_for(&id.digest)),
        ) {
            (_, true) => "for this session",
            (true, false) => "without a session id",
            (false, false) if evidence.ids.is_empty() => "for a session that the request does not present",
            (false, false) => "for another session id",
        };
        findings.push(Finding {
            what: "load-balancer cookie".to_owned(),
            says: format!("names {home}, {vouches}"),
        });
    }
    for refused in &evidence.refused {
        findings.push(Finding {
            what: "load-balancer cookie".to_owned(),
            says: format!("counts as absent: {refused}"),
        });
    }
    let verdict = decide(evidence, policy, pool, at);
    let chosen = match &verdict {
        Verdict::To(decision) => Some(decision.backend),
        Verdict::Hold(_) | Verdict::Refuse(_) => None,
    };
    let key = evidence.ids.first().map_or(evidence.contact.key, |id| id.digest.ring_key());
    let key = evidence.tokens.first().map_or(key, |token| token.seed.ring_key(pool.seed()));
    let runner_up = chosen.and_then(|chosen| pool.successor_without(chosen, key, at.now));
    Explanation { findings, verdict, runner_up }
}

fn place(source: Source, policy: &Policy) -> String {
    match source {
        Source::Cookie(at) => {
            let name =
                policy.application_cookies.get(usize::from(at)).map(|name| String::from_utf8_lossy(name));
            format!("in cookie {}", name.unwrap_or_default())
        }
        Source::Path => "in the path".to_owned(),
        Source::Header => "in a header".to_owned(),
        Source::Query => "in the query".to_owned(),
        Source::Hook => "from a hook".to_owned(),
    }
}
