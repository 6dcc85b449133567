//! The end of a request: one summary, for every report.

use pingora::proxy::Session;

use super::access::{self, Measured};
use super::arrive::listener;
use super::context::{RequestContext, Stage};
use super::proxy::Proxy;
use super::{span, trace};
use crate::clock::Stamp;
use crate::hooks::Completed;
use crate::names::Outcome;
use crate::telemetry::{CodeClass, Measure, Summary};

/// Sums the request up, counts it, and tells hooks.
pub(super) fn finish(proxy: &Proxy, session: &Session, ctx: &mut RequestContext) {
    if let Some(placed) = ctx.placed() {
        // Whoever waits for the place need not wait for the reports, too.
        placed.permit = None;
    }
    let status = session.response_written().map(|head| head.status.as_u16());
    let times = ctx.phases.times(Stamp::read());
    let took = times.whole;
    let placed = match &ctx.stage {
        Stage::Placed(placed) => Some(placed.as_ref()),
        Stage::Arrived | Stage::Refused { .. } => None,
    };
    let went_to = placed.and_then(|placed| {
        let pool = &placed.served.pool;
        Some((pool.name(), pool.backend(placed.backend())?.id(), placed.decision.reason))
    });
    let outcome = placed.map(|placed| placed.outcome.as_str());
    let retries = placed.map_or(0, |placed| placed.retries);
    let class = CodeClass::of(status);
    let (received, sent) = (bytes(session.body_bytes_read()), bytes(session.body_bytes_sent()));
    match placed {
        Some(placed) => {
            let reason = placed.decision.reason;
            let measure = Measure { reason, class, retries, received, sent, times };
            placed.served.meter.count(placed.backend(), &measure);
        }
        None => listener(ctx).into_iter().for_each(|listener| listener.meter.answered(class)),
    }
    if let Some(listener) = listener(ctx) {
        let summary = Summary {
            listener: &listener.name,
            request_id: ctx.request_id.as_ref().and_then(|id| id.to_str().ok()),
            route: ctx.route.as_ref().map(|route| &*route.name),
            went_to,
            outcome: outcome.unwrap_or(Outcome::Kept.as_str()),
            status: status.unwrap_or(0),
            retries,
            took,
        };
        proxy.counts.add(&summary);
        let measured = Measured { status, received, sent, times };
        access::enter(session, ctx, listener, &measured);
        span::finish(proxy, session, ctx, listener, &measured);
        log::debug!("{summary}");
    }
    if !proxy.hooks.is_empty() {
        let completed = Completed {
            status,
            pool: went_to.map(|(pool, ..)| pool),
            backend: went_to.map(|(_, backend, _)| backend),
            reason: went_to.map(|(.., reason)| reason),
            outcome,
            retries,
            took,
        };
        proxy.hooks.on_complete(&mut ctx.states, &completed);
    }
    if let Stage::Placed(placed) = &mut ctx.stage {
        trace::ended(proxy, session, ctx.request_id.as_ref(), placed, status);
    }
    // The backend has answered: whoever reads slowly keeps no place there.
    if let Some(placed) = ctx.placed() {
        placed.permit = None;
        placed.entry = super::wait::Entry::default();
    }
}

fn bytes(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
