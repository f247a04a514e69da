//! Counts and times requests by route and status.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::Method,
    middleware::Next,
    response::Response,
};
use taja_catalog::TenantId;

/// The method as a label: whatever a client makes up is one and the same.
fn known(method: &Method) -> &'static str {
    let known = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
    ];
    match known.iter().position(|known| known == method) {
        Some(place) => ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"][place],
        None => "other",
    }
}

/// Middleware: `taja_http_requests_total` and `taja_http_request_seconds`, labelled by the route's pattern and the shop.
pub async fn requests(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("none", |path| path.as_str()).to_owned();
    let method = known(request.method());
    let response = next.run(request).await;
    let tenant = response.extensions().get::<TenantId>().map_or("none", TenantId::as_str).to_owned();
    let status = response.status().as_u16().to_string();
    metrics::histogram!("taja_http_request_seconds", "route" => route.clone(), "tenant" => tenant.clone())
        .record(started.elapsed());
    metrics::counter!("taja_http_requests_total", "method" => method, "route" => route, "status" => status, "tenant" => tenant)
        .increment(1);
    response
}
