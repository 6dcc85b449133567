//! The JSON Schema and the reference of the configuration, both made from the table of keys.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::keys::ROOT;
use super::kind::{Key, Kind, Section};

/// The JSON Schema (2020-12) of the configuration, for editors and other tools.
pub fn schema() -> Value {
    let mut schema = of_section(&ROOT);
    if let Value::Object(fields) = &mut schema {
        fields.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        fields.insert("title".to_owned(), json!("Steadfast configuration"));
    }
    schema
}

/// The reference of every key, as Markdown.
pub fn reference() -> String {
    let mut text = String::from(
        "# Configuration reference\n\nMade from the table that `steadfast check` uses. Durations and sizes have units (`250ms`, `30m`, \
         `64KiB`). Paths\nare relative to the configuration file. `${NAME}` is replaced by an environment variable, `$${` is a plain \
         `${`.\n",
    );
    describe(&ROOT, "", &mut text);
    text
}

fn of_section(section: &Section) -> Value {
    let supported = || section.keys.iter().filter(|key| !matches!(key.kind, Kind::NotYet));
    let properties: Map<_, _> = supported().map(|key| (key.name.to_owned(), of_key(key))).collect();
    let required: Vec<_> = supported().filter(|key| key.required).map(|key| key.name).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required })
}

fn of_key(key: &Key) -> Value {
    let mut schema = of_kind(&key.kind);
    if let Value::Object(fields) = &mut schema {
        fields.insert("description".to_owned(), json!(key.doc));
        if !key.default.is_empty() {
            fields.insert("default".to_owned(), json!(key.default));
        }
    }
    schema
}

fn of_kind(kind: &Kind) -> Value {
    match kind {
        Kind::Text | Kind::Path | Kind::SocketAddress | Kind::Network | Kind::Token | Kind::Size => {
            json!({ "type": ["string", "null"] })
        }
        Kind::Duration { .. } => json!({ "type": ["string", "null"], "pattern": r"^\s*\d+\s*[a-zA-Z]+" }),
        Kind::Integer { min, max } => {
            // Environment variables come as text.
            json!({ "type": ["integer", "string", "null"], "minimum": narrow(*min), "maximum": narrow(*max) })
        }
        Kind::Factor => json!({ "type": ["number", "string", "null"], "minimum": 1, "maximum": 1000 }),
        Kind::Boolean => json!({ "type": ["boolean", "string", "null"] }),
        Kind::Word(words) => json!({ "enum": words }),
        Kind::StatusRange => json!({ "type": ["string", "integer"] }),
        Kind::List(item) => json!({ "type": "array", "items": of_kind(item) }),
        Kind::OneOrMore(item) => {
            json!({ "anyOf": [of_kind(item), { "type": "array", "items": of_kind(item) }] })
        }
        Kind::Section(section) => of_section(section),
        Kind::Switch(section) => json!({ "anyOf": [{ "type": "boolean" }, of_section(section)] }),
        Kind::Named(section) => json!({ "type": "object", "additionalProperties": of_section(section) }),
        Kind::NotYet => json!(false),
    }
}

fn narrow(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn describe(section: &Section, path: &str, text: &mut String) {
    let title = if path.is_empty() { "Top level".to_owned() } else { format!("`{path}`") };
    let _ = write!(text, "\n## {title}\n\n| key | value | default | meaning |\n|---|---|---|---|\n");
    let supported = || section.keys.iter().filter(|key| !matches!(key.kind, Kind::NotYet));
    for key in supported() {
        let default = match (key.required, key.default) {
            (true, _) => "required".to_owned(),
            (false, "") => "–".to_owned(),
            (false, default) => format!("`{default}`"),
        };
        let _ = writeln!(text, "| `{}` | {} | {default} | {} |", key.name, called(&key.kind), key.doc);
    }
    for key in supported() {
        let below =
            |suffix: &str| format!("{path}{}{}{suffix}", if path.is_empty() { "" } else { "." }, key.name);
        match &key.kind {
            Kind::Section(section) | Kind::Switch(section)
                if !section.keys.iter().all(|key| matches!(key.kind, Kind::NotYet)) =>
            {
                describe(section, &below(""), text);
            }
            Kind::List(Kind::Section(section)) => describe(section, &below("[]"), text),
            Kind::Named(section) => describe(section, &below(".NAME"), text),
            _ => {}
        }
    }
}

fn called(kind: &Kind) -> String {
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Path => "path".to_owned(),
        Kind::Integer { min, max } => format!("{min} to {max}"),
        Kind::Factor => "number, at least 1".to_owned(),
        Kind::Boolean => "true or false".to_owned(),
        Kind::Duration { .. } => "duration".to_owned(),
        Kind::Size => "size".to_owned(),
        Kind::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::SocketAddress => "address:port".to_owned(),
        Kind::Network => "network".to_owned(),
        Kind::Token => "name".to_owned(),
        Kind::StatusRange => "status range".to_owned(),
        Kind::List(item) => format!("list of {}", called(item)),
        Kind::OneOrMore(item) => format!("{}, or a list", called(item)),
        Kind::Section(_) => "section".to_owned(),
        Kind::Switch(_) => "true".to_owned(),
        Kind::Named(_) => "sections by name".to_owned(),
        Kind::NotYet => String::new(),
    }
}
