//! The way of a request to its backend: hooks, route, evidence, decision, admission.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, header};
use pingora::proxy::Session;
use tokio::time::{sleep, timeout};

use super::admit::admit;
use super::arrive::{client, is_misdirected, listener};
use super::context::{Client, Placed, RequestContext, Stage};
use super::proxy::Proxy;
use super::wait::{self, Turn};
use super::{limit, mirror, reply, request_id, routed, span, split, trace};
use crate::affinity::{self, Circumstance, Decision, Evidence, FirstContact, Refusal, Refused, Verdict};
use crate::clock::Now;
use crate::hooks::{self, Choice, HookFailure, SessionKey};
use crate::names::{BackendIndex, Outcome, Reason};
use crate::route::Action;
use crate::snapshot::{RetryPolicy, ServedPool};
use crate::telemetry::{TokenFault, Turned};

/// How long a connection's first choice counts where clients are told apart by other means.
const CONNECTION_CHOICE_S: u64 = 5;

/// Chooses the backend. `true`: the request was answered here.
pub(super) async fn choose(
    proxy: &Proxy,
    session: &mut Session,
    ctx: &mut RequestContext,
) -> pingora::Result<bool> {
    if ctx.connection.as_ref().is_some_and(|connection| is_misdirected(session, connection)) {
        return reply::own(session, ctx, 421).await;
    }
    let client = who(session, ctx);
    ctx.client = Some(client);
    note_id(session, ctx, client);
    span::begin(session, ctx, client);
    let headers = &session.req_header().headers;
    if let Some(wait) = limit::before_the_route(listener(ctx), client, headers, ctx.arrived) {
        return reply::too_many(session, ctx, limit::seconds(wait)).await;
    }
    let (served, named) = match ask_hooks(proxy, session, ctx, client) {
        Ok(Asked::Go(served, named)) => (served, named),
        Ok(Asked::Answer(answer)) => return reply::hook_answer(session, answer).await,
        Err(failure) => {
            log::error!("{failure}");
            return reply::own(session, ctx, 500).await;
        }
    };
    let settled = match served {
        Some(served) => alone(session, ctx, served, client, named.as_ref()).await,
        None => {
            let route = match routed::find(session, ctx, client) {
                Ok(route) => route,
                Err(code) => return reply::own(session, ctx, code).await,
            };
            ctx.route = Some(Arc::clone(&route));
            let headers = &session.req_header().headers;
            if let Some(wait) = limit::on_the_route(listener(ctx), &route, client, headers, ctx.arrived) {
                return reply::too_many(session, ctx, limit::seconds(wait)).await;
            }
            match &route.action {
                Action::Pool(index) => match ctx.snapshot.pool(*index).map(Arc::clone) {
                    Some(served) => alone(session, ctx, served, client, named.as_ref()).await,
                    None => return reply::own(session, ctx, 404).await,
                },
                Action::Split(split) => {
                    let pools = split::pools(ctx, split).into_iter().map(|(served, welcomes)| {
                        let evidence = read(session, ctx, &served, client, named.as_ref());
                        (served, welcomes, evidence)
                    });
                    split::settle(split, pools.collect(), ctx.arrived).await
                }
                Action::Redirect { .. } | Action::Respond(_) => {
                    return routed::answer(session, ctx, &route, client).await;
                }
            }
        }
    };
    let Settled { served, evidence, decision } = match settled {
        Ok(settled) => settled,
        Err(Unserved { pool: Some((served, evidence)), refusal }) => {
            count_faults(&served, &evidence);
            trace::refused(proxy, session, ctx.request_id.as_ref(), &served, &evidence, refusal);
            return refuse(session, ctx, served, refusal).await;
        }
        Err(Unserved { pool: None, refusal }) => return reply::unavailable(session, ctx, refusal).await,
    };
    count_faults(&served, &evidence);
    if let Some(wait) = limit::by_session(listener(ctx), ctx.route.as_deref(), &evidence, ctx.arrived) {
        return reply::too_many(session, ctx, limit::seconds(wait)).await;
    }
    let trace = trace::decided(proxy, &served, &evidence, &decision, ctx.arrived);
    let entry = match wait::turn(&served, &decision, &session.req_header().headers, client, ctx.arrived) {
        Turn::In(entry) => entry,
        Turn::Wait(page) => return wait::answer(session, page).await,
        Turn::Full => return refuse(session, ctx, served, Refusal::Full).await,
    };
    let (decision, named) = match preferred(proxy, ctx, &served, decision, client) {
        Ok(preferred) => preferred,
        Err(failure) => {
            log::error!("{failure}");
            return reply::own(session, ctx, 500).await;
        }
    };
    let (decision, permit) = match admit(&served, &evidence, decision, named).await {
        Ok(admitted) => admitted,
        Err(refusal) => {
            trace::refused(proxy, session, ctx.request_id.as_ref(), &served, &evidence, refusal);
            return refuse(session, ctx, served, refusal).await;
        }
    };
    if repeatable(session, &served.retries) {
        // Kept for a second try; only as much as fits into Pingora's 64 KiB.
        session.enable_retry_buffering();
    }
    let preflight = session.req_header().method == Method::OPTIONS
        && session.req_header().headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    ctx.stage = Stage::Placed(Box::new(Placed {
        served,
        client,
        evidence,
        decision,
        outcome: Outcome::Kept,
        started: None,
        permit,
        retries: 0,
        failed: false,
        reused: false,
        entry,
        preflight,
        moved_from: None,
        trace,
    }));
    ctx.phases.placed();
    ctx.mirror = mirror::wanted(ctx, session);
    remember(ctx);
    Ok(false)
}

/// A request that has found its pool and backend.
pub(super) struct Settled {
    pub(super) served: Arc<ServedPool>,
    pub(super) evidence: Evidence,
    pub(super) decision: Decision,
}

/// A request that nobody can serve.
pub(super) struct Unserved {
    /// The pool that would have been the first to.
    pub(super) pool: Option<(Arc<ServedPool>, Evidence)>,
    pub(super) refusal: Refusal,
}

/// The decision where one pool is named.
async fn alone(
    session: &Session,
    ctx: &RequestContext,
    served: Arc<ServedPool>,
    client: Client,
    named: Option<&SessionKey>,
) -> Result<Settled, Unserved> {
    let evidence = read(session, ctx, &served, client, named);
    match settle(&served, &evidence, ctx.arrived).await {
        Ok(decision) => Ok(Settled { served, evidence, decision }),
        Err(refusal) => Err(Unserved { pool: Some((served, evidence)), refusal }),
    }
}

fn count_faults(served: &ServedPool, evidence: &Evidence) {
    evidence.refused.iter().for_each(|refused| served.meter.token_refused(fault(*refused)));
}

async fn refuse(
    session: &mut Session,
    ctx: &mut RequestContext,
    served: Arc<ServedPool>,
    refusal: Refusal,
) -> pingora::Result<bool> {
    log::debug!("pool {}: refused: {}", served.pool.name(), refusal.as_str());
    served.meter.refused(match refusal {
        Refusal::NoBackend => Turned::NoBackend,
        Refusal::LostBackend => Turned::LostBackend,
        Refusal::Full => Turned::Full,
    });
    ctx.stage = Stage::Refused { served, refusal };
    reply::unavailable(session, ctx, refusal).await
}

fn fault(refused: Refused) -> TokenFault {
    match refused {
        Refused::Length => TokenFault::Length,
        Refused::Encoding => TokenFault::Encoding,
        Refused::UnknownKey => TokenFault::UnknownKey,
        Refused::Forged => TokenFault::Forged,
        Refused::Expired => TokenFault::Expired,
    }
}

/// How long a session id that nobody knows is waited for, while another process tells what it learns; and how often is
/// looked. On an idle machine the news is there within a millisecond.
const NEWS: Duration = Duration::from_millis(100);
const NEWS_STEP: Duration = Duration::from_millis(2);

/// Decides, and waits once for a suspect backend that holds the session. Asks the other replicas first, where
/// they share and nothing here leads home for sure.
///
/// # Errors
/// Nobody can serve the request.
pub(super) async fn settle(served: &ServedPool, evidence: &Evidence, now: Now) -> Result<Decision, Refusal> {
    let mut at = Circumstance { now, draw: rand::random(), held: false };
    let mut waits_for_news = served.policy.learned.is_fed();
    loop {
        if let Some(shared) = &served.shared
            && let Some(unsure) = affinity::unsure(evidence, &served.policy, &served.pool, at.now)
        {
            shared.ask(&unsure).await;
        }
        match affinity::decide(evidence, &served.policy, &served.pool, at) {
            // In the middle of an upgrade: the other process may have learned it a moment ago.
            Verdict::To(decision) if decision.reason == Reason::Hash && waits_for_news => {
                waits_for_news = false;
                await_news(served, evidence).await;
                at.now = Now::read();
            }
            Verdict::To(decision) => return Ok(decision),
            Verdict::Refuse(refusal) => return Err(refusal),
            // Cannot happen twice: whoever was held is not held again.
            Verdict::Hold(_) if at.held => return Err(Refusal::NoBackend),
            Verdict::Hold(home) => {
                if let Some(backend) = served.pool.backend(home) {
                    let _ = timeout(served.policy.suspect_hold, backend.live().suspicion_resolved()).await;
                }
                at = Circumstance { now: Now::read(), held: true, ..at };
            }
        }
    }
}

/// Learns where a session lives from whoever may know: another replica, or the process before this one.
pub(super) async fn learn_from_others(served: &ServedPool, evidence: &Evidence, now: Now) {
    if evidence.ids.is_empty() {
        return;
    }
    if let Some(shared) = &served.shared
        && let Some(unsure) = affinity::unsure(evidence, &served.policy, &served.pool, now)
    {
        shared.ask(&unsure).await;
    }
    if served.policy.learned.is_fed() {
        await_news(served, evidence).await;
    }
}

/// Waits until one of the session ids is known, for a bounded time.
async fn await_news(served: &ServedPool, evidence: &Evidence) {
    let learned = &served.policy.learned;
    let is_known = || evidence.ids.iter().any(|id| learned.peek(&id.digest, Now::read()).is_some());
    let news = async {
        while !is_known() {
            sleep(NEWS_STEP).await;
        }
    };
    // Unknown to both: it is decided as ever.
    let _ = timeout(NEWS, news).await;
}

/// Whether the method may be sent twice (RFC 9110 section 9.2.2).
pub(super) fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::PUT | Method::DELETE | Method::OPTIONS | Method::TRACE
    )
}

fn repeatable(session: &Session, retries: &RetryPolicy) -> bool {
    // After a failed connect nothing was sent, whatever the method, so its body may be needed again.
    retries.attempts > 0 && !session.is_upgrade_req()
}

fn note_id(session: &Session, ctx: &mut RequestContext, client: Client) {
    let name = listener(ctx).and_then(|listener| listener.headers.request_id.as_ref());
    let id = name.map(|(name, _)| request_id::of(session.req_header(), name, client.through_proxy));
    ctx.request_id = id;
}

fn who(session: &Session, ctx: &RequestContext) -> Client {
    let peer =
        ctx.connection.as_ref().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |connection| connection.peer.ip());
    let trusted = listener(ctx).map(|listener| listener.trusted_proxies.as_slice()).unwrap_or_default();
    let secure = ctx.connection.as_ref().is_some_and(|connection| connection.secured.is_some());
    let by_x = listener(ctx).is_none_or(|listener| listener.headers.x_forwarded);
    client(peer, secure, &session.req_header().headers, trusted, by_x)
}

enum Asked {
    Go(Option<Arc<ServedPool>>, Option<SessionKey>),
    Answer(hooks::Answer),
}

fn ask_hooks(
    proxy: &Proxy,
    session: &mut Session,
    ctx: &mut RequestContext,
    client: Client,
) -> Result<Asked, HookFailure> {
    if proxy.hooks.is_empty() {
        return Ok(Asked::Go(None, None));
    }
    let mut view = hooks::RequestView::new(session.req_header_mut(), client.address);
    let pool = match proxy.hooks.on_request(&mut ctx.states, &mut view)? {
        hooks::Verdict::Continue => None,
        hooks::Verdict::Answer(answer) => return Ok(Asked::Answer(answer)),
        hooks::Verdict::Pool(name) => match ctx.snapshot.pool_named(&name) {
            Some(served) => Some(Arc::clone(served)),
            None => {
                log::error!("a hook chose the pool {name}, which the configuration does not have");
                return Ok(Asked::Answer(hooks::Answer::new(http::StatusCode::INTERNAL_SERVER_ERROR)));
            }
        },
    };
    let named = proxy.hooks.session_key(&mut ctx.states, &view)?;
    Ok(Asked::Go(pool, named))
}

fn read(
    session: &Session,
    ctx: &RequestContext,
    served: &ServedPool,
    client: Client,
    named: Option<&SessionKey>,
) -> Evidence {
    let head = session.req_header();
    let request = affinity::RequestView {
        target: head.raw_path(),
        headers: &head.headers,
        client: client.address,
        connection_choice: connection_choice(ctx, served, client),
        named_session: named.map(SessionKey::as_bytes),
    };
    Evidence::read(&request, &served.policy, &served.pool, ctx.arrived)
}

/// The first choice of this connection, unless a proxy sends many clients over it.
fn connection_choice(ctx: &RequestContext, served: &ServedPool, client: Client) -> Option<BackendIndex> {
    let (backend, age_s) = ctx.connection.as_ref()?.choice(served.index.0, ctx.arrived)?;
    match served.policy.first_contact {
        FirstContact::Connection => Some(backend),
        FirstContact::Client => (age_s <= CONNECTION_CHOICE_S && !client.through_proxy).then_some(backend),
        FirstContact::Balance => None,
    }
}

/// Asks hooks for another backend, for a new session or where one overrides bindings; and whether one has named it.
fn preferred(
    proxy: &Proxy,
    ctx: &mut RequestContext,
    served: &ServedPool,
    decision: Decision,
    client: Client,
) -> Result<(Decision, bool), HookFailure> {
    if proxy.hooks.is_empty() {
        return Ok((decision, false));
    }
    let pool = &served.pool;
    let Some(chosen) = pool.backend(decision.backend) else { return Ok((decision, false)) };
    let admissible: Vec<_> = pool
        .backends()
        .iter()
        .filter(|backend| backend.takes_new(ctx.arrived))
        .map(|backend| backend.id())
        .collect();
    let choice =
        Choice { pool: pool.name(), admissible: &admissible, chosen: chosen.id(), client: client.address };
    let bound = decision.reason != Reason::New;
    match proxy.hooks.choose(&mut ctx.states, &choice, bound)? {
        Some(id) if admissible.contains(&&id) => {
            let backend = pool.find(id.as_str()).unwrap_or(decision.backend);
            Ok((Decision { backend, ..decision }, true))
        }
        Some(id) => {
            log::warn!("a hook chose the backend {}/{id}, which takes no new sessions", pool.name());
            Ok((decision, false))
        }
        None => Ok((decision, false)),
    }
}

/// What follows from the decision for the next ones.
pub(super) fn remember(ctx: &RequestContext) {
    let Stage::Placed(placed) = &ctx.stage else { return };
    let (served, decision) = (&placed.served, &placed.decision);
    served.meter.decided(decision.reason);
    affinity::note(decision, &placed.evidence, &served.policy, &served.pool, ctx.arrived);
    if decision.reason == Reason::New
        && served.policy.first_contact != FirstContact::Balance
        && let Some(connection) = &ctx.connection
        && connection.choice(served.index.0, ctx.arrived).map(|(backend, _)| backend)
            != Some(decision.backend)
    {
        connection.remember_choice(served.index.0, decision.backend, ctx.arrived);
    }
}
