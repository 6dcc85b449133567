//! `${VARIABLE}` in values.
//!
//! Expansion happens in the parsed tree, so that no variable can add a key, a list or a comment.

use super::report::{Code, Finding, Place, Report};
use super::yaml::{Node, Scalar, Span, Value};

/// Where environment variables come from: the process, or a test's own list.
pub trait Environment {
    /// The variable's value; `None` if it is not set.
    fn variable(&self, name: &str) -> Option<String>;
}

impl<F: Fn(&str) -> Option<String>> Environment for F {
    fn variable(&self, name: &str) -> Option<String> {
        self(name)
    }
}

/// The environment of this process.
pub(super) struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// Expands every value of the tree; keys stay as they are.
pub(super) fn expand(node: &mut Node, environment: &dyn Environment, report: &Report<'_>) {
    match &mut node.value {
        Value::List(items) => {
            for item in items {
                expand(item, environment, report);
            }
        }
        Value::Mapping(entries) => {
            for (_, value) in entries {
                expand(value, environment, report);
            }
        }
        Value::Scalar(scalar) => match expanded(&scalar.text, environment) {
            Ok(Some(text)) => {
                let written = std::mem::take(&mut scalar.text);
                *scalar = Scalar { text, written: Some(written), plain: scalar.plain };
            }
            Ok(None) => {}
            Err(fault) => {
                report.add(fault.finding(node.span, report));
                node.value = Value::Broken;
            }
        },
        Value::Broken => {}
    }
}

/// Why a text cannot be expanded.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    NotSet(String),
    NoName(String),
    Open,
}

impl Fault {
    fn finding(self, span: Span, report: &Report<'_>) -> Finding {
        let (sought, message, help) = match self {
            Self::NotSet(name) => (
                format!("${{{name}}}"),
                format!("environment variable `{name}` is not set"),
                "set it, or write `$${` where a literal `${` is meant",
            ),
            Self::NoName(name) => (
                format!("${{{name}}}"),
                format!("`${{{name}}}` does not name an environment variable"),
                "a name has letters, digits and `_` only; write `$${` where a literal `${` is meant",
            ),
            Self::Open => (
                "${".to_owned(),
                "`${` without its `}`".to_owned(),
                "write `${NAME}`, or `$${` where a literal `${` is meant",
            ),
        };
        // The value may be long: point at the variable itself where it stands on the value's first line.
        let before = span.column.saturating_sub(1);
        let tail: String = report.line(span.line).chars().skip(before).collect();
        let place = match tail.find(&sought) {
            Some(offset) => Place {
                line: span.line,
                column: span.column + tail.get(..offset).unwrap_or_default().chars().count(),
                width: sought.chars().count(),
                key: "".into(),
            },
            None => Place { line: span.line, column: span.column, width: span.width, key: "".into() },
        };
        Finding::error(Code::Variable, &place, message).help(help)
    }
}

/// The text with its variables expanded; `None` if there was nothing to do.
fn expanded(text: &str, environment: &dyn Environment) -> Result<Option<String>, Fault> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(literal) = before.strip_suffix('$') {
            result.push_str(literal);
            result.push_str("${");
            rest = after;
            continue;
        }
        result.push_str(before);
        let (name, behind) = after.split_once('}').ok_or(Fault::Open)?;
        let named = !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !named {
            return Err(Fault::NoName(name.to_owned()));
        }
        result.push_str(&environment.variable(name).ok_or_else(|| Fault::NotSet(name.to_owned()))?);
        rest = behind;
    }
    result.push_str(rest);
    Ok(Some(result))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("10.0.0.1".to_owned()),
            "NASTY" => Some("x }, evil: true # ${HOST}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_expanded_once_and_escapes_are_kept() {
        let cases = [
            ("plain $5", None),
            ("${HOST}:80", Some("10.0.0.1:80")),
            ("${HOST}${HOST}", Some("10.0.0.110.0.0.1")),
            ("$${HOST}", Some("${HOST}")),
            ("a$${b} ${HOST}", Some("a${b} 10.0.0.1")),
            ("${NASTY}", Some("x }, evil: true # ${HOST}")),
        ];
        for (text, expected) in cases {
            assert_eq!(expanded(text, &environment), Ok(expected.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn faults_are_named() {
        assert_eq!(expanded("${NONE}", &environment), Err(Fault::NotSet("NONE".to_owned())));
        assert_eq!(expanded("${A:-b}", &environment), Err(Fault::NoName("A:-b".to_owned())));
        assert_eq!(expanded("${}", &environment), Err(Fault::NoName(String::new())));
        assert_eq!(expanded("a ${HOST", &environment), Err(Fault::Open));
    }
}
