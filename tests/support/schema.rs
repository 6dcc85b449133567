//! A check of JSON against a JSON Schema: as much of it as our own descriptions use, and a panic at the rest, so that
//! nothing is passed over. Schemathesis, in the end-to-end tests, brings one of somebody else's making.

use serde_json::Value;

/// Words that say nothing about a value, or only what schemathesis is told to invent.
const SILENT: [&str; 7] = ["description", "title", "default", "format", "$schema", "pattern", "examples"];

/// What is wrong with `value`; `root` is the document that `$ref` points into.
pub(crate) fn faults(value: &Value, schema: &Value, root: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check(value, schema, root, "", &mut faults);
    faults
}

fn check(value: &Value, schema: &Value, root: &Value, at: &str, faults: &mut Vec<String>) {
    let words = match schema {
        Value::Bool(true) => return,
        Value::Object(words) => words,
        other => panic!("{other} is no schema that we use"),
    };
    let mut wrong = |what: String| faults.push(format!("{at}: {what}: {value}"));
    let fits = |schema: &Value| self::faults(value, schema, root).is_empty();
    for (word, says) in words {
        match word.as_str() {
            "$ref" => {
                let target = says.as_str().and_then(|target| root.pointer(target.strip_prefix('#')?));
                let target = target.unwrap_or_else(|| panic!("{says} leads nowhere"));
                check(value, target, root, at, faults);
                return;
            }
            "type" if !kinds(says).any(|kind| is(value, kind)) => wrong(format!("is no {says}")),
            "const" if value != says => wrong(format!("is not {says}")),
            "enum" if !list(says).contains(value) => wrong(format!("is none of {says}")),
            "oneOf" if list(says).iter().filter(|schema| fits(schema)).count() != 1 => {
                wrong("fits not one".into())
            }
            "anyOf" if !list(says).iter().any(fits) => wrong("fits none".into()),
            "minimum" if value.is_number() && value.as_f64() < says.as_f64() => {
                wrong(format!("is below {says}"))
            }
            "maximum" if value.is_number() && value.as_f64() > says.as_f64() => {
                wrong(format!("is above {says}"))
            }
            "required" if value.is_object() => {
                let missing = list(says).iter().filter(|key| value.get(key.as_str().unwrap()).is_none());
                missing.for_each(|key| wrong(format!("lacks {key}")));
            }
            "type" | "required" | "const" | "enum" | "oneOf" | "anyOf" | "minimum" | "maximum" => {}
            // Below, where `wrong` is no longer needed.
            "properties" | "items" | "additionalProperties" => {}
            word => assert!(SILENT.contains(&word), "`{word}` is not checked"),
        }
    }
    let known = words.get("properties").and_then(Value::as_object);
    for (key, inner) in value.as_object().into_iter().flatten() {
        let schema = known.and_then(|known| known.get(key)).or_else(|| words.get("additionalProperties"));
        match schema {
            Some(Value::Bool(false)) => faults.push(format!("{at}/{key}: is not known")),
            Some(schema) => check(inner, schema, root, &format!("{at}/{key}"), faults),
            // Answers may grow; that one has grown without its description is a fault all the same.
            None if known.is_some() => faults.push(format!("{at}/{key}: is not described")),
            None => {}
        }
    }
    if let Some(items) = words.get("items") {
        for (position, inner) in value.as_array().into_iter().flatten().enumerate() {
            check(inner, items, root, &format!("{at}/{position}"), faults);
        }
    }
}

fn kinds(says: &Value) -> impl Iterator<Item = &str> {
    says.as_str().into_iter().chain(says.as_array().into_iter().flatten().filter_map(Value::as_str))
}

fn list(says: &Value) -> &[Value] {
    says.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        kind => panic!("`{kind}` is no type that we use"),
    }
}
