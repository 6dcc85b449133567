//! Recent requests: where they went, why, and what became of their sessions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::Refusal;
use super::app::Api;
use super::call::Call;
use super::explain::Clue;
use crate::telemetry::{Note, Record};

/// Recent requests, the latest first.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RecentRequests {
    /// Not each of them: some in each second, and moves, losses, guesses and refusals rather than others.
    pub(crate) requests: Vec<RequestSummary>,
}

/// One recent request in short.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RequestSummary {
    /// What it can be asked for by.
    pub(crate) number: u64,
    /// Its own id; null: it has none.
    pub(crate) request_id: Option<String>,
    /// When it ended, in seconds since 1970.
    pub(crate) at_s: u64,
    pub(crate) method: String,
    /// The first segment of its path; `/…` where that may not be a name.
    pub(crate) path: String,
    pub(crate) pool: String,
    /// Who served it; null: nobody.
    pub(crate) backend: Option<String>,
    /// The backend that its session left, as far as its load-balancer cookie told.
    pub(crate) left: Option<String>,
    /// Why it went there, or why nobody served it.
    pub(crate) reason: String,
    /// What became of its session.
    pub(crate) outcome: String,
    /// The status that the client saw; 0: none.
    pub(crate) status: u16,
    /// Tries after the first.
    pub(crate) retries: u32,
    /// Why it went there, in a sentence.
    pub(crate) because: String,
}

/// One recent request, explained.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RecentRequest {
    pub(crate) request: RequestSummary,
    /// What it said about its session, strongest first.
    pub(crate) evidence: Vec<Clue>,
    /// The backends and their states when it was decided; of a big pool, only those that matter.
    pub(crate) states: Vec<StateThen>,
    /// Who would have been next.
    pub(crate) runner_up: Option<String>,
}

/// A backend and the state that it was in.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StateThen {
    pub(crate) backend: String,
    pub(crate) state: String,
}

/// All recent requests that are kept.
pub(super) fn all(api: &Api, _: &Call<'_>) -> Result<RecentRequests, Refusal> {
    Ok(RecentRequests { requests: api.recent.all().iter().map(|record| summary(record)).collect() })
}

/// One recent request.
pub(super) fn one(api: &Api, call: &Call<'_>) -> Result<RecentRequest, Refusal> {
    let found = api.recent.find(call.request_id.unwrap_or_default());
    let record = found.ok_or_else(|| {
        let help = "only the latest are kept: GET /v1/requests names them";
        Refusal::unknown("unknown_request", "there is no such request, or not any more", help)
    })?;
    let trace = &record.trace;
    let state = |(backend, state): &(crate::names::BackendId, &str)| StateThen {
        backend: backend.to_string(),
        state: (*state).to_owned(),
    };
    Ok(RecentRequest {
        request: summary(&record),
        evidence: trace.notes.iter().map(clue).collect(),
        states: trace.states.iter().map(state).collect(),
        runner_up: trace.runner_up.as_ref().map(ToString::to_string),
    })
}

fn clue(note: &Note) -> Clue {
    let Note { what, says, weight, why } = note.clone();
    Clue { what, says, weight: weight.to_owned(), why }
}

pub(super) fn summary(record: &Record) -> RequestSummary {
    let text = |text: &dyn ToString| text.to_string();
    RequestSummary {
        number: record.number,
        request_id: record.request_id.as_deref().map(str::to_owned),
        at_s: record.at_s,
        method: text(&record.method),
        path: text(&record.path),
        pool: text(&record.pool),
        backend: record.backend.as_ref().map(|backend| text(backend)),
        left: record.left.as_ref().map(|left| text(left)),
        reason: record.reason.to_owned(),
        outcome: record.outcome.as_str().to_owned(),
        status: record.status,
        retries: record.retries,
        because: record.trace.because.clone(),
    }
}
