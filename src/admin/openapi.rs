//! The OpenAPI document (version 3.1), made from the table of endpoints and the types of bodies.

use http::StatusCode;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::answer::{Failure, Refusal};
use super::app::Api;
use super::call::Call;
use super::endpoints::{Endpoint, OPEN};

/// What pools and backends may be called, as in the configuration.
const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";

/// The document, for this balancer.
pub(super) fn answer(api: &Api, _: &Call<'_>) -> Result<Value, Refusal> {
    let mut document = api.document.clone();
    if api.control.admin_token().is_some()
        && let Some(document) = document.as_object_mut()
    {
        document.insert("security".to_owned(), json!([{ "token": [] }]));
    }
    Ok(document)
}

/// The document, without what depends on the token.
pub(super) fn document(endpoints: &[Endpoint]) -> Value {
    let settings = || {
        SchemaSettings::draft2020_12()
            .with(|settings| settings.definitions_path = "/components/schemas".into())
    };
    let mut taken = settings().for_deserialize().into_generator();
    let mut given = settings().for_serialize().into_generator();
    let failure = given.subschema_for::<Failure>();
    let mut paths = Map::new();
    for endpoint in endpoints {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            let operation = operation(endpoint, &mut taken, &mut given);
            path.insert(endpoint.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    let mut schemas = given.take_definitions(true);
    schemas.extend(taken.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Steadfast admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "State of a running Steadfast, and changes at run time. Errors are JSON, too.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": { "Failure": { "description": "Why not, and what to do.", "content": as_json(failure.into()) } },
            "securitySchemes": { "token": {
                "type": "http", "scheme": "bearer", "description": "The token of `admin.token_file`.",
            } },
        },
    })
}

fn operation(endpoint: &Endpoint, taken: &mut SchemaGenerator, given: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    let gives = (endpoint.gives)(given);
    let content: Map<_, _> =
        endpoint.media.iter().map(|media| ((*media).to_owned(), json!({ "schema": &gives }))).collect();
    let success = json!({ "description": "Done.", "content": content });
    responses.insert(endpoint.success.as_str().to_owned(), success);
    for status in refusals(endpoint) {
        responses.insert(status.to_string(), json!({ "$ref": "#/components/responses/Failure" }));
    }
    let mut operation = json!({
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "responses": responses,
    });
    let mut parameters: Vec<_> = ["pool", "backend", "request"]
        .into_iter()
        .filter(|name| endpoint.path.contains(&format!("{{{name}}}")))
        .map(in_path)
        .collect();
    if endpoint.dry_run {
        let description = "Tell what would change, and change nothing.";
        parameters.push(json!({
            "name": "dry_run", "in": "query", "description": description, "schema": { "type": "boolean" },
        }));
    }
    if let Some(operation) = operation.as_object_mut() {
        if !parameters.is_empty() {
            operation.insert("parameters".to_owned(), parameters.into());
        }
        if let Some(takes) = endpoint.takes {
            let body = json!({ "required": true, "content": as_json(takes(taken).into()) });
            operation.insert("requestBody".to_owned(), body);
        }
        if endpoint.path == OPEN {
            operation.insert("security".to_owned(), json!([]));
        }
    }
    operation
}

/// The statuses that an endpoint may be refused with.
fn refusals(endpoint: &Endpoint) -> Vec<u16> {
    // Not HTTP; wrong method; too slow; and, but for the open path, without token or under another's name.
    let mut statuses = vec![400, 405, 408, 413, 500];
    if endpoint.path != OPEN {
        statuses.extend([401, 421]);
    }
    if endpoint.path.contains('{') {
        statuses.push(404);
    }
    if endpoint.takes.is_some() {
        statuses.push(StatusCode::UNSUPPORTED_MEDIA_TYPE.as_u16());
    }
    statuses.extend(endpoint.refusals);
    statuses.sort_unstable();
    statuses
}

fn in_path(name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "pattern": NAME } })
}

fn as_json(schema: Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}
