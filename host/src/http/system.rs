//! `/`, `/health` and `/metrics`.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Value, json};
use taja_catalog::port::VectorIndex;
use taja_sandbox::{PluginState, PluginStatus};
use utoipa::ToSchema;

use super::{Problem, Shared};
use crate::{access::Caller, app::App};

/// The name of the service.
#[derive(Serialize, ToSchema)]
pub struct Root {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
    /// `Taja`.
    #[schema(example = "Taja")]
    project: &'static str,
    /// The version that runs.
    version: &'static str,
}

/// That the service is there.
#[utoipa::path(get, path = "/", tag = "system", responses((status = 200, body = Root)))]
pub async fn root() -> Json<Root> {
    Json(Root { status: "ok", project: "Taja", version: env!("CARGO_PKG_VERSION") })
}

/// Every part and how it is: 200 when all serve, 503 when one does not.
#[utoipa::path(
    get, path = "/health", tag = "system",
    responses(
        (status = 200, body = Value, description = "All parts serve"),
        (status = 503, body = Value, description = "`status` of some part is `failing`")
    )
)]
pub async fn health(State(app): State<Shared>) -> Response {
    let (store, queue, images, plugins) = tokio::join!(
        checked(store_health(&app)),
        checked(queue_health(&app)),
        checked(images_health(&app)),
        checked(plugin_health(&app))
    );
    let api = json!({
        "status": "ok", "version": env!("CARGO_PKG_VERSION"), "role": app.config.role.as_str(),
    });
    let mut parts = vec![("api", api), ("store", store), ("queue", queue), ("model", model_health(&app))];
    if let Some(index) = app.serving.index() {
        parts.push(("index", index_health(index.as_ref())));
    }
    parts.extend([("images", images), ("plugins", plugins)]);
    let serving = parts.iter().all(|(_, part)| part["status"] == "ok");
    let mut body = json!({ "status": if serving { "ok" } else { "failing" } });
    for (name, part) in parts {
        body[name] = part;
    }
    let status = if serving { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

/// Longest that a part may take to say how it is.
const CHECK_WITHIN: Duration = Duration::from_secs(3);

/// A report that comes in time, or that the part is silent.
async fn checked(report: impl Future<Output = Value>) -> Value {
    match tokio::time::timeout(CHECK_WITHIN, report).await {
        Ok(report) => report,
        Err(_) => failing(&format!("does not answer within {} s", CHECK_WITHIN.as_secs())),
    }
}

fn failing(error: &dyn std::fmt::Display) -> Value {
    json!({ "status": "failing", "error": error.to_string() })
}

async fn store_health(app: &App) -> Value {
    let (about, counts) = tokio::join!(app.store.about(), app.store.counts());
    match (about, counts) {
        (Ok(about), Ok(counts)) => {
            let mut part = json!(about.details);
            part["status"] = "ok".into();
            part["backend"] = about.backend.into();
            part["products"] = counts.products.into();
            part["images"] = counts.images.into();
            part
        }
        (Err(error), _) | (_, Err(error)) => failing(&error),
    }
}

async fn queue_health(app: &App) -> Value {
    let (about, depth) = tokio::join!(app.queue.about(), app.queue.depth());
    match about.and_then(|about| Ok((about, depth?))) {
        Ok((about, depth)) => {
            let mut jobs = json!({});
            for row in depth {
                jobs[&row.kind][row.status.as_str()] = row.jobs.into();
            }
            let (backend, version) = about.split_once(' ').unwrap_or((&about, ""));
            json!({ "status": "ok", "backend": backend, "version": version, "jobs": jobs })
        }
        Err(error) => failing(&error),
    }
}

async fn images_health(app: &App) -> Value {
    let backend = if app.config.cloudinary.is_some() { "cloudinary" } else { "folder" };
    match app.images.check().await {
        Ok(()) => json!({ "status": "ok", "backend": backend }),
        Err(error) => failing(&error),
    }
}

fn model_health(app: &App) -> Value {
    let model = app.serving.report();
    let mut part = json!({
        "status": "ok", "name": model.name, "title": model.title, "dimension": model.dimension,
        "runs": if model.space.is_some() { "here" } else { "in workers" },
    });
    if let (Some([images, texts]), Some(space)) = (model.backends, &model.space) {
        part["provider"] = images.provider().name().into();
        part["backends"] = json!({ "images": images.to_string(), "texts": texts.to_string() });
        part["space"] = space.id.as_str().into();
    }
    if let Some(trouble) = app.serving.trouble() {
        part["status"] = "failing".into();
        part["error"] = trouble.into();
    }
    part
}

fn index_health(index: &dyn VectorIndex) -> Value {
    json!({
        "status": "ok", "state": index.state(), "vectors": index.len(), "memory_bytes": index.memory_bytes(),
        "method": index.method(),
    })
}

/// Failing while a kind that every job needs has no plugin.
async fn plugin_health(app: &App) -> Value {
    let missing = app.sandbox.missing(&app.config.tenant);
    let troubles = app.sandbox.troubles();
    json!({
        "status": if missing.is_empty() { "ok" } else { "failing" },
        "missing": missing,
        "loaded": app.sandbox.report().iter().map(plugin_line).collect::<Vec<_>>(),
        "troubles": troubles.iter().map(|(tenant, slot, reason)| match tenant {
            None => json!({ "slot": slot, "reason": reason }),
            // Anybody can read this: whose it is and why, `/plugins` tells the operator.
            Some(_) => json!({ "slot": slot, "reason": "the choice of a shop cannot be loaded" }),
        }).collect::<Vec<_>>(),
    })
}

/// A plugin in the health report: which build it is, and whether it can be called.
pub fn plugin_line(plugin: &PluginStatus) -> Value {
    let mut line = json!({ "file": plugin.file, "digest": plugin.digest });
    if let Some(manifest) = &plugin.manifest {
        line["name"] = manifest.name.as_str().into();
        line["version"] = manifest.version.to_string().into();
        line["kind"] = manifest.kind.name().into();
    }
    match &plugin.state {
        PluginState::Ready => line["state"] = "ready".into(),
        PluginState::Refused(reason) => {
            line["state"] = "refused".into();
            line["reason"] = reason.as_str().into();
        }
    }
    line
}

/// Metrics in the Prometheus text format.
#[utoipa::path(
    get, path = "/metrics", tag = "system",
    responses(
        (status = 200, body = String, content_type = "text/plain; version=0.0.4"),
        (status = 403, body = Problem, description = "Only the operator may: they tell of every shop")
    )
)]
pub async fn metrics(State(app): State<Shared>, caller: Caller) -> Result<Response, Problem> {
    caller.must_operate()?;
    if let Err(error) = taja_queue::publish_depth(app.queue.as_ref(), crate::jobs::KINDS).await {
        tracing::warn!(%error, "queue depth is not known");
    }
    if let Ok(counts) = app.store.counts().await {
        metrics::gauge!("taja_products").set(counts.products as f64);
        metrics::gauge!("taja_images").set(counts.images as f64);
    }
    if let Some(index) = app.serving.index() {
        metrics::gauge!("taja_index_vectors").set(index.len() as f64);
        metrics::gauge!("taja_index_memory_bytes").set(index.memory_bytes() as f64);
    }
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((content_type, app.metrics.render()).into_response())
}
