//! What is served under which path, and how faults get in between.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, DefaultBodyLimit, Multipart, Path, Request, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{
    account::{check_basic, check_cloud},
    cloud::{self, Cloud},
    fault::{Fault, Order},
    form::Form,
    line::Cut,
    refusal::Refusal,
};

const BODY_LIMIT_BYTES: usize = 20 << 20;

type Shared = Arc<Mutex<Cloud>>;

pub(super) fn router(cloud: Shared) -> Router {
    let api = Router::new()
        .route("/{cloud}/image/upload", post(upload))
        .route("/{cloud}/image/destroy", post(destroy))
        .route("/{cloud}/ping", get(ping))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .layer(from_fn_with_state(Arc::clone(&cloud), meddle));
    Router::new()
        .nest("/v1_1", api)
        .route("/{cloud}/image/upload/{*path}", get(deliver))
        .route("/_test/faults", post(set_fault).delete(clear_faults))
        .route("/_test/assets", get(assets))
        .with_state(cloud)
}

/// Notes each request, and lets the next fault happen to it.
async fn meddle(
    State(cloud): State<Shared>,
    ConnectInfo(line): ConnectInfo<Cut>,
    request: Request,
    next: Next,
) -> Response {
    let fault = {
        let mut cloud = cloud.lock();
        let (method, path) = (request.method().to_string(), path_of(&request));
        cloud.requests.push(cloud::Request { method, path, at: std::time::Instant::now() });
        cloud.faults.next()
    };
    match fault {
        None => next.run(request).await,
        Some(Fault::Fail { status, headers, body }) => {
            // A client that still writes would never see the answer.
            let _ = to_bytes(request.into_body(), BODY_LIMIT_BYTES).await;
            failed(status, headers, body)
        }
        Some(Fault::Stall { answer_after_ms: Some(time) }) => {
            tokio::time::sleep(Duration::from_millis(time)).await;
            next.run(request).await
        }
        Some(Fault::Stall { answer_after_ms: None }) => std::future::pending().await,
        Some(Fault::LoseReply) => {
            let response = next.run(request).await;
            line.cut();
            response
        }
    }
}

/// The path as it was sent: nesting has taken its beginning off.
fn path_of(request: &Request) -> String {
    let original = request.extensions().get::<axum::extract::OriginalUri>();
    original.map_or(request.uri(), |original| &original.0).path().into()
}

fn failed(
    status: u16,
    headers: impl IntoIterator<Item = (String, String)>,
    body: Option<String>,
) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match body {
        Some(body) => (status, Body::from(body)).into_response(),
        None => Refusal::new(status, format!("asked to fail with {status}")).into_response(),
    };
    let parsed = headers.into_iter().filter_map(|(name, value)| {
        Some((name.parse::<axum::http::HeaderName>().ok()?, value.parse().ok()?))
    });
    response.headers_mut().extend(parsed);
    response
}

async fn upload(
    State(cloud): State<Shared>,
    Path(name): Path<String>,
    parts: Multipart,
) -> Result<Json<Value>, Refusal> {
    check_cloud(&name)?;
    let form = Form::read(parts).await?;
    let id = form.new_public_id()?;
    let (bytes, format) = form.picture()?;
    let mut cloud = cloud.lock();
    let existing = cloud.assets.contains_key(id);
    let kept = existing && !form.overwrites();
    if !kept {
        cloud.store(id, bytes, format, form.tags());
    }
    let mut answer = cloud.described(id);
    match existing {
        true if kept => answer["existing"] = true.into(),
        true => answer["overwritten"] = true.into(),
        false => {}
    }
    Ok(Json(answer))
}

async fn destroy(
    State(cloud): State<Shared>,
    Path(name): Path<String>,
    parts: Multipart,
) -> Result<Json<Value>, Refusal> {
    check_cloud(&name)?;
    let form = Form::read(parts).await?;
    let removed = cloud.lock().assets.remove(form.public_id()?);
    Ok(Json(json!({ "result": if removed.is_some() { "ok" } else { "not found" } })))
}

async fn ping(Path(name): Path<String>, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    check_cloud(&name)?;
    check_basic(&headers)?;
    Ok(Json(json!({ "status": "ok" })))
}

/// `{transformation?}/v{version}/{public_id}.{format}`: the picture as it was uploaded.
async fn deliver(
    State(cloud): State<Shared>,
    Path((name, path)): Path<(String, String)>,
) -> Result<Response, StatusCode> {
    let missing = StatusCode::NOT_FOUND;
    check_cloud(&name).map_err(|_| missing)?;
    let mut rest = path.as_str();
    let file = loop {
        let (segment, after) = rest.split_once('/').ok_or(missing)?;
        if is_version(segment) {
            break after;
        }
        rest = after;
    };
    let (id, _format) = file.rsplit_once('.').ok_or(missing)?;
    let cloud = cloud.lock();
    let asset = cloud.assets.get(id).ok_or(missing)?;
    let subtype = if asset.format == "jpg" { "jpeg" } else { asset.format };
    Ok(([(CONTENT_TYPE, format!("image/{subtype}"))], asset.bytes.clone()).into_response())
}

fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|digits| digits.parse::<u64>().is_ok())
}

async fn set_fault(State(cloud): State<Shared>, Json(order): Json<Order>) -> StatusCode {
    cloud.lock().faults.add(order.fault, order.times);
    StatusCode::NO_CONTENT
}

async fn clear_faults(State(cloud): State<Shared>) -> StatusCode {
    cloud.lock().faults.clear();
    StatusCode::NO_CONTENT
}

async fn assets(State(cloud): State<Shared>) -> Json<Value> {
    let cloud = cloud.lock();
    let described = cloud.assets.keys().map(|id| {
        let mut asset = cloud.described(id);
        asset["uploads"] = cloud.uploads(id).into();
        asset
    });
    Json(described.collect())
}
