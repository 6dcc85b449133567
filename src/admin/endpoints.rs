//! The table of endpoints. Router and OpenAPI document are both made from it.

use http::{Method, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::{Answer, Refusal};
use super::app::Api;
use super::call::Call;
use super::{advice, changes, explain, history, log_level, metrics, openapi, requests, sessions, state};

/// Answers a call.
type Handler = dyn Fn(&Api, &Call<'_>) -> Result<Answer, Refusal> + Send + Sync;

/// One method on one path.
pub(super) struct Endpoint {
    pub(super) method: Method,
    /// With `{pool}`, `{backend}` and `{request}`.
    pub(super) path: &'static str,
    /// Its name for programs.
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) success: StatusCode,
    /// What else it may be answered with, besides what all may.
    pub(super) refusals: &'static [u16],
    /// Whether it takes `?dry_run=`.
    pub(super) dry_run: bool,
    /// Whether it changes something, which is then logged.
    pub(super) changes: bool,
    pub(super) takes: Option<fn(&mut SchemaGenerator) -> Schema>,
    pub(super) gives: fn(&mut SchemaGenerator) -> Schema,
    /// The media types of what it gives.
    pub(super) media: &'static [&'static str],
    pub(super) handle: Box<Handler>,
}

/// The path that answers without a token.
pub(super) const OPEN: &str = "/healthz";

const JSON: &[&str] = &["application/json"];

const BACKENDS: &str = "/v1/pools/{pool}/backends";
const BACKEND: &str = "/v1/pools/{pool}/backends/{backend}";

/// All endpoints.
pub(super) fn all() -> Vec<Endpoint> {
    let (put, post, patch, delete) = (Method::PUT, Method::POST, Method::PATCH, Method::DELETE);
    vec![
        get(OPEN, "healthz", "Whether the process lives; needs no token", state::healthz),
        get("/readyz", "readyz", "Whether new sessions can be served", state::readyz).refuses(&[503]),
        get("/v1/status", "status", "What the balancer is doing", state::status),
        get("/v1/pools", "pools", "All pools with their backends", state::pools),
        get("/v1/pools/{pool}", "pool", "One pool with its backends", state::pool),
        get(BACKENDS, "backends", "The backends of a pool", state::backends),
        get(BACKEND, "backend", "One backend", state::backend),
        get(
            "/v1/pools/{pool}/sessions",
            "sessions",
            "How many sessions are learned, by backend",
            sessions::count,
        ),
        write(
            post.clone(),
            "/v1/pools/{pool}/sessions/lookup",
            "lookup",
            "Where a session lives",
            sessions::lookup,
        )
        .reads(),
        write(
            post.clone(),
            "/v1/pools/{pool}/sessions/forget",
            "forget",
            "Forget a session",
            sessions::forget,
        ),
        write(post.clone(), "/v1/explain", "explain", "Where a request would go, and why", explain::answer)
            .reads()
            .refuses(&[404]),
        get("/v1/requests", "requests", "Recent requests, moves and losses first of all", requests::all),
        get(
            "/v1/requests/{request}",
            "request",
            "A recent request, explained; by its number or its own id",
            requests::one,
        ),
        get("/v1/advice", "advice", "What was lost and why, and whether timeouts fit", advice::all),
        get("/v1/history", "history", "The last hour of each pool's sessions", history::all),
        get("/v1/log-level", "log_level", "How much is logged", log_level::get),
        write(
            put,
            "/v1/log-level",
            "set_log_level",
            "Log more or less, until the process ends",
            log_level::put,
        )
        .refuses(&[409]),
        write(post.clone(), "/v1/reload", "reload", "Put the configuration file in force", changes::reload)
            .takes_dry_run()
            .refuses(&[409]),
        write(patch, BACKEND, "change_backend", "Change a backend's state or weight", changes::patch)
            .refuses(&[409]),
        write(post.clone(), BACKENDS, "add_backend", "Add a backend", changes::add).creates().refuses(&[409]),
        Endpoint {
            method: delete,
            changes: true,
            ..get(BACKEND, "remove_backend", "Take a backend out", changes::remove)
        }
        .refuses(&[409]),
        write(
            post.clone(),
            "/v1/pools/{pool}/backends/{backend}/drain",
            "drain",
            "Keep sessions, take no new ones",
            changes::drain,
        )
        .refuses(&[409]),
        write(
            post.clone(),
            "/v1/pools/{pool}/backends/{backend}/ready",
            "ready",
            "Take everything",
            changes::ready,
        )
        .refuses(&[409]),
        write(
            post.clone(),
            "/v1/pools/{pool}/backends/{backend}/maintain",
            "maintain",
            "Take nothing",
            changes::maintain,
        )
        .refuses(&[409]),
        write(
            post,
            "/v1/pools/{pool}/backends/{backend}/reset",
            "reset",
            "Take changes back: the file counts again",
            changes::reset,
        )
        .refuses(&[409]),
        Endpoint {
            media: &["text/plain", "application/openmetrics-text"],
            handle: Box::new(metrics::answer),
            ..get("/metrics", "metrics", "What happens, for Prometheus", |_, _| Ok(String::new()))
        },
        get("/v1/openapi.json", "openapi", "This description", openapi::answer),
    ]
}

fn get<A: Serialize + JsonSchema + 'static>(
    path: &'static str,
    name: &'static str,
    summary: &'static str,
    handler: fn(&Api, &Call<'_>) -> Result<A, Refusal>,
) -> Endpoint {
    Endpoint {
        method: Method::GET,
        path,
        name,
        summary,
        success: StatusCode::OK,
        refusals: &[],
        dry_run: false,
        changes: false,
        takes: None,
        gives: |generator| generator.subschema_for::<A>(),
        media: JSON,
        handle: Box::new(move |api, call| Ok(Answer::json(StatusCode::OK, &handler(api, call)?))),
    }
}

fn write<B: DeserializeOwned + JsonSchema + 'static, A: Serialize + JsonSchema + 'static>(
    method: Method,
    path: &'static str,
    name: &'static str,
    summary: &'static str,
    handler: fn(&Api, &Call<'_>, B) -> Result<A, Refusal>,
) -> Endpoint {
    Endpoint {
        method,
        path,
        name,
        summary,
        success: StatusCode::OK,
        refusals: &[],
        dry_run: false,
        changes: true,
        takes: Some(|generator| generator.subschema_for::<B>()),
        gives: |generator| generator.subschema_for::<A>(),
        media: JSON,
        handle: Box::new(move |api, call| {
            Ok(Answer::json(StatusCode::OK, &handler(api, call, call.body()?)?))
        }),
    }
}

impl Endpoint {
    fn refuses(self, refusals: &'static [u16]) -> Self {
        Self { refusals, ..self }
    }

    fn takes_dry_run(self) -> Self {
        Self { dry_run: true, ..self }
    }

    fn reads(self) -> Self {
        Self { changes: false, ..self }
    }

    fn creates(self) -> Self {
        Self { success: StatusCode::CREATED, ..self }
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}
