//! What the access log is told of a request that has ended.

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderName, HeaderValue, Version, header};
use pingora::proxy::Session;

use super::context::{RequestContext, Stage};
use crate::names::Outcome;
use crate::snapshot::{ServedListener, ServedPool};
use crate::telemetry::{LogRecord, LogRequest, Times};

/// What was measured of it.
pub(super) struct Measured {
    pub(super) status: Option<u16>,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) times: Times,
}

/// Enters the request into the listener's log, if it has one.
pub(super) fn enter(session: &Session, ctx: &RequestContext, listener: &ServedListener, measure: &Measured) {
    let Some(log) = &listener.access_log else { return };
    let head = session.req_header();
    let field = |name: HeaderName| head.headers.get(name).map(|value| value.as_bytes());
    let peer = peer(ctx);
    let (placed, pool) = match &ctx.stage {
        Stage::Placed(placed) => (Some(placed), Some(&placed.served)),
        Stage::Refused { served, .. } => (None, Some(served)),
        Stage::Arrived => (None, None),
    };
    let seed = |served: &ServedPool| *served.pool.seed();
    log.enter(&LogRecord {
        arrived_unix_ms: ctx.phases.arrived_unix_ms(),
        listener: &listener.name,
        client: client(ctx),
        peer,
        request: LogRequest {
            method: head.method.as_str(),
            target: head.raw_path(),
            protocol: protocol(head.version),
            // HTTP/2 has it in the target.
            host: field(header::HOST).or_else(|| head.uri.authority().map(|host| host.as_str().as_bytes())),
            user_agent: field(header::USER_AGENT),
            referer: field(header::REFERER),
        },
        tls: ctx.connection.as_ref().and_then(|connection| {
            let secured = connection.secured.as_ref()?;
            Some((secured.version, secured.cipher))
        }),
        status: measure.status,
        received: measure.received,
        sent: measure.sent,
        times: measure.times,
        route: ctx.route.as_ref().map(|route| &*route.name),
        pool: pool.map(|served| served.pool.name()),
        backend: placed.and_then(|placed| Some(placed.served.pool.backend(placed.backend())?.id())),
        reason: match &ctx.stage {
            Stage::Placed(placed) => Some(placed.decision.reason.as_str()),
            Stage::Refused { refusal, .. } => Some(refusal.as_str()),
            Stage::Arrived => None,
        },
        outcome: placed.map_or(Outcome::Kept, |placed| placed.outcome),
        retries: placed.map_or(0, |placed| placed.retries),
        session: placed.and_then(|placed| placed.evidence.mark(&seed(&placed.served))),
        new_session: placed.and_then(|placed| Some(placed.started?.mark(&seed(&placed.served)))),
        request_id: ctx.request_id.as_ref().map(HeaderValue::as_bytes),
        trace: ctx.traced.as_ref().map(|traced| traced.trace()),
    });
}

/// The client, after trusted proxies.
pub(super) fn client(ctx: &RequestContext) -> IpAddr {
    ctx.client.map_or_else(|| peer(ctx), |client| client.address)
}

/// The other end of its connection.
fn peer(ctx: &RequestContext) -> IpAddr {
    let peer = ctx.connection.as_ref().map(|connection| connection.peer.ip().to_canonical());
    peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}
