//! The API behind its socket: who asks, what for, and the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Method, StatusCode};
use matchit::Router;
use serde_json::Value;
use tokio::sync::watch;

use super::answer::{Answer, Refusal};
use super::call::{Call, Request, dry_run};
use super::dashboard;
use super::endpoints::{self, Endpoint, OPEN};
use super::events::{EVENTS, Listening};
use super::guard::Guard;
use super::openapi;
use crate::clock::Now;
use crate::lifecycle::{Control, Manner};
use crate::listen::{Counts, ListenerFacts};
use crate::names::{ListenAddress, ListenerName};
use crate::pulse::Board;
use crate::snapshot::Current;
use crate::telemetry;

/// What the API tells of, and changes.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) current: Arc<Current>,
    pub(crate) control: Arc<Control>,
    pub(crate) counts: Arc<telemetry::Counts>,
    pub(crate) recent: Arc<telemetry::Recent>,
    pub(crate) events: Arc<telemetry::Events>,
    pub(crate) history: Arc<telemetry::History>,
    pub(crate) spans: Arc<telemetry::Spans>,
    pub(crate) board: Arc<Board>,
    pub(crate) listeners: Vec<ListenerHandle>,
    /// How the process is to stop, once it is.
    pub(crate) said: watch::Receiver<Option<Manner>>,
}

/// A listener, for telling of it.
#[derive(Debug)]
pub(crate) struct ListenerHandle {
    pub(crate) name: ListenerName,
    /// Where it really listens.
    pub(crate) address: ListenAddress,
    pub(crate) counts: Arc<Counts>,
    pub(crate) facts: Arc<ListenerFacts>,
}

/// What handlers see.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) current: Arc<Current>,
    pub(super) control: Arc<Control>,
    pub(super) counts: Arc<telemetry::Counts>,
    pub(super) recent: Arc<telemetry::Recent>,
    pub(super) events: Arc<telemetry::Events>,
    pub(super) history: Arc<telemetry::History>,
    pub(super) spans: Arc<telemetry::Spans>,
    pub(super) board: Arc<Board>,
    pub(super) listeners: Vec<ListenerHandle>,
    pub(super) started: Now,
    said: watch::Receiver<Option<Manner>>,
    stopping: AtomicBool,
    /// The OpenAPI document, but for what depends on the token.
    pub(super) document: Value,
}

/// What a request is answered with.
#[derive(Debug)]
pub(super) enum Reply {
    /// An answer with an end.
    Whole(Answer),
    /// Events, as they come.
    Events(Listening),
}

/// The API, without its socket.
#[derive(Debug)]
pub(crate) struct AdminApp {
    api: Api,
    guard: Guard,
    endpoints: Vec<Endpoint>,
    /// Paths, each with the positions of its endpoints.
    router: Router<Vec<usize>>,
}

impl Api {
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed) || self.said.borrow().is_some()
    }
}

impl AdminApp {
    /// The API of these parts.
    pub(crate) fn new(parts: Parts, guard: Guard) -> Self {
        let endpoints = endpoints::all();
        let Parts { current, control, counts, recent, events, history, spans, board, listeners, said } =
            parts;
        let (started, stopping) = (Now::read(), AtomicBool::new(false));
        let document = openapi::document(&endpoints);
        let api = Api {
            current,
            control,
            counts,
            recent,
            events,
            history,
            spans,
            board,
            listeners,
            started,
            said,
            stopping,
            document,
        };
        Self { api, guard, router: router(&endpoints), endpoints }
    }

    /// The balancer is stopping.
    pub(super) fn stop(&self) {
        self.api.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether no listener has a connection left.
    pub(super) fn is_empty(&self) -> bool {
        self.api.listeners.iter().all(|listener| listener.counts.open() == 0)
    }

    /// Answers a request; `from` is for the log.
    pub(super) fn reply(&self, request: &Request, from: &str) -> Reply {
        let reply = match request.path.as_str() {
            EVENTS => self.listen(request).map(Reply::Events),
            _ => self.answer(request, from).map(Reply::Whole),
        };
        reply.unwrap_or_else(|refusal| Reply::Whole(refusal.into()))
    }

    fn listen(&self, request: &Request) -> Result<Listening, Refusal> {
        self.admit(request)?;
        if request.method != Method::GET {
            return Err(not_allowed("GET"));
        }
        dry_run(request.query.as_deref(), false)?;
        Listening::begin(&self.api.events)
    }

    fn admit(&self, request: &Request) -> Result<(), Refusal> {
        let token = self.api.control.admin_token();
        self.guard.admit(&request.headers, token.as_ref().map(|token| token.0.as_slice()))
    }

    /// A file of the dashboard, where there is to be one: the page has to be there before anybody can give it a token.
    fn page(&self, request: &Request) -> Result<Option<Answer>, Refusal> {
        let is_read = matches!(request.method, Method::GET | Method::HEAD);
        let Some(page) = dashboard::asset(&request.path).filter(|_| is_read) else { return Ok(None) };
        if !self.api.control.has_dashboard() {
            return Ok(None);
        }
        if self.api.control.admin_token().is_none() {
            self.admit(request)?;
        }
        Ok(Some(page))
    }

    fn answer(&self, request: &Request, from: &str) -> Result<Answer, Refusal> {
        if let Some(page) = self.page(request)? {
            return Ok(page);
        }
        if request.path != OPEN {
            self.admit(request)?;
        }
        let Ok(found) = self.router.at(&request.path) else {
            let help = "GET /v1/openapi.json says what there is";
            return Err(Refusal::unknown("unknown_path", "there is nothing at this path", help));
        };
        let here = || found.value.iter().filter_map(|position| self.endpoints.get(*position));
        let method = if request.method == Method::HEAD { &Method::GET } else { &request.method };
        let Some(endpoint) = here().find(|endpoint| endpoint.method == *method) else {
            return Err(wrong_method(here()));
        };
        let call = Call {
            request,
            pool: found.params.get("pool"),
            backend: found.params.get("backend"),
            request_id: found.params.get("request"),
            dry_run: dry_run(request.query.as_deref(), endpoint.dry_run)?,
        };
        let answer = (endpoint.handle)(&self.api, &call)?;
        if endpoint.changes && !call.dry_run {
            // The names exist, or it would not have come to this.
            let (pool, backend) = (call.pool.unwrap_or("-"), call.backend.unwrap_or("-"));
            log::info!("admin: {} pool={pool} backend={backend} from={from}", endpoint.name);
        }
        Ok(Answer { status: endpoint.success, ..answer })
    }
}

fn wrong_method<'e>(here: impl Iterator<Item = &'e Endpoint>) -> Refusal {
    let mut allowed: Vec<_> = here.map(|endpoint| endpoint.method.as_str()).collect();
    if allowed.contains(&"GET") {
        allowed.push("HEAD");
    }
    not_allowed(&allowed.join(", "))
}

fn not_allowed(allow: &str) -> Refusal {
    let help = format!("allowed: {allow}");
    let message = "the path is there, but not for this method";
    let mut refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message, help);
    refusal.allow = Some(allow.to_owned());
    refusal
}

fn router(endpoints: &[Endpoint]) -> Router<Vec<usize>> {
    let mut paths: Vec<(&str, Vec<usize>)> = Vec::new();
    for (position, endpoint) in endpoints.iter().enumerate() {
        match paths.iter_mut().find(|(path, _)| *path == endpoint.path) {
            Some((_, positions)) => positions.push(position),
            None => paths.push((endpoint.path, vec![position])),
        }
    }
    let mut router = Router::new();
    for (path, positions) in paths {
        // The table is a constant, and a test has asked for each of its paths.
        let inserted = router.insert(path, positions);
        debug_assert!(inserted.is_ok(), "{path}");
    }
    router
}
