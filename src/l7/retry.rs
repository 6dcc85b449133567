//! What a failure means: for the backend (suspicion, one probe) and for the request (another try, or not).

use std::sync::Arc;

use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType};

use super::choose::is_idempotent;
use super::context::{Placed, RequestContext};
use super::span;
use crate::clock::Now;
use crate::health;
use crate::pool::Failure;
use crate::telemetry::FailedTry;

/// A connection could not be made. Nothing was sent, so any request may be tried again.
pub(super) fn after_failed_connect(ctx: &mut RequestContext, mut error: Box<Error>) -> Box<Error> {
    span::try_failed(ctx, FailedTry::Connect.as_str());
    let Some(placed) = ctx.placed() else { return error };
    if *error.etype() == ErrorType::InternalError {
        // Pingora's word for a socket that we could not make or bind: descriptors, ports or memory ran out.
        // That says nothing about the backend, and another one would meet the same.
        error.set_retry(false);
        return error;
    }
    placed.served.meter.try_failed(placed.backend(), FailedTry::Connect);
    suspect(placed);
    let again = placed.served.retries.on_connect && one_more(placed);
    error.set_retry(again);
    error
}

/// The exchange broke off. Only before the first byte of a response, and only an idempotent request, is it
/// tried again (RFC 9110 section 9.2.2).
pub(super) fn after_failed_exchange(
    session: &mut Session,
    ctx: &mut RequestContext,
    mut error: Box<Error>,
    client_reused: bool,
) -> Box<Error> {
    // Undecided errors panic when asked.
    error.retry.decide_reuse(client_reused);
    // HTTP/2 tells of requests that nobody has looked at: refused, or sent behind the backend's farewell.
    let unseen = error.retry() && matches!(error.etype(), ErrorType::H2Error | ErrorType::H2Downgrade);
    error.set_retry(false);
    let way = failed_try(error.etype());
    let is_theirs = *error.esource() == ErrorSource::Upstream;
    span::try_failed(ctx, if is_theirs { way.as_str() } else { "client" });
    let Some(placed) = ctx.placed() else { return error };
    // That a kept connection was closed meanwhile says nothing about the backend.
    if *error.esource() == ErrorSource::Upstream && !(client_reused && way == FailedTry::Exchange) {
        placed.served.meter.try_failed(placed.backend(), way);
    }
    let answered = session.response_written().is_some_and(|head| !head.status.is_informational());
    let broken = matches!(
        error.etype(),
        ErrorType::ConnectionClosed
            | ErrorType::ReadError
            | ErrorType::WriteError
            | ErrorType::InvalidHTTPHeader
            | ErrorType::H2Error
            | ErrorType::H2Downgrade
            | ErrorType::InvalidH2
    );
    if *error.esource() != ErrorSource::Upstream || answered || !broken {
        return error;
    }
    let connection_broke = !matches!(
        error.etype(),
        ErrorType::InvalidHTTPHeader | ErrorType::H2Error | ErrorType::H2Downgrade | ErrorType::InvalidH2
    );
    if !client_reused && connection_broke {
        suspect(placed);
    }
    let repeatable = (unseen || is_idempotent(&session.req_header().method))
        && !session.as_ref().retry_buffer_truncated()
        && *error.etype() != ErrorType::InvalidHTTPHeader;
    let again = repeatable && placed.served.retries.on_reset && one_more(placed);
    error.set_retry(again);
    error
}

fn failed_try(error: &ErrorType) -> FailedTry {
    match error {
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => FailedTry::Timeout,
        _ => FailedTry::Exchange,
    }
}

/// Takes one of the tries that are left.
fn one_more(placed: &mut Placed) -> bool {
    let again = placed.retries < placed.served.retries.attempts;
    if again {
        placed.retries += 1;
        placed.failed = true;
    }
    again
}

/// Tells the backend's live state; whoever is the first starts the one probe.
fn suspect(placed: &Placed) {
    let pool = &placed.served.pool;
    let index = placed.backend();
    let Some(backend) = pool.backend(index) else { return };
    match backend.live().connection_failed(Now::read(), pool.ejection()) {
        Failure::FirstSuspicion => {
            // Also where requests do not wait, somebody must decide.
            let hold = placed.served.policy.suspect_hold;
            tokio::spawn(health::probe_suspect(Arc::clone(pool), index, hold, health::Knock::Tcp));
        }
        Failure::Ejected => {
            log::warn!(
                "backend {}/{} is down: connections failed again and again",
                pool.name(),
                backend.id()
            );
        }
        Failure::Counted => {}
    }
}
