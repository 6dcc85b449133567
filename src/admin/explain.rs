//! Where a request would go, and why: the very decision that it would get, with each piece of evidence.
//!
//! `steadfast explain` asks this of a snapshot that it compiles from a file, the API of the one in force.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::answer::Refusal;
use super::app::Api;
use super::call::Call;
use super::view::StateWord;
use crate::affinity::{self, Circumstance, Evidence, RequestView, Verdict};
use crate::clock::Now;
use crate::pool::{Pool, State};
use crate::route::{self, Action, FixedAnswer, Found, Split};
use crate::snapshot::{ServedPool, Snapshot};

/// A request that is asked about.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    /// The request's method.
    #[serde(default = "get_method")]
    #[schemars(regex(pattern = r"^[A-Z]{1,20}$"))]
    pub(crate) method: String,
    /// The request's URL, or its path.
    #[schemars(
        length(max = 8000),
        regex(
            pattern = r"^(https?://[A-Za-z0-9.-]{1,200}(:[0-9]{1,4})?)?/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*$"
        )
    )]
    pub(crate) url: String,
    /// Its header fields, in order.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub(crate) headers: Vec<Field>,
    /// The client's address.
    #[serde(default = "nobody")]
    #[schemars(schema_with = "ip_schema")]
    pub(crate) from: IpAddr,
    /// The listener that receives it; null: the first one.
    #[serde(default)]
    pub(crate) listener: Option<String>,
    /// What if these backends of its pool were in other states?
    #[serde(default, rename = "if")]
    #[schemars(length(max = 100))]
    pub(crate) suppose: Vec<Supposition>,
}

/// A backend, and a state that it may not be in.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Supposition {
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"))]
    pub(crate) backend: String,
    pub(crate) state: StateWord,
}

/// A header field.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Field {
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{1,100}$"))]
    pub(crate) name: String,
    #[schemars(length(max = 8000), regex(pattern = r"^[ -~]*$"))]
    pub(crate) value: String,
}

/// Where a request would go, and why.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Explained {
    /// The route that takes it: its name, or its number in the listener.
    pub(crate) route: String,
    pub(crate) pool: String,
    /// The backend; null: nobody can serve it.
    pub(crate) backend: Option<String>,
    /// The reason, `held` while a suspect backend is probed, or why nobody can serve it.
    pub(crate) reason: String,
    /// Why, in a sentence.
    pub(crate) because: String,
    /// Who would be next if that backend were gone.
    pub(crate) runner_up: Option<String>,
    /// What the request says about its session, strongest first.
    pub(crate) evidence: Vec<Clue>,
    /// The backends of the pool and their states, as they were looked at.
    pub(crate) states: Vec<BackendState>,
    /// The limits of requests in a time that it counts for, of the listener and of the route.
    #[serde(default)]
    pub(crate) limits: Vec<String>,
}

/// A backend and its state.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct BackendState {
    pub(crate) backend: String,
    pub(crate) state: StateWord,
}

/// One piece of evidence, in words: never with a session id or a cookie's value.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Clue {
    /// What it is.
    pub(crate) what: String,
    /// What it says.
    pub(crate) says: String,
    /// What it is worth: `decides`, `holds`, `outranked`, `unusable`, `unknown` or `absent`.
    pub(crate) weight: String,
    /// Why it is worth that.
    pub(crate) why: String,
}

/// Why a request cannot be explained.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unexplained {
    #[error("there is no such listener; they are: {0}")]
    NoListener(String),
    #[error("no route takes the request: it would be answered with 404")]
    NoRoute,
    #[error(
        "servers may read the path in two ways, which lead to different routes: it would be answered with 400"
    )]
    Ambiguous,
    #[error("route {route} takes the request and answers it with {status}: no backend is asked")]
    Answered { route: String, status: u16 },
    #[error("the method is none: {0}")]
    Method(http::method::InvalidMethod),
    #[error("the URL is none: {0}")]
    Url(http::uri::InvalidUri),
    #[error("header field {0} has no usable name or value")]
    Field(usize),
    #[error("pool {pool} has no backend `{backend}`; they are: {known}")]
    NoBackend { pool: String, backend: String, known: String },
}

/// Of a URL, and of a header field's value.
const MAX_LENGTH: usize = 8000;
/// Header fields.
const MAX_FIELDS: usize = 100;

/// Explains a request by the snapshot in force, with the function that routes requests. Nothing changes by asking.
pub(super) fn answer(api: &Api, _: &Call<'_>, question: Question) -> Result<Explained, Refusal> {
    check(&question)?;
    explain(&api.current.load(), &question).map_err(|why| {
        let help = "GET /v1/status names the listeners, GET /v1/openapi.json says what is taken";
        match why {
            Unexplained::NoListener(_) => Refusal::unknown("unknown_listener", why.to_string(), help),
            Unexplained::NoBackend { .. } => Refusal::unknown("unknown_backend", why.to_string(), help),
            Unexplained::NoRoute | Unexplained::Ambiguous | Unexplained::Answered { .. } => {
                Refusal::unknown("no_route", why.to_string(), help)
            }
            Unexplained::Url(_) | Unexplained::Field(_) | Unexplained::Method(_) => {
                Refusal::bad("bad_request", why.to_string(), help)
            }
        }
    })
}

/// Explains a request.
///
/// # Errors
/// It is no request, or no listener or route takes it.
pub(crate) fn explain(snapshot: &Snapshot, question: &Question) -> Result<Explained, Unexplained> {
    let listener = match &question.listener {
        Some(name) => snapshot.listeners.iter().find(|listener| listener.name.as_str() == name),
        None => snapshot.listeners.first(),
    };
    let listener = listener.ok_or_else(|| {
        let names: Vec<_> = snapshot.listeners.iter().map(|listener| listener.name.as_str()).collect();
        Unexplained::NoListener(names.join(", "))
    })?;
    let uri: Uri = question.url.parse().map_err(Unexplained::Url)?;
    let headers = headers(&question.headers, &uri)?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let method = Method::from_bytes(question.method.as_bytes()).map_err(Unexplained::Method)?;
    let request = route::RequestView {
        method: &method,
        host: headers.get(header::HOST).map(HeaderValue::as_bytes),
        target: target.as_bytes(),
        headers: &headers,
        client: question.from,
        server_name: uri.host().filter(|_| uri.scheme() == Some(&http::uri::Scheme::HTTPS)),
    };
    let route = match listener.routes.find(&request) {
        Found::Route(route) => route,
        Found::Nothing => return Err(Unexplained::NoRoute),
        Found::Ambiguous => return Err(Unexplained::Ambiguous),
    };
    let request = RequestView {
        target: target.as_bytes(),
        headers: &headers,
        client: question.from,
        connection_choice: None,
        named_session: None,
    };
    let now = Now::read();
    let served = match &route.action {
        Action::Pool(index) => snapshot.pool(*index),
        Action::Split(split) => of_split(snapshot, split, &request, now),
        Action::Redirect { status, .. } | Action::Respond(FixedAnswer { status, .. }) => {
            let (route, status) = (route.name.to_string(), status.as_u16());
            return Err(Unexplained::Answered { route, status });
        }
    };
    let served = served.ok_or(Unexplained::NoRoute)?;
    let evidence = Evidence::read(&request, &served.policy, &served.pool, now);
    let at = Circumstance { now, draw: 0, held: false };
    let supposed = supposed(&served.pool, &question.suppose)?;
    let pool = supposed.as_ref().unwrap_or(&served.pool);
    let explanation = affinity::explain(&evidence, &served.policy, pool, at);
    let id = |index| pool.backend(index).map(|backend| backend.id().to_string());
    let (backend, reason) = match &explanation.verdict {
        Verdict::To(decision) => (id(decision.backend), decision.reason.as_str()),
        Verdict::Hold(home) => (id(*home), "held"),
        Verdict::Refuse(refusal) => (None, refusal.as_str()),
    };
    let evidence = explanation.findings.into_iter().map(|finding| Clue {
        what: finding.what,
        says: finding.says,
        weight: finding.weight.as_str().to_owned(),
        why: finding.why,
    });
    let states = pool
        .backends()
        .iter()
        .map(|backend| BackendState { backend: backend.id().to_string(), state: backend.state(now).into() });
    let of_route = listener.route_limits.get(route.place).map(|limits| limits.requests.as_slice());
    let limits = listener.requests.iter().chain(of_route.unwrap_or_default());
    Ok(Explained {
        limits: limits.map(|limit| limit.in_words()).collect(),
        route: route.name.to_string(),
        pool: pool.name().to_string(),
        backend,
        reason: reason.to_owned(),
        because: explanation.because,
        runner_up: explanation.runner_up.and_then(id),
        evidence: evidence.collect(),
        states: states.collect(),
    })
}

/// The pool of a split that would serve the request.
fn of_split<'s>(
    snapshot: &'s Snapshot,
    split: &Split,
    request: &RequestView<'_>,
    now: Now,
) -> Option<&'s Arc<ServedPool>> {
    let pools: Vec<_> =
        split.parts().iter().filter_map(|part| Some((snapshot.pool(part.pool)?, part.weight))).collect();
    let evidence: Vec<_> =
        pools.iter().map(|(served, _)| Evidence::read(request, &served.policy, &served.pool, now)).collect();
    let claims: Vec<_> = pools
        .iter()
        .zip(&evidence)
        .map(|((served, _), evidence)| affinity::claim(evidence, &served.policy, now))
        .collect();
    let key = evidence.first().map_or(0, |evidence| evidence.contact.key);
    let serves = |at: &usize| {
        let (Some((served, weight)), Some(evidence)) = (pools.get(*at), evidence.get(*at)) else {
            return false;
        };
        let asked = *weight > 0 || claims.get(*at).is_some_and(Option::is_some);
        let at = Circumstance { now, draw: 0, held: false };
        let verdict = affinity::decide(evidence, &served.policy, &served.pool, at);
        asked && verdict != Verdict::Refuse(affinity::Refusal::NoBackend)
    };
    let order = affinity::in_order(&claims, split.choose(key));
    let first = order.iter().copied().find(serves).or_else(|| order.first().copied())?;
    pools.get(first).map(|(served, _)| *served)
}

/// The pool with other states, if any are supposed.
fn supposed(pool: &Pool, suppositions: &[Supposition]) -> Result<Option<Pool>, Unexplained> {
    let state = |supposition: &Supposition| match pool.find(&supposition.backend) {
        Some(index) => Ok((index, State::from(supposition.state))),
        None => {
            let known: Vec<_> = pool.backends().iter().map(|backend| backend.id().as_str()).collect();
            let (pool, backend) = (pool.name().to_string(), supposition.backend.clone());
            Err(Unexplained::NoBackend { pool, backend, known: known.join(", ") })
        }
    };
    let states = suppositions.iter().map(state).collect::<Result<Vec<_>, _>>()?;
    Ok((!states.is_empty()).then(|| pool.supposing(&states)))
}

fn headers(fields: &[Field], uri: &Uri) -> Result<HeaderMap, Unexplained> {
    let mut headers = HeaderMap::new();
    if let Some(host) = uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()) {
        headers.insert(header::HOST, host);
    }
    for (number, field) in (1..).zip(fields) {
        let name = field.name.parse::<HeaderName>().ok();
        let value = HeaderValue::from_bytes(field.value.trim().as_bytes()).ok();
        let (name, value) = name.zip(value).ok_or(Unexplained::Field(number))?;
        if name == header::HOST {
            headers.insert(name, value);
        } else {
            headers.append(name, value);
        }
    }
    Ok(headers)
}

/// Holds a question to what the description says of it.
fn check(question: &Question) -> Result<(), Refusal> {
    let refuse =
        |what: &str, help: &str| Err(Refusal::bad("bad_request", format!("{what} is not usable"), help));
    let method = &question.method;
    if !(1..=20).contains(&method.len()) || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return refuse("`method`", "write it such as GET");
    }
    if question.url.len() > MAX_LENGTH || !is_url(&question.url) {
        return refuse("`url`", "write http://HOST/PATH or /PATH, percent-encoded, at most 8000 bytes");
    }
    if question.headers.len() > MAX_FIELDS || question.suppose.len() > MAX_FIELDS {
        return refuse("`headers` or `if`", "at most 100 are taken");
    }
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    let is_field = |field: &Field| {
        (1..=100).contains(&field.name.len())
            && field.name.bytes().all(named)
            && field.value.len() <= MAX_LENGTH
            && field.value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    };
    match question.headers.iter().all(is_field) {
        true => Ok(()),
        false => refuse(
            "a header field",
            "names have letters, digits, `-` and `_`, values visible ASCII and blanks",
        ),
    }
}

/// A path, or a URL with one, of the characters that RFC 3986 section 3.3 and 3.4 allow.
fn is_url(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let path = match rest {
        None => Some(url),
        Some(rest) => rest.find('/').and_then(|slash| {
            let (host, path) = rest.split_at_checked(slash)?;
            let (name, port) = host.split_once(':').unwrap_or((host, "1"));
            let is_name = (1..=200).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
            let is_port = (1..=4).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
            (is_name && is_port).then_some(path)
        }),
    };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._~!$&'()*+,;=:@%/?-".contains(&byte);
    path.is_some_and(|path| path.starts_with('/') && path.bytes().all(legal))
}

fn get_method() -> String {
    "GET".to_owned()
}

fn nobody() -> IpAddr {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}

fn ip_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }] })
}
