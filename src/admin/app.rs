//! The API behind its socket: who asks, what for, and the answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Method, StatusCode};
use matchit::Router;
use serde_json::Value;
use tokio::sync::watch;

use super::answer::{Answer, Refusal};
use super::call::{Call, Request, dry_run};
use super::endpoints::{self, Endpoint, OPEN};
use super::guard::Guard;
use super::openapi;
use crate::clock::Now;
use crate::lifecycle::{Control, Manner};
use crate::listen::Counts;
use crate::names::ListenerName;
use crate::snapshot::Current;
use crate::telemetry;

/// What the API tells of, and changes.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) current: Arc<Current>,
    pub(crate) control: Arc<Control>,
    pub(crate) counts: Arc<telemetry::Counts>,
    pub(crate) recent: Arc<telemetry::Recent>,
    pub(crate) listeners: Vec<ListenerHandle>,
    /// How the process is to stop, once it is.
    pub(crate) said: watch::Receiver<Option<Manner>>,
}

/// A listener, for telling of it.
#[derive(Debug)]
pub(crate) struct ListenerHandle {
    pub(crate) name: ListenerName,
    /// Where it really listens.
    pub(crate) address: SocketAddr,
    pub(crate) counts: Arc<Counts>,
}

/// What handlers see.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) current: Arc<Current>,
    pub(super) control: Arc<Control>,
    pub(super) counts: Arc<telemetry::Counts>,
    pub(super) recent: Arc<telemetry::Recent>,
    pub(super) listeners: Vec<ListenerHandle>,
    pub(super) started: Now,
    said: watch::Receiver<Option<Manner>>,
    stopping: AtomicBool,
    /// The OpenAPI document, but for what depends on the token.
    pub(super) document: Value,
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
        let Parts { current, control, counts, recent, listeners, said } = parts;
        let (started, stopping) = (Now::read(), AtomicBool::new(false));
        let document = openapi::document(&endpoints);
        let api = Api { current, control, counts, recent, listeners, started, said, stopping, document };
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
    pub(super) fn answer(&self, request: &Request, from: &str) -> Answer {
        self.try_answer(request, from).unwrap_or_else(Answer::from)
    }

    fn try_answer(&self, request: &Request, from: &str) -> Result<Answer, Refusal> {
        if request.path != OPEN {
            let token = self.api.control.admin_token();
            self.guard.admit(&request.headers, token.as_ref().map(|token| token.0.as_slice()))?;
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
    let allow = allowed.join(", ");
    let help = format!("allowed: {allow}");
    let message = "the path is there, but not for this method";
    let mut refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message, help);
    refusal.allow = Some(allow);
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
