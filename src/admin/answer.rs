//! What a request is answered with: JSON, also where it is refused.

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const JSON: &str = "application/json";

/// An answer, ready to be written.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
    pub(super) content_type: &'static str,
    /// For the `Allow` field.
    pub(super) allow: Option<String>,
    /// Whether it is one of the dashboard's files, which tell the browser what they may do.
    pub(super) is_page: bool,
}

impl Answer {
    /// A value as JSON.
    pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self { status, body, content_type: JSON, allow: None, is_page: false },
            // Our types have string keys and no failing parts.
            Err(_) => Self {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                body: b"{}".to_vec(),
                content_type: JSON,
                allow: None,
                is_page: false,
            },
        }
    }

    /// A text of another kind.
    pub(super) fn text(content_type: &'static str, text: String) -> Self {
        Self { status: StatusCode::OK, body: text.into_bytes(), content_type, allow: None, is_page: false }
    }
}

/// Why a request is not done.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    code: &'static str,
    message: String,
    help: String,
    pub(super) allow: Option<String>,
}

/// The body of an answer that says no.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Failure {
    pub(crate) error: FailureBody,
}

/// What is wrong, and what to do.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct FailureBody {
    /// A stable word for programs.
    pub(crate) code: String,
    /// What is wrong, for people.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) help: String,
}

impl Refusal {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { status, code, message: message.into(), help: help.into(), allow: None }
    }

    /// 400: the request is not as the API takes it.
    pub(super) fn bad(code: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message, help)
    }

    /// 404: there is no such thing.
    pub(super) fn unknown(code: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message, help)
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let Refusal { status, code, message, help, allow } = refusal;
        let error = FailureBody { code: code.to_owned(), message, help };
        Self { allow, ..Self::json(status, &Failure { error }) }
    }
}
