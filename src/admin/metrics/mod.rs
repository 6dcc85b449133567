//! `GET /metrics`: everything that is counted and known, gathered for one scrape.

mod pools;
mod whole;

use http::header;

use super::answer::{Answer, Refusal};
use super::app::Api;
use super::call::Call;
use crate::clock::Now;
use crate::telemetry::{Exposition, Format};

/// Answers a scrape.
pub(super) fn answer(api: &Api, call: &Call<'_>) -> Result<Answer, Refusal> {
    let accept = call.request.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accept);
    let (mut to, now) = (Exposition::default(), Now::read());
    let snapshot = api.current.load();
    whole::gather(api, &snapshot, &mut to);
    for served in &snapshot.pools {
        pools::gather(served, now, &mut to);
    }
    Ok(Answer::text(format.content_type(), to.encode(format)))
}
