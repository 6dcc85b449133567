//! Limits of requests in a time: one too many is answered with 429.

use std::time::Duration;

use http::HeaderMap;

use super::context::Client;
use crate::affinity::Evidence;
use crate::clock::Now;
use crate::limits::{By, RequestLimit};
use crate::snapshot::ServedListener;
use crate::telemetry::LimitedBy;

/// Counts a request by its client and its header fields; gives how long to wait, if it is one too many.
pub(super) fn before_the_route(
    listener: Option<&ServedListener>,
    client: Client,
    headers: &HeaderMap,
    now: Now,
) -> Option<Duration> {
    over(listener, |limit| match limit.by() {
        By::Client(prefix) => limit.client(*prefix, client.address, now),
        By::Header(name) => headers.get(name).map_or(Ok(()), |value| limit.key(value.as_bytes(), now)),
        By::Session => Ok(()),
    })
}

/// Counts a request by its session; gives how long to wait, if it is one too many.
pub(super) fn by_session(
    listener: Option<&ServedListener>,
    evidence: &Evidence,
    now: Now,
) -> Option<Duration> {
    over(listener, |limit| match (limit.by(), evidence.ids.first(), evidence.tokens.first()) {
        (By::Session, Some(id), _) => limit.key(&id.digest.0, now),
        (By::Session, None, Some(token)) => limit.key(&token.seed.0.to_le_bytes(), now),
        (By::Session, None, None) | (By::Client(_) | By::Header(_), ..) => Ok(()),
    })
}

fn over(
    listener: Option<&ServedListener>,
    count: impl Fn(&RequestLimit) -> Result<(), Duration>,
) -> Option<Duration> {
    let listener = listener?;
    let (limit, wait) =
        listener.requests.iter().find_map(|limit| count(limit).err().map(|wait| (limit, wait)))?;
    listener.meter.limited(match limit.by() {
        By::Client(_) => LimitedBy::Client,
        By::Session => LimitedBy::Session,
        By::Header(_) => LimitedBy::Header,
    });
    Some(wait)
}

/// How long a client of a busy listener waits, in whole seconds, rounded up.
pub(super) fn seconds(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
}
