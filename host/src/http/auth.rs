//! Who may call: the operator, and whoever shows a shop's key.

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use taja_catalog::{TenantId, access::Scope};

use super::{Problem, Shared, origin};
use crate::access::{Caller, Refusal};

/// Names the shop that the operator acts for.
const TENANT_HEADER: &str = "taja-tenant";

/// Lets a request in, and tells its handler on whose behalf it runs. Pictures are for shoppers, and `/` and `/health`
/// tell nothing that is not for everyone.
pub async fn admit(State(app): State<Shared>, mut request: Request, next: Next) -> Response {
    if app.config.api_key.is_none()
        && let Err(problem) = origin::check(request.method(), request.uri(), request.headers())
    {
        return problem.into_response();
    }
    let path = request.uri().path();
    let path = path.strip_prefix(app.config.api_prefix.as_str()).unwrap_or(path);
    if matches!(path, "" | "/" | "/health") || path.starts_with("/images/") {
        return next.run(request).await;
    }
    let headers = request.headers();
    match app.door.admit(bearer(headers), text(headers, TENANT_HEADER)).await {
        Ok(caller) => {
            let tenant = caller.tenant.clone();
            request.extensions_mut().insert(caller);
            let mut response = next.run(request).await;
            response.extensions_mut().insert(tenant);
            response
        }
        Err(refusal) => refused(refusal),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default().trim())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    text(headers, header::AUTHORIZATION.as_str())?.strip_prefix("Bearer ").map(str::trim)
}

fn refused(refusal: Refusal) -> Response {
    let detail = refusal.to_string();
    let problem = match refusal {
        Refusal::Missing => Problem::new(StatusCode::UNAUTHORIZED, "key_missing", detail),
        Refusal::Unknown => Problem::new(StatusCode::UNAUTHORIZED, "key_unknown", detail),
        Refusal::OtherTenant => Problem::not_found("tenant"),
        Refusal::TooMany { retry_after, .. } => {
            let seconds = u32::try_from(retry_after.as_secs_f64().ceil() as u64).unwrap_or(u32::MAX);
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail);
            Problem { retry_after: Some(seconds.max(1)), ..problem }
        }
        Refusal::Store(error) => error.into(),
    };
    let asks_for_key = problem.status == StatusCode::UNAUTHORIZED.as_u16();
    let mut response = problem.into_response();
    if asks_for_key {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

impl Caller {
    /// Refuses a caller whose key lacks this scope.
    pub fn may(&self, scope: Scope) -> Result<(), Problem> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        let detail = format!("this key does not have the scope {scope}");
        Err(Problem::new(StatusCode::FORBIDDEN, "scope_missing", detail))
    }

    /// Refuses a caller whose key has neither scope that products may be read with.
    pub fn may_read(&self) -> Result<(), Problem> {
        self.may(Scope::Catalogue).or_else(|_| self.may(Scope::Search))
    }

    /// Refuses everybody but the operator.
    pub fn must_operate(&self) -> Result<(), Problem> {
        if self.is_operator() {
            return Ok(());
        }
        let detail = "a shop's key does not open this: it needs the operator's key (TAJA_API_KEY)";
        Err(Problem::new(StatusCode::FORBIDDEN, "operator_only", detail))
    }

    /// Refuses a caller who may not administer this shop. A shop that is not the caller's is none.
    pub fn must_administer(&self, tenant: &TenantId) -> Result<(), Problem> {
        if self.is_operator() {
            return Ok(());
        }
        if self.tenant != *tenant {
            return Err(Problem::not_found("tenant"));
        }
        self.may(Scope::Admin)
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Problem::internal(&"a route that anybody may call asks who calls"))
    }
}
