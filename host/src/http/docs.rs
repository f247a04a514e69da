//! `GET /docs`: the OpenAPI description as a page. Nothing on it is loaded from another host.

use axum::{
    http::header,
    response::{Html, IntoResponse, Response},
};

/// The page; it reads `/openapi.json` and draws it.
pub async fn page() -> Response {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src 'self'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(include_str!("docs.html"))).into_response()
}
