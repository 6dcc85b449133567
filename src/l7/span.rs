//! The trace of a request, where traces are exported: whose child it is, what its backend is told, and what its spans are
//! made from. Nothing is done where they are not: `traceparent` then passes like any other field.

use std::time::Duration;

use http::{HeaderValue, Version, header};
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::access::{Measured, client};
use super::context::{Client, RequestContext, Stage};
use super::proxy::Proxy;
use crate::clock::Stamp;
use crate::names::{BackendIndex, Outcome};
use crate::snapshot::ServedListener;
use crate::telemetry::{SpanId, SpanRecord, TraceId, TraceParent, TryRecord, shown};

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

/// Of a `tracestate` that is kept (W3C Trace Context section 3.3.1.5); a longer one is still passed on.
const MOST_STATE: usize = 512;

/// Tries that have spans.
const MOST_TRIES: usize = 16;

/// The trace of a request.
pub(super) struct Traced {
    trace: TraceId,
    /// Its own span.
    span: SpanId,
    begin: Begin,
    sampled: bool,
    tries: Vec<Try>,
}

/// How its trace began.
enum Begin {
    /// Elsewhere, and a trusted proxy has told us.
    Before(TraceParent),
    /// Here. A stranger says otherwise, maybe.
    Here(Option<TraceParent>),
}

/// One try at a backend.
struct Try {
    span: SpanId,
    backend: BackendIndex,
    began: Stamp,
    failed: Option<(Stamp, &'static str)>,
}

impl Traced {
    /// The id of its trace.
    pub(super) fn trace(&self) -> TraceId {
        self.trace
    }
}

/// Finds out whose child it is. A stranger's word is a link at most: whoever may begin our traces and say that they are kept
/// can flood them, and mix them up (W3C Trace Context section 7.2).
pub(super) fn begin(session: &Session, ctx: &mut RequestContext, client: Client) {
    let Some(tracing) = &ctx.snapshot.tracing else { return };
    let told = told(session.req_header());
    let (begin, sampled) = match told.filter(|_| client.through_proxy) {
        Some(parent) => (Begin::Before(parent), parent.sampled),
        None => (Begin::Here(told), tracing.samples(rand::random())),
    };
    let trace = match begin {
        Begin::Before(parent) => parent.trace,
        Begin::Here(_) => trace_id(),
    };
    ctx.traced = Some(Box::new(Traced { trace, span: span_id(), begin, sampled, tries: Vec::new() }));
}

/// Another try begins.
pub(super) fn try_begins(ctx: &mut RequestContext) {
    let Stage::Placed(placed) = &ctx.stage else { return };
    let backend = placed.backend();
    let Some(traced) = ctx.traced.as_mut().filter(|traced| traced.sampled) else { return };
    if traced.tries.len() < MOST_TRIES {
        traced.tries.push(Try { span: span_id(), backend, began: Stamp::read(), failed: None });
    }
}

/// The try that is running has failed.
pub(super) fn try_failed(ctx: &mut RequestContext, way: &'static str) {
    let last = ctx.traced.as_mut().and_then(|traced| traced.tries.last_mut());
    if let Some(last) = last {
        last.failed.get_or_insert_with(|| (Stamp::read(), way));
    }
}

/// Tells the backend whose child its work is. Of a trace that is not kept, what a trusted proxy told stays as it is.
pub(super) fn tell_backend(request: &mut RequestHeader, ctx: &RequestContext) -> Result<()> {
    let Some(traced) = &ctx.traced else { return Ok(()) };
    match traced.begin {
        Begin::Before(_) if !traced.sampled => return Ok(()),
        Begin::Before(_) => {}
        // It belongs to the other trace.
        Begin::Here(_) => _ = request.remove_header(STATE),
    }
    let span = traced.tries.last().map_or(traced.span, |one| one.span);
    let parent = TraceParent { trace: traced.trace, span, sampled: traced.sampled };
    if let Ok(value) = HeaderValue::from_bytes(&parent.field()) {
        request.insert_header(PARENT, value)?;
    }
    Ok(())
}

/// Leaves what its spans are made from, if they are to be.
pub(super) fn finish(
    proxy: &Proxy,
    session: &Session,
    ctx: &RequestContext,
    listener: &ServedListener,
    measured: &Measured,
) {
    let (Some(tracing), Some(traced)) = (&ctx.snapshot.tracing, &ctx.traced) else { return };
    if traced.sampled {
        proxy.spans.enter(record(session, ctx, traced, listener, measured), tracing.queue);
    }
}

fn record(
    session: &Session,
    ctx: &RequestContext,
    traced: &Traced,
    listener: &ServedListener,
    measured: &Measured,
) -> SpanRecord {
    let head = session.req_header();
    let field = |name| head.headers.get(name).map(|value: &HeaderValue| shown(value.as_bytes()));
    let (placed, pool) = match &ctx.stage {
        Stage::Placed(placed) => (Some(placed), Some(&placed.served)),
        Stage::Refused { served, .. } => (None, Some(served)),
        Stage::Arrived => (None, None),
    };
    let (parent, link) = match traced.begin {
        Begin::Before(parent) => (Some(parent.span), None),
        Begin::Here(link) => (None, link),
    };
    SpanRecord {
        trace: traced.trace,
        span: traced.span,
        parent,
        state: parent.and_then(|_| field(STATE)).filter(|state| state.len() <= MOST_STATE),
        link,
        arrived_unix_ns: ctx.phases.arrived_unix_ns(),
        took: measured.times.whole,
        listener: listener.name.clone(),
        route: ctx.route.as_ref().map(|route| route.name.clone()),
        client: client(ctx),
        secure: ctx.client.is_some_and(|client| client.secure),
        method: head.method.as_str().into(),
        path: SpanRecord::path(head.raw_path()),
        // HTTP/2 has it in the target.
        host: field(header::HOST.as_str()).or_else(|| Some(shown(head.uri.authority()?.as_str().as_bytes()))),
        version: version(head.version),
        user_agent: field(header::USER_AGENT.as_str()),
        status: measured.status,
        pool: pool.map(|served| served.pool.name().clone()),
        reason: match &ctx.stage {
            Stage::Placed(placed) => Some(placed.decision.reason.as_str()),
            Stage::Refused { refusal, .. } => Some(refusal.as_str()),
            Stage::Arrived => None,
        },
        outcome: placed.map_or(Outcome::Kept, |placed| placed.outcome).as_str(),
        session: placed.and_then(|placed| placed.evidence.mark(placed.served.pool.seed())),
        request_id: ctx.request_id.as_ref().map(|id| shown(id.as_bytes())),
        tries: tries(ctx, traced, measured.times.whole),
    }
}

fn tries(ctx: &RequestContext, traced: &Traced, whole: Duration) -> Vec<TryRecord> {
    let Stage::Placed(placed) = &ctx.stage else { return Vec::new() };
    let record = |one: &Try| {
        let backend = placed.served.pool.backend(one.backend)?;
        let after = ctx.phases.after_arrival(one.began);
        Some(TryRecord {
            span: one.span,
            backend: backend.id().clone(),
            address: backend.address().clone(),
            after,
            took: one.failed.map_or_else(|| whole.saturating_sub(after), |(at, _)| at.since(one.began)),
            failure: one.failed.map(|(_, way)| way),
        })
    };
    traced.tries.iter().filter_map(record).collect()
}

/// What the request says that it is a child of. Several fields are none (W3C Trace Context section 3.2).
fn told(head: &RequestHeader) -> Option<TraceParent> {
    let mut fields = head.headers.get_all(PARENT).iter();
    let parent = TraceParent::parse(fields.next()?.as_bytes());
    parent.filter(|_| fields.next().is_none())
}

fn trace_id() -> TraceId {
    loop {
        if let Some(id) = TraceId::new(rand::random()) {
            return id;
        }
    }
}

fn span_id() -> SpanId {
    loop {
        if let Some(id) = SpanId::new(rand::random()) {
            return id;
        }
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}
