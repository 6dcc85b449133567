//! A request as handlers see it: its place in the world, and its body.

use http::{HeaderMap, Method, StatusCode, header};
use serde::de::DeserializeOwned;

use super::answer::Refusal;
use crate::snapshot::{ServedPool, Snapshot};

/// A request, read whole.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// A request that has found its endpoint.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) request: &'a Request,
    pub(super) pool: Option<&'a str>,
    pub(super) backend: Option<&'a str>,
    /// A recent request, by its number or its own id.
    pub(super) request_id: Option<&'a str>,
    /// The one switch in the query that an endpoint may have.
    pub(super) dry_run: bool,
}

impl Call<'_> {
    /// The pool that the path names.
    pub(super) fn pool<'s>(&self, snapshot: &'s Snapshot) -> Result<&'s ServedPool, Refusal> {
        let name = self.pool.unwrap_or_default();
        let found = snapshot.pools.iter().find(|served| served.pool.name().as_str() == name);
        found.map(AsRef::as_ref).ok_or_else(|| {
            let names: Vec<_> = snapshot.pools.iter().map(|served| served.pool.name().as_str()).collect();
            let help = format!("the pools are: {}", names.join(", "));
            Refusal::unknown("unknown_pool", "there is no such pool", help)
        })
    }

    /// The body, which has to be JSON of that type.
    ///
    /// Its content type is no formality: a web page may send other types across origins without asking first.
    pub(super) fn body<B: DeserializeOwned>(&self) -> Result<B, Refusal> {
        let content_type = self.request.headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes());
        let is_json = content_type.is_some_and(|text| {
            let end = text.iter().position(|byte| *byte == b';').unwrap_or(text.len());
            text.get(..end).unwrap_or_default().trim_ascii().eq_ignore_ascii_case(b"application/json")
        });
        if !is_json {
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not_json",
                "the body is not JSON",
                "send `Content-Type: application/json`",
            ));
        }
        // To serde, a list of a mapping's values is as good as the mapping.
        if self.request.body.trim_ascii_start().starts_with(b"[") {
            let message = "the body is not what this endpoint takes: it is a list";
            return Err(Refusal::bad(
                "bad_body",
                message,
                "GET /v1/openapi.json says what each endpoint takes",
            ));
        }
        serde_json::from_slice(&self.request.body).map_err(|error| {
            // Without the body's values: a session id may be among them.
            let said = error.to_string();
            let names_a_field = ["missing field", "unknown field", "duplicate field"];
            let message = if names_a_field.iter().any(|words| said.starts_with(words)) {
                said
            } else {
                let (line, column) = (error.line(), error.column());
                format!("the body is not what this endpoint takes: line {line}, column {column}")
            };
            Refusal::bad("bad_body", message, "GET /v1/openapi.json says what each endpoint takes")
        })
    }
}

/// Reads the query of an endpoint that knows `dry_run`, or nothing.
pub(super) fn dry_run(query: Option<&str>, is_known: bool) -> Result<bool, Refusal> {
    let refuse = || {
        let help =
            if is_known { "known here: dry_run=true, dry_run=false" } else { "this endpoint takes no query" };
        Refusal::bad("bad_query", "the query is not what this endpoint takes", help)
    };
    match query {
        None => Ok(false),
        Some("dry_run=true") if is_known => Ok(true),
        Some("dry_run=false") if is_known => Ok(false),
        Some(_) => Err(refuse()),
    }
}
