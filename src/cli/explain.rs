//! `steadfast explain`: the very decision that a request would get, with each piece of evidence.
//!
//! From the configuration alone: every backend counts as its configuration says, nobody is loaded, and the
//! learned table is empty. With `--admin`, a running balancer is asked.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::client::Client;
use super::{args, fail, print};
use crate::admin::{Explained, Field, Question};
use crate::clock::Now;
use crate::config;
use crate::snapshot::{Secrets, Snapshot};

pub(super) fn explain(args: &args::Explain) -> ExitCode {
    match explained(args) {
        Ok(text) => print(&text),
        Err(message) => fail(&message),
    }
}

fn explained(args: &args::Explain) -> Result<String, String> {
    let question = Question {
        method: args.method.clone(),
        url: args.url.clone(),
        headers: args.headers.iter().map(|field| self::field(field)).collect::<Result<_, _>>()?,
        from: args.from,
        listener: args.listener.clone(),
    };
    let explained = match (&args.admin, &args.config) {
        (None, Some(file)) => {
            let checked = config::load(file).map_err(|problems| problems.to_string())?;
            let secrets = Secrets::open_without_writing(&checked).map_err(|error| error.to_string())?;
            let snapshot = Snapshot::compile(checked, &secrets, None, Now::read());
            crate::admin::explain(&snapshot, &question).map_err(|error| error.to_string())?
        }
        (admin, file) => {
            let client = Client::find(admin.as_deref(), file.as_deref())?;
            client.send("POST", "/v1/explain", Some(&question))?
        }
    };
    if args.json {
        return serde_json::to_string_pretty(&explained).map_err(|error| error.to_string());
    }
    Ok(as_text(args, &explained))
}

fn field(text: &str) -> Result<Field, String> {
    let (name, value) = text.split_once(':').ok_or_else(|| format!("`{text}` is no `NAME: VALUE`"))?;
    Ok(Field { name: name.trim().to_owned(), value: value.trim().to_owned() })
}

fn as_text(args: &args::Explain, explained: &Explained) -> String {
    let mut text = format!("{} {} from {}\n", args.method, args.url, args.from);
    let _ = writeln!(text, "  route     {}", explained.route);
    let _ = writeln!(text, "  pool      {}", explained.pool);
    if explained.evidence.is_empty() {
        let _ = writeln!(text, "  evidence  none");
    }
    for clue in &explained.evidence {
        let _ = writeln!(text, "  evidence  {}: {}", clue.what, clue.says);
    }
    let backend = explained.backend.as_deref().unwrap_or("none");
    let _ = write!(text, "  backend   {backend} (reason: {})", explained.reason);
    if let Some(next) = &explained.runner_up {
        let _ = write!(text, "\n  next      {next}, if that one were gone");
    }
    text
}
