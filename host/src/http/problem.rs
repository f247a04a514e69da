//! RFC 9457 problem details: the one form in which every HTTP error leaves the house.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use taja_catalog::{Blame, Failure, PluginDigest, PortError, plugins::Lacking, port::PortErrorKind};
use taja_sandbox::{AddError, OrderError, Refused};
use utoipa::ToSchema;

/// An error as the client sees it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem: `urn:taja:problem:` and the code.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: Box<str>,
    /// The status in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// A stable word that a program can branch on.
    pub code: String,
    /// What is wrong with this request.
    #[schema(value_type = String)]
    pub detail: Box<str>,
    /// The fields at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
    /// What a refused plugin and an ambiguous version tell besides.
    #[serde(flatten)]
    #[schema(value_type = PluginProblem)]
    pub plugin: Option<Box<PluginProblem>>,
    /// Seconds after which another try is worthwhile.
    #[serde(skip)]
    pub retry_after: Option<u32>,
}

/// A field at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldProblem {
    /// JSON pointer to the field, `/price` for a form field `price`.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

/// What problems with plugins tell besides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct PluginProblem {
    /// The check that a plugin did not pass: `size`, `format`, `manifest`, `signature`, `compile`, `imports`, `grants`,
    /// `world`, `trial` or `goldens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<&'static str>,
    /// The versions among which to choose.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub digests: Vec<PluginDigest>,
}

impl FieldProblem {
    /// A problem with one field of a form or of a JSON body.
    pub fn new(field: &str, detail: impl Into<String>) -> Self {
        Self { pointer: format!("/{}", field.trim_start_matches('/')), detail: detail.into() }
    }
}

impl Problem {
    /// A problem with a status, a code and a sentence.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:taja:problem:{code}").into(),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into().into(),
            errors: Vec::new(),
            plugin: None,
            retry_after: None,
        }
    }

    /// 422 with the fields at fault.
    pub fn fields(errors: Vec<FieldProblem>) -> Self {
        let detail = errors
            .iter()
            .map(|error| format!("{}: {}", error.pointer.trim_start_matches('/'), error.detail))
            .collect::<Vec<_>>()
            .join("; ");
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "field_invalid", detail) }
    }

    /// 422 for one field.
    pub fn field(field: &str, detail: impl Into<String>) -> Self {
        Self::fields(vec![FieldProblem::new(field, detail)])
    }

    /// 404 for a thing that is not there, or belongs to another tenant.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
    }

    /// 413 with what was too large.
    pub fn too_large(what: &str, limit: u64) -> Self {
        let detail = format!("{what} is larger than the {limit} bytes allowed");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    }

    /// 503 with a time to come back after.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail);
        Self { retry_after: Some(5), ..problem }
    }

    /// 500: a fault of Taja. The cause goes to the log, not to the client.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong on the server")
    }

    /// What stands for a response that some layer made without a problem body.
    fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::NOT_FOUND => ("not_found", "there is no such route"),
            StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "this route does not take this method"),
            StatusCode::PAYLOAD_TOO_LARGE => ("too_large", "the request is larger than allowed"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                ("content_type_unsupported", "this route does not take this content type")
            }
            StatusCode::INTERNAL_SERVER_ERROR => ("internal", "something went wrong on the server"),
            _ => ("bad_request", "the request cannot be understood"),
        };
        Self::new(status, code, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Longest text of an extractor that becomes a problem's detail, bytes.
const MAX_DETAIL_BYTES: usize = 4096;
const CONTENT_TYPE: &str = "application/problem+json";

/// Turns the error responses of layers and extractors, which are plain text or empty, into problems; their own headers
/// (such as `Allow`) stay.
pub async fn ensure(response: Response) -> Response {
    let status = response.status();
    let content_type = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_json = matches!(content_type, Some(b"application/problem+json" | b"application/json"));
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let mut problem = Problem::of_status(status);
    // What an extractor says of the client's mistake is worth passing on; a server's fault is not.
    if status.is_client_error()
        && let Ok(text) = axum::body::to_bytes(body, MAX_DETAIL_BYTES).await
        && let Ok(text) = std::str::from_utf8(&text)
        && !text.is_empty()
    {
        problem.detail = text.into();
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    Response::from_parts(parts, problem.into_response().into_body())
}

impl From<PortError> for Problem {
    fn from(error: PortError) -> Self {
        match error.kind {
            PortErrorKind::Unavailable => Self::unavailable(error.to_string()),
            _ => Self::internal(&error),
        }
    }
}

impl From<Refused> for Problem {
    fn from(Refused { stage, reason }: Refused) -> Self {
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "plugin_refused", reason);
        let plugin = PluginProblem { stage: Some(stage), ..PluginProblem::default() };
        Self { plugin: Some(plugin.into()), ..problem }
    }
}

impl From<AddError> for Problem {
    fn from(error: AddError) -> Self {
        match error {
            AddError::Refused(refused) => refused.into(),
            AddError::Store(error) => error.into(),
        }
    }
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::NotFound(detail) => Self::new(StatusCode::NOT_FOUND, "plugin_not_found", detail),
            OrderError::Refused(detail) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "order_refused", detail)
            }
            OrderError::Lacking(lacking) => lacking.into(),
            OrderError::Store(error) if error.kind == PortErrorKind::Conflict => {
                let detail = "others keep changing this slot: look at it again, then try again";
                Self::new(StatusCode::CONFLICT, "slot_changed", detail)
            }
            OrderError::Store(error) => error.into(),
        }
    }
}

impl From<Lacking> for Problem {
    fn from(lacking: Lacking) -> Self {
        let (status, code) = match &lacking {
            Lacking::Missing(_) => (StatusCode::UNPROCESSABLE_ENTITY, "evaluation_missing"),
            Lacking::Stale(_) => (StatusCode::CONFLICT, "evaluation_stale"),
            Lacking::Worse => (StatusCode::CONFLICT, "evaluation_worse"),
        };
        let detail = lacking.to_string();
        let errors = vec![FieldProblem::new("evaluation", detail.clone())];
        Self { errors, ..Self::new(status, code, detail) }
    }
}

impl From<taja_queue::Error> for Problem {
    fn from(error: taja_queue::Error) -> Self {
        match error {
            taja_queue::Error::Conflict { .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "this Idempotency-Key was used with another request",
            ),
            taja_queue::Error::NotDead { .. } => {
                Self::new(StatusCode::CONFLICT, "job_not_failed", error.to_string())
            }
            error if error.is_retryable() => Self::unavailable(error.to_string()),
            error => Self::internal(&error),
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let status = match (failure.blame, failure.code.as_str()) {
            (_, "media_type_unsupported") => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            (Blame::Client, _) => StatusCode::UNPROCESSABLE_ENTITY,
            (Blame::Dependency, _) => return Self::unavailable(failure.message),
            _ => return Self::internal(&failure),
        };
        Self::new(status, &failure.code, failure.message)
    }
}
