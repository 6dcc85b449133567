//! The response on its way to the client: hooks, then the binding.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::context::RequestContext;
use super::proxy::Proxy;
use super::{compress, routed, told};
use crate::affinity::{self, Binding, Entropy, ResponseView};
use crate::clock::Now;
use crate::hooks;
use crate::listen::Connection;
use crate::names::BackendIndex;
use crate::snapshot::ServedPool;
use crate::telemetry::{Entry, first_segment, is_loss};

/// Fields of one connection only (RFC 9110 section 7.6.1), which Pingora leaves in.
const HOP_BY_HOP: [HeaderName; 3] =
    [HeaderName::from_static("keep-alive"), HeaderName::from_static("proxy-connection"), header::TRAILER];

/// Most interim responses (1xx) to one request; honest ones are two or three.
const MAX_INTERIM: u32 = 16;

/// Adds what leads the session's next request back. Also runs for 1xx, which carry nothing of ours.
pub(super) fn answer(
    proxy: &Proxy,
    session: &mut Session,
    response: &mut ResponseHeader,
    ctx: &mut RequestContext,
) -> Result<()> {
    let (now, exactly) = Now::read_exact();
    if let Some(placed) = ctx.placed()
        && let Some(backend) = placed.served.pool.backend(placed.backend())
    {
        backend.live().request_succeeded(now);
    }
    if response.status.is_informational() && response.status != http::StatusCode::SWITCHING_PROTOCOLS {
        return bound_interim(ctx);
    }
    if response.status == http::StatusCode::SWITCHING_PROTOCOLS && !session.is_upgrade_req() {
        // What follows it would be taken for answers to the client's next requests.
        return Error::e_explain(ErrorType::HTTPStatus(502), "a switch of protocols that nobody asked for");
    }
    ctx.phases.answered(exactly);
    drop_hop_by_hop(response);
    told::tell_client(response, Some(response.version), ctx)?;
    let request_id = ctx.request_id.clone();
    if let Some(route) = ctx.route.clone()
        && let Some(placed) = ctx.placed()
    {
        // Before the binding: no change of a route's can take that out.
        let id = request_id.as_ref().map(HeaderValue::as_bytes);
        routed::change_answer(response, session.req_header(), &route, placed.client, id)?;
    }
    one_framing(response)?;
    if !proxy.hooks.is_empty() {
        let mut view = hooks::ResponseView::new(response);
        proxy.hooks.on_response(&mut ctx.states, &mut view).map_err(|failure| {
            log::error!("{failure}");
            Error::explain(ErrorType::HTTPStatus(500), "a hook failed")
        })?;
    }
    if let Some(placed) = ctx.placed() {
        let view = ResponseView {
            status: response.status,
            headers: &response.headers,
            preflight: placed.preflight,
            secure: placed.client.secure,
        };
        let (policy, pool) = (&placed.served.policy, &placed.served.pool);
        let mut binding =
            affinity::bind(policy, pool, &placed.evidence, &placed.decision, &view, now, entropy);
        binding.remember(policy, now);
        let target = session.req_header().raw_path();
        placed.moved_from = keep_the_book(&placed.served, placed.decision.backend, &mut binding, target, now);
        placed.outcome = binding.outcome;
        if let Some(pass) = placed.entry.pass.take() {
            response.append_header(header::SET_COOKIE, pass)?;
        }
        if let Some(cookie) = binding.set_cookie {
            // Behind the application's own lines; inserting would replace them.
            response.append_header(header::SET_COOKIE, cookie)?;
        }
        if let Some(cache_control) = binding.cache_control {
            response.insert_header(header::CACHE_CONTROL, cache_control)?;
        }
    }
    compress::begin(session.req_header(), response, ctx)?;
    let keeps = |connection: &Arc<Connection>| connection.listener.acceptance.keeps_connections();
    if session.is_process_shutting_down() || !ctx.connection.as_ref().is_none_or(keeps) {
        // Politely: the client hears of it, and asks its next question elsewhere.
        session.set_keepalive(None);
    }
    Ok(())
}

/// Bounds interim responses, which a backend could send for ever.
fn bound_interim(ctx: &mut RequestContext) -> Result<()> {
    ctx.interim += 1;
    if ctx.interim > MAX_INTERIM {
        return Error::e_explain(ErrorType::HTTPStatus(502), "too many interim responses");
    }
    Ok(())
}

/// Enters what happened to the session, and says when a backend turns out to have restarted.
/// Gives the backend that the session left.
fn keep_the_book(
    served: &ServedPool,
    index: BackendIndex,
    binding: &mut Binding,
    target: &[u8],
    now: Now,
) -> Option<BackendIndex> {
    let backend = served.pool.backend(index)?;
    let restart = binding.testify(backend, now);
    if let Some(restart) = restart {
        let (pool, id, lost, epoch) = (served.pool.name(), backend.id(), restart.lost, backend.epoch().0);
        let within = restart.within_s.max(1);
        let check = if backend.live().was_down_lately(now) {
            "soon after it had been down"
        } else {
            "while its health check never failed"
        };
        log::warn!(
            "{pool}/{id} lost {lost} sessions within {within} s {check}: it probably restarted, and more will be found \
             lost (epoch {epoch})"
        );
    }
    let entry = Entry {
        outcome: binding.outcome,
        moved_from: binding.moved_from().and_then(|tag| served.pool.find_tag(tag)),
        only_in_token: binding.only_in_token(&served.policy, now).map(|seed| seed.0),
        // This one is counted by its outcome.
        also_lost: restart.map_or(0, |restart| restart.lost.saturating_sub(1)),
    };
    served.book.enter(index, &entry, now);
    if is_loss(entry.outcome) {
        // Where it lived, as far as its token told.
        let home = entry.moved_from.unwrap_or(index);
        let (sessions, path) = (entry.also_lost.saturating_add(1), first_segment(target));
        served.losses.enter(home, entry.outcome, sessions, path);
    }
    if let Some(restart) = restart {
        served.losses.restarted(index, restart.within_s, now);
    }
    entry.moved_from
}

fn entropy() -> Entropy {
    Entropy { nonce: rand::random(), seed: rand::random() }
}

/// Lets the client find one framing. Pingora has refused lengths that differ, and passes equal ones on as they came.
fn one_framing(response: &mut ResponseHeader) -> Result<()> {
    let mut codings = response.headers.get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next();
    if codings.next().is_some()
        || coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return Error::e_explain(ErrorType::HTTPStatus(502), "a transfer coding that nobody asked for");
    }
    let mut lengths = response.headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(()) };
    if lengths.next().is_none() && first.as_bytes().iter().all(u8::is_ascii_digit) {
        return Ok(());
    }
    let digits = first.as_bytes().split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Error::e_explain(ErrorType::HTTPStatus(502), "a content length that is no number");
    }
    let length = digits.to_vec();
    response.insert_header(header::CONTENT_LENGTH, length)
}

fn drop_hop_by_hop(response: &mut ResponseHeader) {
    if response.status == http::StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    // Most responses have none of them, and looking is cheaper than removing.
    if response.headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        for name in &HOP_BY_HOP {
            response.remove_header(name);
        }
    }
}
