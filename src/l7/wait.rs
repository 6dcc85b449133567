//! The waiting room: whether a newcomer goes in, or gets a page with its place.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::context::Client;
use crate::affinity::{Decision, Pass, pairs};
use crate::clock::Now;
use crate::limits::{Entrant, Place, Ticket};
use crate::names::Reason;
use crate::snapshot::{ServedPool, WaitingRoom};

/// Cookies that are looked at in one request.
const MAX_PASSES: usize = 4;

const PAGE: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Please wait</title>\n\
    <meta name=\"viewport\" content=\"width=device-width\"><meta http-equiv=\"refresh\" content=\"{refresh}\"></head>\n\
    <body><h1>Please wait</h1>\n<p>Many people are here at once. Your place in the line: <strong>{place}</strong>.</p>\n\
    <p>This page renews itself every {refresh} seconds. Leave it open to keep your turn.</p></body></html>\n";

/// What a newcomer is told.
pub(super) enum Turn {
    /// It goes in.
    In(Entry),
    /// It waits.
    Wait(Page),
    /// The line is as long as it may be.
    Full,
}

/// How somebody went in.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// For its next requests, until it has a session.
    pub(super) pass: Option<HeaderValue>,
    /// Counts it, until this request was answered.
    _entrant: Option<Entrant>,
}

/// What a visitor that waits is shown.
pub(super) struct Page {
    served: Arc<ServedPool>,
    place: u64,
    /// Keeps the place.
    pass: HeaderValue,
}

/// Whether a request goes in. Those of running sessions always do, at the cost of one comparison.
pub(super) fn turn(
    served: &Arc<ServedPool>,
    decision: &Decision,
    headers: &HeaderMap,
    client: Client,
    now: Now,
) -> Turn {
    let Some(room) = &served.room else { return Turn::In(Entry::default()) };
    // An id that nobody knows is no session: invented ones must not lead past the line.
    if !matches!(decision.reason, Reason::New | Reason::Hash) {
        return Turn::In(Entry::default());
    }
    if room.is_to_count(now) {
        count(Arc::clone(served));
    }
    let pass = presented(served, room, headers, now);
    if pass.is_some_and(|pass| pass.let_in) {
        return Turn::In(Entry::default());
    }
    if pass.is_none()
        && let Some(entrant) = room.line.walk_in(room.sessions)
    {
        return Turn::In(Entry { pass: None, _entrant: Some(entrant) });
    }
    let ticket = match pass {
        Some(pass) => Ticket { came_s: pass.came_s, id: pass.id },
        None => room.line.newcomer(now, rand::random()),
    };
    let pass = |let_in| {
        let pass = Pass { came_s: ticket.came_s, id: ticket.id, seen_s: now.unix_s, let_in };
        cookie(served, room, &pass, client)
    };
    match room.line.ask(ticket, room.sessions, now) {
        Place::In(entrant) => Turn::In(Entry { pass: pass(true), _entrant: Some(entrant) }),
        Place::Behind(before) => match pass(false) {
            Some(pass) => Turn::Wait(Page { served: Arc::clone(served), place: before + 1, pass }),
            None => Turn::Full,
        },
        Place::Full => Turn::Full,
    }
}

/// Answers with the page.
pub(super) async fn answer(session: &mut Session, page: Page) -> Result<bool> {
    let Page { served, place, pass } = page;
    let Some(room) = &served.room else { return Ok(false) };
    let seconds = room.refresh.as_secs().max(1).to_string();
    let place = place.to_string();
    let html = session
        .req_header()
        .headers
        .get(header::ACCEPT)
        .is_some_and(|accept| memchr::memmem::find(accept.as_bytes(), b"text/html").is_some());
    let body = if html {
        room.page.as_deref().unwrap_or(PAGE).replace("{place}", &place).replace("{refresh}", &seconds)
    } else {
        format!("503 Service Unavailable\nplace in the line: {place}\n")
    };
    let mut head = ResponseHeader::build(StatusCode::SERVICE_UNAVAILABLE, Some(7))?;
    let kind = if html { "text/html; charset=utf-8" } else { "text/plain" };
    head.insert_header(header::CONTENT_TYPE, kind)?;
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    head.insert_header(header::CACHE_CONTROL, "private, no-store")?;
    head.insert_header(header::RETRY_AFTER, seconds.as_str())?;
    head.insert_header(header::REFRESH, seconds.as_str())?;
    head.append_header(header::SET_COOKIE, pass)?;
    let empty = session.req_header().method == http::Method::HEAD;
    if !session.is_body_empty() {
        // It was not read, so the connection cannot go on behind it.
        session.set_keepalive(None);
    }
    session.write_response_header(Box::new(head), empty).await?;
    if !empty {
        session.write_response_body(Some(Bytes::from(body)), true).await?;
    }
    Ok(true)
}

/// The pass that a request presents, unless its holder was away for too long. Several are possible, under several domains.
fn presented(served: &ServedPool, room: &WaitingRoom, headers: &HeaderMap, now: Now) -> Option<Pass> {
    let fields = headers.get_all(header::COOKIE).iter();
    let cookies = fields.flat_map(|field| pairs(field.as_bytes()));
    let values = cookies.filter(|pair| pair.name == room.cookie.as_bytes()).take(MAX_PASSES);
    let fresh = |pass: &Pass| {
        let away_s = now.unix_s.saturating_sub(pass.seen_s);
        away_s <= room.patience.as_secs() && pass.came_s <= pass.seen_s
    };
    let passes = values.filter_map(|pair| Pass::open(pair.value, &served.policy.keys, &room.binding));
    // The earliest turn counts.
    passes.filter(fresh).min_by_key(|pass| (!pass.let_in, pass.came_s, pass.id))
}

fn cookie(served: &ServedPool, room: &WaitingRoom, pass: &Pass, client: Client) -> Option<HeaderValue> {
    let sealed = pass.seal(&served.policy.keys, &room.binding, rand::random());
    let secure = if client.secure { "; Secure" } else { "" };
    let (name, value, age) = (&room.cookie, sealed.as_str(), room.patience.as_secs());
    let text = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(text).ok()
}

/// Counts sessions beside the requests: those that are learned are counted one by one.
fn count(served: Arc<ServedPool>) {
    tokio::task::spawn_blocking(move || {
        let Some(room) = &served.room else { return };
        let counting = room.line.begin_count();
        let report = served.sessions(Now::read());
        room.line.counted(report.backends.iter().map(|backend| backend.live.total()).sum(), counting);
    });
}
