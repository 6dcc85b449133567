//! The JSON Schema of the configuration, for editors and other tools.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::Value as Json;

use super::model::Document;
use super::read::{Keys, default_node};
use super::yaml::{Node, Scalar, Value};

/// The JSON Schema of the configuration.
pub fn schema() -> Json {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Document>();
    schema.insert("title".to_owned(), "Steadfast configuration".into());
    schema.to_value()
}

/// The schema with everything in its place rather than in definitions.
pub(super) fn inlined() -> Json {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<Document>().to_value()
}

/// Adds to the schema of a mapping what its keys say of themselves: defaults, and which have to be there.
pub(super) fn complete<K: Keys + JsonSchema>(schema: &mut Schema) {
    let required: Vec<Json> =
        K::KNOWN.iter().filter(|known| known.default.is_none()).map(|known| known.name.into()).collect();
    if required.is_empty() {
        schema.remove("required");
    } else {
        schema.insert("required".to_owned(), required.into());
    }
    // JSON objects have no order; the reference keeps that of the model.
    let order: Vec<Json> = K::KNOWN.iter().map(|known| known.name.into()).collect();
    schema.insert("x-order".to_owned(), order.into());
    let properties = schema.get_mut("properties").and_then(Json::as_object_mut);
    let Some(properties) = properties else { return };
    for known in K::KNOWN {
        let property = properties.get_mut(known.name).and_then(Json::as_object_mut);
        if let (Some(property), Some(default)) = (property, known.default) {
            property.insert("default".to_owned(), json(&default_node(default)));
        }
    }
}

/// A tree as JSON, with YAML's plain numbers and booleans as such.
fn json(node: &Node) -> Json {
    match &node.value {
        Value::Scalar(scalar) => scalar_json(scalar),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Mapping(entries) => {
            entries.iter().map(|(key, value)| (key.text.clone(), json(value))).collect()
        }
        Value::Broken => Json::Null,
    }
}

fn scalar_json(scalar: &Scalar) -> Json {
    if scalar.is_null() {
        return Json::Null;
    }
    let text = scalar.text.as_str();
    match text {
        "true" | "false" if scalar.plain => Json::Bool(text == "true"),
        _ if scalar.plain => text
            .parse::<u64>()
            .map(Json::from)
            .or_else(|_| text.parse::<f64>().map(Json::from))
            .unwrap_or_else(|_| text.into()),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_says_what_it_is_and_what_has_to_be_there() {
        let schema = schema();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["title"], "Steadfast configuration");
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["required"], serde_json::json!(["version", "listeners", "pools"]));
        assert_eq!(schema["properties"]["state_dir"]["default"], "/var/lib/steadfast");
    }

    #[test]
    fn every_key_is_documented() {
        fn walk(schema: &Json, path: &str) {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                let path = format!("{path}.{name}");
                assert!(property["description"].is_string(), "{path} has no documentation");
                walk(property, &path);
            }
            for inside in ["items", "additionalProperties"].iter().filter_map(|inside| schema.get(inside)) {
                walk(inside, path);
            }
            for choice in schema["anyOf"].as_array().into_iter().flatten() {
                walk(choice, path);
            }
        }
        walk(&inlined(), "");
    }
}
