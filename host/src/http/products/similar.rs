//! `GET /products/{id}/similar`: what looks like a product, by vectors that are stored.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use taja_catalog::{ProductId, add_product::GONE, similar::Alike};
use taja_queue::{Durability, NewJob, Status};
use utoipa::{IntoParams, ToSchema};

use super::{
    super::{Problem, Shared, jobs::MAX_WAIT, results::of_product},
    ProductView,
    list::{read_filter, read_limit},
    stored,
};
use crate::{
    access::Caller,
    jobs::{SIMILAR, SimilarJob},
};

/// Products that are found unless the client says otherwise.
const DEFAULT_LIMIT: u32 = 10;

/// Which ones to find.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SimilarOptions {
    /// Products, 1 to 100; 10 unless told.
    limit: Option<u32>,
    /// Conditions on fields, as JSON: `{"stock": {"gt": 0}}`.
    filter: Option<String>,
}

/// Products that look like one.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
pub struct SimilarList {
    /// The most similar first. Each has `score`, and in `matched_images` its picture that is most similar.
    matches: Vec<ProductView>,
}

/// Finds what looks like a product, without itself, by the vectors that its pictures have: nothing is embedded. Answered at
/// once, though whoever runs searches is asked.
#[utoipa::path(
    get, path = "/products/{id}/similar", tag = "products",
    params(("id" = String, Path, description = "The product"), SimilarOptions),
    responses(
        (status = 200, body = SimilarList), (status = 404, body = Problem), (status = 422, body = Problem),
        (status = 503, body = Problem)
    )
)]
pub async fn similar(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Query(options): Query<SimilarOptions>,
) -> Result<Json<Value>, Problem> {
    caller.may_read()?;
    let limit = read_limit(options.limit, DEFAULT_LIMIT)? as u32;
    read_filter(options.filter.as_deref())?;
    let filter = options.filter.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let product = stored(&app, &caller, &id).await?.id;
    let found: Vec<Alike> = ask(&app, &caller, SIMILAR, &SimilarJob { product, filter, limit }).await?;
    let ids: Vec<_> = found.iter().map(|alike| alike.product.clone()).collect();
    let products = app.store.products(&caller.tenant, &ids).await?;
    let products: BTreeMap<&ProductId, _> = products.iter().map(|product| (&product.id, product)).collect();
    let one = |alike: &Alike| {
        let product = products.get(&alike.product)?;
        let image = product.images.iter().find(|image| image.hash == alike.image)?;
        let mut row = of_product(&app, product);
        row["score"] = json!(alike.score);
        row["matched_images"] = json!([{
            "image_url": app.absolute_url(&image.url),
            "image_hash": alike.image,
            "similarity": alike.score,
        }]);
        Some(row)
    };
    Ok(Json(json!({ "matches": found.iter().filter_map(one).collect::<Vec<_>>() })))
}

/// Has something about a product found by a process that has an index, which may be this one.
pub(super) async fn ask<T: DeserializeOwned>(
    app: &Shared,
    caller: &Caller,
    kind: &str,
    job: &impl Serialize,
) -> Result<T, Problem> {
    let payload = serde_json::to_value(job).map_err(|error| Problem::internal(&error))?;
    let job = NewJob::new(kind, caller.tenant.as_str(), payload).max_attempts(app.config.attempts);
    // Its client is waiting, and would ask again.
    let pushed = app.queue.push(job.durability(Durability::Process)).await?.job;
    let ended = app.queue.wait(&pushed.tenant, pushed.id, MAX_WAIT).await?;
    let Some(job) = ended.filter(|job| job.status.is_terminal()) else {
        app.queue.cancel(&pushed.tenant, pushed.id).await?;
        return Err(Problem::unavailable("nobody who runs searches answers in time"));
    };
    match (job.status, job.result, job.error) {
        (Status::Completed, Some(result), _) => result.read().map_err(|error| Problem::internal(&error)),
        (_, _, Some(error)) if error.code == GONE => Err(Problem::not_found("product")),
        (_, _, Some(error)) if error.retryable => Err(Problem::unavailable(error.message)),
        (_, _, error) => {
            let why = error.map_or_else(|| "it has no result".into(), |error| error.message);
            Err(Problem::internal(&why))
        }
    }
}
