//! Who may call: everybody on a loopback address without a key, else whoever shows the key.

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::{Problem, Shared};

/// Refuses requests without the configured key. Pictures are for shoppers, and `/` and `/health` tell nothing that is not
/// for everyone.
pub async fn require_key(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let Some(key) = &app.config.api_key else { return next.run(request).await };
    let path = request.uri().path();
    let path = path.strip_prefix(app.config.api_prefix.as_str()).unwrap_or(path);
    if matches!(path, "" | "/" | "/health")
        || path.starts_with("/images/")
        || shows(&request, key.expose_secret())
    {
        return next.run(request).await;
    }
    let problem = Problem::new(
        StatusCode::UNAUTHORIZED,
        "key_missing",
        "send the header Authorization: Bearer KEY with a key of this service",
    );
    let mut response = problem.into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// Digests are compared, so that the time it takes tells nothing of the key.
fn shows(request: &Request, key: &str) -> bool {
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    Sha256::digest(shown.trim()) == Sha256::digest(key)
}
