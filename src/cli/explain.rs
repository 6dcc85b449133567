//! `steadfast explain`: the very decision that a request would get, with each piece of evidence.
//!
//! From the configuration alone: every backend counts as its configuration says, nobody is loaded, and the
//! learned table is empty.

use std::fmt::Write as _;
use std::process::ExitCode;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use serde_json::{Value, json};

use super::{args, fail, print};
use crate::affinity::{self, Circumstance, Evidence, Explanation, RequestView, Verdict};
use crate::clock::Now;
use crate::config;
use crate::snapshot::{Secrets, ServedPool, Snapshot};

pub(super) fn explain(args: &args::Explain) -> ExitCode {
    match explained(args) {
        Ok(text) => print(&text),
        Err(message) => fail(&message),
    }
}

fn explained(args: &args::Explain) -> Result<String, String> {
    let checked = config::load(&args.config).map_err(|problems| problems.to_string())?;
    let secrets = Secrets::open_without_writing(&checked).map_err(|error| error.to_string())?;
    let snapshot = Snapshot::compile(checked, &secrets, None, Now::read());
    let listener = match &args.listener {
        Some(name) => snapshot.listeners.iter().find(|listener| listener.name.as_str() == name),
        None => snapshot.listeners.first(),
    };
    let listener = listener.ok_or("there is no such listener")?;
    let pool =
        listener.routes.find().and_then(|pool| snapshot.pool(pool)).ok_or("no route takes the request")?;
    let uri: Uri = args.url.parse().map_err(|error| format!("`{}` is no URL: {error}", args.url))?;
    let headers = headers(&args.headers, &uri)?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let request = RequestView {
        target: target.as_bytes(),
        headers: &headers,
        client: args.from,
        connection_choice: None,
        named_session: None,
    };
    let now = Now::read();
    let evidence = Evidence::read(&request, &pool.policy, &pool.pool, now);
    let at = Circumstance { now, draw: 0, held: false };
    let explanation = affinity::explain(&evidence, &pool.policy, &pool.pool, at);
    Ok(if args.json {
        format!("{:#}", as_json(pool, &explanation))
    } else {
        as_text(args, pool, &explanation)
    })
}

fn headers(fields: &[String], uri: &Uri) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    if let Some(authority) = uri.authority() {
        let host = HeaderValue::from_str(authority.as_str()).map_err(|error| error.to_string())?;
        headers.insert(header::HOST, host);
    }
    for field in fields {
        let (name, value) = field.split_once(':').ok_or_else(|| format!("`{field}` is no `NAME: VALUE`"))?;
        let name: HeaderName =
            name.trim().parse().map_err(|error| format!("`{name}` is no header name: {error}"))?;
        let value = HeaderValue::from_bytes(value.trim().as_bytes())
            .map_err(|error| format!("`{name}` has no usable value: {error}"))?;
        if name == header::HOST {
            headers.insert(name, value);
        } else {
            headers.append(name, value);
        }
    }
    Ok(headers)
}

/// The words of a verdict: backend, reason, and what else is to be said.
fn words(pool: &ServedPool, verdict: &Verdict) -> (Option<String>, String) {
    let id = |index| pool.pool.backend(index).map(|backend| backend.id().to_string());
    match verdict {
        Verdict::To(decision) => (id(decision.backend), decision.reason.as_str().to_owned()),
        Verdict::Hold(home) => (id(*home), "held".to_owned()),
        Verdict::Refuse(refusal) => (None, refusal.as_str().to_owned()),
    }
}

fn as_json(pool: &ServedPool, explanation: &Explanation) -> Value {
    let (backend, reason) = words(pool, &explanation.verdict);
    let runner_up = explanation.runner_up.and_then(|index| pool.pool.backend(index));
    let evidence: Vec<_> = explanation
        .findings
        .iter()
        .map(|finding| json!({ "what": finding.what, "says": finding.says }))
        .collect();
    json!({
        "pool": pool.pool.name().as_str(),
        "backend": backend,
        "reason": reason,
        "runner_up": runner_up.map(|backend| backend.id().as_str()),
        "evidence": evidence,
    })
}

fn as_text(args: &args::Explain, pool: &ServedPool, explanation: &Explanation) -> String {
    let (backend, reason) = words(pool, &explanation.verdict);
    let mut text = format!("{} {} from {}\n", args.method, args.url, args.from);
    let _ = writeln!(text, "  pool      {}", pool.pool.name());
    if explanation.findings.is_empty() {
        let _ = writeln!(text, "  evidence  none");
    }
    for finding in &explanation.findings {
        let _ = writeln!(text, "  evidence  {}: {}", finding.what, finding.says);
    }
    let _ = write!(text, "  backend   {} (reason: {reason})", backend.as_deref().unwrap_or("none"));
    if let Some(next) = explanation.runner_up.and_then(|index| pool.pool.backend(index)) {
        let _ = write!(text, "\n  next      {}, if that one were gone", next.id());
    }
    text
}
