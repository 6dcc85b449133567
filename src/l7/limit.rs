//! Limits of requests in a time: one too many is answered with 429.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use super::context::Client;
use crate::affinity::Evidence;
use crate::clock::Now;
use crate::limits::{By, RequestLimit};
use crate::route::Route;
use crate::snapshot::{RouteLimits, ServedListener};
use crate::telemetry::{LimitMeter, LimitedBy};

/// Counts a request by its client and its header fields; gives how long to wait, if it is one too many.
pub(super) fn before_the_route(
    listener: Option<&ServedListener>,
    client: Client,
    headers: &HeaderMap,
    now: Now,
) -> Option<Duration> {
    let listener = listener?;
    over(&listener.requests, listener.meter.limits(), |limit| by_head(limit, client, headers, now))
}

/// The same for the route that takes it.
pub(super) fn on_the_route(
    listener: Option<&ServedListener>,
    route: &Route,
    client: Client,
    headers: &HeaderMap,
    now: Now,
) -> Option<Duration> {
    let limits = of(listener?, route)?;
    over(&limits.requests, &limits.meter, |limit| by_head(limit, client, headers, now))
}

/// Counts a request by its session, on its listener and its route; gives how long to wait, if it is one too many.
pub(super) fn by_session(
    listener: Option<&ServedListener>,
    route: Option<&Route>,
    evidence: &Evidence,
    now: Now,
) -> Option<Duration> {
    let listener = listener?;
    let count = |limit: &RequestLimit| match (limit.by(), evidence.ids.first(), evidence.tokens.first()) {
        (By::Session, Some(id), _) => limit.key(&id.digest.0, now),
        (By::Session, None, Some(token)) => limit.key(&token.seed.0.to_le_bytes(), now),
        (By::Session, None, None) | (By::Client(_) | By::Header(_), ..) => Ok(()),
    };
    over(&listener.requests, listener.meter.limits(), count).or_else(|| {
        let limits = of(listener, route?)?;
        over(&limits.requests, &limits.meter, count)
    })
}

fn of<'l>(listener: &'l ServedListener, route: &Route) -> Option<&'l RouteLimits> {
    listener.route_limits.get(route.place).filter(|limits| !limits.requests.is_empty())
}

fn by_head(limit: &RequestLimit, client: Client, headers: &HeaderMap, now: Now) -> Result<(), Duration> {
    match limit.by() {
        By::Client(prefix) => limit.client(*prefix, client.address, now),
        By::Header(name) => headers.get(name).map_or(Ok(()), |value| limit.key(value.as_bytes(), now)),
        By::Session => Ok(()),
    }
}

fn over(
    limits: &[Arc<RequestLimit>],
    meter: &LimitMeter,
    count: impl Fn(&RequestLimit) -> Result<(), Duration>,
) -> Option<Duration> {
    let (limit, wait) = limits.iter().find_map(|limit| count(limit).err().map(|wait| (limit, wait)))?;
    meter.limited(match limit.by() {
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
