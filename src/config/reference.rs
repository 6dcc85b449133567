//! The reference of the configuration, made from the schema: `docs/configuration.md`.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::schema::inlined;

const INTRODUCTION: &str = "\
# Configuration

Every key of a configuration file. This page is made from the program's own schema (`steadfast schema`); a test
keeps the two alike. Complete files are in [`conf/`](../conf).

- The file is YAML, UTF-8, at most 4 MiB. Booleans are `true` and `false` only.
- Durations and sizes have units: `250ms`, `2s`, `30m`, `12h`, `1d`; `512B`, `16KiB`, `10MiB`.
- Relative paths start at the configuration file's folder.
- `${VARIABLE}` in a value is replaced by the environment variable; one that is not set is an error. It can never
  add keys or lists. `$${` is a literal `${`.
- Unknown keys and words are errors, and so are keys that this release does not support yet.
- `steadfast check -c FILE` reports all problems of a file at once. An error refuses the file; a warning is legal
  but probably not meant; a note is worth knowing.

A key whose default is *required* has to be written.
";

/// The reference of all keys, in Markdown.
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    section(&mut page, "", &inlined());
    page
}

/// A table of a mapping's keys, then a section for each key with keys of its own.
fn section(page: &mut String, path: &str, schema: &Json) {
    let title = if path.is_empty() { "The file".to_owned() } else { format!("`{path}`") };
    let _ = write!(page, "\n## {title}\n\n");
    if let Some(description) = schema.get("description").and_then(Json::as_str).filter(|_| !path.is_empty()) {
        let _ = write!(page, "{}\n\n", one_line(description));
    }
    page.push_str("| key | type | default | meaning |\n|---|---|---|---|\n");
    let order = schema.get("x-order").and_then(Json::as_array).into_iter().flatten();
    let properties = order.filter_map(|name| {
        let name = name.as_str()?;
        Some((name, schema.get("properties")?.get(name)?))
    });
    for (name, property) in properties.clone() {
        let description = property.get("description").and_then(Json::as_str).unwrap_or_default();
        let default = match property.get("default") {
            None => "*required*".to_owned(),
            Some(default) => format!("`{}`", yaml(default)),
        };
        let kind = kind(property).replace('|', "\\|");
        let _ = writeln!(page, "| `{name}` | {kind} | {default} | {} |", one_line(description));
    }
    for (name, property) in properties {
        let below = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        if let Some((suffix, inner)) = mapping(property) {
            section(page, &format!("{below}{suffix}"), inner);
        }
    }
}

/// The mapping that a key holds, if it holds one, and what its path has in between.
fn mapping(schema: &Json) -> Option<(&'static str, &Json)> {
    if let Some(items) = schema.get("items") {
        return mapping(items).map(|(_, inner)| ("[]", inner));
    }
    if let Some(named) = schema.get("additionalProperties").filter(|named| named.is_object()) {
        return mapping(named).map(|(_, inner)| (".NAME", inner));
    }
    if let Some(choices) = schema.get("anyOf").and_then(Json::as_array) {
        return choices.iter().find_map(mapping);
    }
    schema.get("properties").is_some().then_some(("", schema))
}

/// What the reference calls a value's type.
fn kind(schema: &Json) -> String {
    let text = |key: &str| schema.get(key).and_then(Json::as_str);
    if let Some(name) = text("x-type") {
        return name.to_owned();
    }
    if let Some(words) = schema.get("enum").and_then(Json::as_array) {
        return words.iter().map(|word| format!("`{}`", yaml(word))).collect::<Vec<_>>().join(", ");
    }
    if let Some(choices) = schema.get("anyOf").and_then(Json::as_array) {
        let kinds: Vec<String> = choices.iter().filter(|choice| !is_null(choice)).map(kind).collect();
        return kinds.join(", or ");
    }
    if let Some(types) = schema.get("type").and_then(Json::as_array) {
        let mut types = types.iter().filter_map(Json::as_str).filter(|kind| *kind != "null");
        return simple(types.next().unwrap_or_default(), schema);
    }
    simple(text("type").unwrap_or_default(), schema)
}

fn simple(kind: &str, schema: &Json) -> String {
    match kind {
        "string" => "text".to_owned(),
        "boolean" => "`true`, `false`".to_owned(),
        "integer" => {
            let bound = |key: &str| schema.get(key).and_then(Json::as_u64).unwrap_or_default();
            match (bound("minimum"), bound("maximum")) {
                (min, max) if min == max => min.to_string(),
                (min, max) => format!("number, {min} to {max}"),
            }
        }
        "array" => match schema.get("items") {
            Some(items) if mapping(items).is_none() => format!("list of {}", self::kind(items)),
            _ => "list of mappings".to_owned(),
        },
        "object" => "mapping".to_owned(),
        other => other.to_owned(),
    }
}

fn is_null(schema: &Json) -> bool {
    schema.get("type").and_then(Json::as_str) == Some("null")
}

/// JSON as YAML would have it on one line, without quotes where none are needed.
fn yaml(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(items) => format!("[{}]", items.iter().map(yaml).collect::<Vec<_>>().join(", ")),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => value.to_string(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
