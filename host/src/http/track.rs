//! Counts and times requests by route and status.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};

/// Middleware: `taja_http_requests_total` and `taja_http_request_seconds`, labelled by the route's pattern.
pub async fn requests(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("none", |path| path.as_str()).to_owned();
    let method = request.method().to_string();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    metrics::histogram!("taja_http_request_seconds", "route" => route.clone()).record(started.elapsed());
    metrics::counter!("taja_http_requests_total", "method" => method, "route" => route, "status" => status)
        .increment(1);
    response
}
