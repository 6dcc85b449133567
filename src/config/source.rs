//! Reading a file: size limit, YAML, environment variables; then the check.

use std::path::Path;

use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy};

use super::build;
use super::checked::Checked;
use super::keys;
use super::kind;
use super::node::{At, Node, Value};
use super::report::{Problems, Report};

/// A larger file is no configuration.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Reads and checks a file; environment variables come from the process.
///
/// # Errors
/// Every problem of the file, each with its position.
pub fn load(path: &Path) -> Result<Checked, Problems> {
    let name = path.display().to_string();
    let unreadable = |message: String| {
        let mut report = Report::new(name.clone(), "");
        report.error(
            At { line: 1, column: 1 },
            message,
            Some("name a readable YAML file with `-c FILE`".to_owned()),
        );
        Problems::from(report.finish())
    };
    let length =
        std::fs::metadata(path).map_err(|error| unreadable(format!("cannot read the file: {error}")))?.len();
    if length > MAX_FILE_BYTES {
        return Err(unreadable(format!("the file has {length} bytes, more than {MAX_FILE_BYTES}")));
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| unreadable(format!("cannot read the file: {error}")))?;
    parse(&text, path)
}

/// Checks a text; `path` is named in messages, and relative paths start from its folder.
///
/// # Errors
/// Every problem of the text, each with its position.
pub fn parse(text: &str, path: &Path) -> Result<Checked, Problems> {
    parse_with(text, path, &|name| std::env::var(name).ok())
}

/// Checks a text with the given environment.
///
/// # Errors
/// Every problem of the text, each with its position.
pub fn parse_with(
    text: &str,
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Checked, Problems> {
    let mut report = Report::new(path.display().to_string(), text);
    let Some(mut root) = read_yaml(text, &mut report) else { return Err(report.finish().into()) };
    expand(&mut root, environment, &mut report);
    kind::check_section(&root, &keys::ROOT, &mut report);
    let folder = path.parent().unwrap_or(Path::new("."));
    build::build(&root, folder, environment, report)
}

fn read_yaml(text: &str, report: &mut Report<'_>) -> Option<Node> {
    let mut options = serde_saphyr::Options::default();
    options.duplicate_keys = DuplicateKeyPolicy::Error;
    options.merge_keys = MergeKeyPolicy::Error;
    options.with_snippet = false;
    match serde_saphyr::from_str_with_options::<Option<Node>>(text, options) {
        Ok(Some(root)) => Some(root),
        Ok(None) => {
            report.error(
                At { line: 1, column: 1 },
                "the file is empty".to_owned(),
                Some("start with `version: 1`".to_owned()),
            );
            None
        }
        Err(error) => {
            let at = error.location().map_or(At { line: 1, column: 1 }, |at| At {
                line: at.line().max(1),
                column: at.column().max(1),
            });
            let message = error.without_snippet().to_string();
            let message = message.lines().next().unwrap_or("not readable").trim_end_matches(':');
            report.error(at, format!("this is no YAML that can be used: {message}"), None);
            None
        }
    }
}

/// Puts environment variables in the place of `${NAME}`, inside of scalars only; `$${` is a plain `${`.
fn expand(node: &mut Node, environment: &dyn Fn(&str) -> Option<String>, report: &mut Report<'_>) {
    match &mut node.value {
        Value::Text(text) if text.contains("${") => match expanded(text, environment) {
            Ok(value) => {
                *text = value;
                node.expanded = true;
            }
            Err(problem) => {
                let help = "set it, or write `$${` for a plain `${`".to_owned();
                report.error(node.at, problem, Some(help));
            }
        },
        Value::List(items) => items.iter_mut().for_each(|item| expand(item, environment, report)),
        Value::Map(entries) => {
            entries.iter_mut().for_each(|entry| expand(&mut entry.value, environment, report))
        }
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Decimal(_) | Value::Text(_) => {}
    }
}

fn expanded(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            result.push_str(before);
            result.push_str("${");
            rest = after;
            continue;
        }
        result.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            return Err("`${` is not closed by `}`".to_owned());
        };
        match environment(name) {
            Some(value) => result.push_str(&value),
            None => return Err(format!("the environment variable `{name}` is not set")),
        }
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}
