//! Explanations of requests as they are decided, for whoever asks afterwards. Some of them, within bounds; without an
//! admin API nobody can ask, and nothing is done.

use http::HeaderValue;
use pingora::proxy::Session;

use super::context::Placed;
use super::proxy::Proxy;
use crate::affinity::{self, Circumstance, Decision, Evidence, Explanation, Refusal, Verdict};
use crate::clock::Now;
use crate::names::{BackendId, BackendIndex, Outcome};
use crate::pool::Pool;
use crate::snapshot::ServedPool;
use crate::telemetry::{Note, Record, Trace, first_segment, is_loss};

/// States of more backends than this are not copied.
const MOST_STATES: usize = 12;

/// Explains a decision that was just made, if there is time for that.
pub(super) fn decided(
    proxy: &Proxy,
    served: &ServedPool,
    evidence: &Evidence,
    decision: &Decision,
    now: Now,
) -> Option<Box<Trace>> {
    let recent = proxy.recent.as_ref()?;
    recent.wants(decision.reason, now).then(|| Box::new(trace_of(served, evidence, decision, now)))
}

/// Keeps a record of a request that nobody can serve.
pub(super) fn refused(
    proxy: &Proxy,
    session: &Session,
    request_id: Option<&HeaderValue>,
    served: &ServedPool,
    evidence: &Evidence,
    refusal: Refusal,
) {
    let Some(recent) = &proxy.recent else { return };
    let now = Now::read();
    if !recent.wants_refusal(now) {
        return;
    }
    let at = Circumstance { now, draw: 0, held: true };
    let verdict = Verdict::Refuse(refusal);
    let explanation = affinity::explain_decided(verdict, evidence, &served.policy, &served.pool, at);
    let trace = in_words(explanation, &served.pool, now);
    let status = http::StatusCode::SERVICE_UNAVAILABLE.as_u16();
    let ended = Ended { reason: refusal.as_str(), outcome: Outcome::Kept, status, retries: 0 };
    let record = record(session, &served.pool, None, None, ended, trace, now);
    recent.keep(Record { request_id: text(request_id), ..record });
}

/// Keeps a record of a request that has ended, if it was explained, or if its session turns out to be lost.
pub(super) fn ended(
    proxy: &Proxy,
    session: &Session,
    request_id: Option<&HeaderValue>,
    placed: &mut Placed,
    status: Option<u16>,
) {
    let Some(recent) = &proxy.recent else { return };
    if placed.trace.is_none() && !is_loss(placed.outcome) {
        // Nearly all: not even the time is asked for.
        return;
    }
    let now = Now::read();
    let trace = match placed.trace.take() {
        Some(trace) => *trace,
        None if recent.wants_after_all(placed.outcome, now) => {
            trace_of(&placed.served, &placed.evidence, &placed.decision, now)
        }
        None => return,
    };
    let pool = &placed.served.pool;
    let backend = pool.backend(placed.backend()).map(|backend| backend.id().clone());
    let left = placed.moved_from.and_then(|index| pool.backend(index)).map(|left| left.id().clone());
    let ended = Ended {
        reason: placed.decision.reason.as_str(),
        outcome: placed.outcome,
        status: status.unwrap_or(0),
        retries: placed.retries,
    };
    let record = record(session, pool, backend, left, ended, trace, now);
    recent.keep(Record { request_id: text(request_id), ..record });
}

fn text(request_id: Option<&HeaderValue>) -> Option<Box<str>> {
    request_id.and_then(|id| id.to_str().ok()).map(Into::into)
}

struct Ended {
    reason: &'static str,
    outcome: Outcome,
    status: u16,
    retries: u32,
}

fn record(
    session: &Session,
    pool: &Pool,
    backend: Option<BackendId>,
    left: Option<BackendId>,
    ended: Ended,
    trace: Trace,
    now: Now,
) -> Record {
    let head = session.req_header();
    Record {
        number: 0,
        request_id: None,
        at_s: now.unix_s,
        method: head.method.as_str().chars().take(16).collect(),
        path: first_segment(head.raw_path()).into(),
        pool: pool.name().clone(),
        backend,
        left,
        reason: ended.reason,
        outcome: ended.outcome,
        status: ended.status,
        retries: ended.retries,
        trace,
    }
}

fn trace_of(served: &ServedPool, evidence: &Evidence, decision: &Decision, now: Now) -> Trace {
    let at = Circumstance { now, draw: 0, held: true };
    let verdict = Verdict::To(decision.clone());
    let explanation = affinity::explain_decided(verdict, evidence, &served.policy, &served.pool, at);
    in_words(explanation, &served.pool, now)
}

fn in_words(explanation: Explanation, pool: &Pool, now: Now) -> Trace {
    let Explanation { findings, verdict, because, runner_up } = explanation;
    let id = |index: BackendIndex| Some(pool.backend(index)?.id().clone());
    let chosen = match &verdict {
        Verdict::To(decision) => Some(decision.backend),
        Verdict::Hold(home) => Some(*home),
        Verdict::Refuse(_) => None,
    };
    let all = pool.backends().len() <= MOST_STATES;
    let matters = |index: &BackendIndex| all || Some(*index) == chosen || Some(*index) == runner_up;
    let state = |index: BackendIndex| {
        let backend = pool.backend(index)?;
        Some((backend.id().clone(), backend.state(now).as_str()))
    };
    let notes = findings.into_iter().map(|finding| Note {
        what: finding.what,
        says: finding.says,
        weight: finding.weight.as_str(),
        why: finding.why,
    });
    Trace {
        because,
        notes: notes.collect(),
        states: pool.indexes().filter(matters).filter_map(state).collect(),
        runner_up: runner_up.and_then(id),
    }
}
