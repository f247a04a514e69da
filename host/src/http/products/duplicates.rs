//! `GET /products/{id}/duplicates`: what was taken for this product, and what looks like it and was not; for people who review.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde::Deserialize;
use serde_json::{Value, json};
use taja_catalog::{
    port::Noted,
    similar::{Resemblance, Resembling},
};
use utoipa::{IntoParams, ToSchema};

use super::{
    super::{Problem, Shared},
    list::{read_cursor, read_limit, write_cursor},
    similar::ask,
    stored,
};
use crate::{
    access::Caller,
    jobs::{RESEMBLING, ResemblingJob},
};

/// Decisions on a page, and pairs of pictures, unless the client says otherwise.
const DEFAULT_LIMIT: u32 = 20;
/// Twice and a half what the bundled ingestion policy asks for: what just passed it is to be seen.
const DEFAULT_DISTANCE: u32 = 10;
/// A little less than the bundled ingestion policy asks for.
const DEFAULT_COSINE: f32 = 0.9;

/// How far to look.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DuplicatesOptions {
    /// Decisions on the page, and pairs of pictures that look alike, 1 to 100; 20 unless told.
    limit: Option<u32>,
    /// Where to go on with the decisions: `next` of the page before.
    cursor: Option<String>,
    /// Most differing bits of the perceptual hashes of pictures that look alike, 0 to 64; 10 unless told.
    #[param(minimum = 0, maximum = 64)]
    max_distance: Option<u32>,
    /// Least cosine of pictures that look alike, -1 to 1; 0.9 unless told. Either suffices.
    #[param(minimum = -1, maximum = 1)]
    min_cosine: Option<f32>,
}

/// A decision of the ingestion policy that names a product.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
pub struct DecisionView {
    /// When it was carried out.
    #[schema(value_type = String, format = DateTime)]
    at: String,
    /// The job, whose own record may be gone by now.
    job_id: String,
    /// `success`, `duplicate`, `merged`, `offer` or `rejected`.
    status: String,
    /// Pictures that were known, each with what it is known as, the distance of the perceptual hashes and the cosine.
    duplicate_details: Vec<Value>,
    /// What the shop said, unless that is a product.
    submitted: Option<Value>,
    /// The plugins that decided.
    plugins: Vec<Value>,
}

/// Two pictures that look alike.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
pub struct ResemblingView {
    /// SHA-256 of this product's picture.
    image_hash: String,
    /// The other product.
    product_id: String,
    /// SHA-256 of the other product's picture.
    other_image_hash: String,
    /// Hamming distance of the perceptual hashes, 0 to 64.
    distance: u32,
    /// Cosine of the vectors.
    cosine: f32,
}

/// What there is to review.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
pub struct Duplicates {
    /// Decisions that name the product, newest first.
    decisions: Vec<DecisionView>,
    /// What to send as `cursor` for the next page of decisions.
    next: Option<String>,
    /// Pictures of other products that look like one of this product's now, the most similar first. Told on the first page.
    resembling: Option<Vec<ResemblingView>>,
}

/// Tells what was taken for a product, with the evidence of each decision, and which pictures of other products look like its
/// own. Nothing is embedded.
#[utoipa::path(
    get, path = "/products/{id}/duplicates", tag = "products",
    params(("id" = String, Path, description = "The product"), DuplicatesOptions),
    responses(
        (status = 200, body = Duplicates), (status = 404, body = Problem), (status = 422, body = Problem),
        (status = 503, body = Problem)
    )
)]
pub async fn duplicates(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Query(options): Query<DuplicatesOptions>,
) -> Result<Json<Value>, Problem> {
    caller.may_read()?;
    let limit = read_limit(options.limit, DEFAULT_LIMIT)?;
    let wanted = resemblance(&options)?;
    let after = options.cursor.as_deref().map(read_cursor).transpose()?;
    let after = after.map(|(at, effect)| Noted { at, effect });
    let product = stored(&app, &caller, &id).await?.id;
    let told = app.store.receipts_about(&caller.tenant, &product, after.as_ref(), limit + 1);
    let mut told = told.await?;
    let is_last = told.len() <= limit;
    told.truncate(limit);
    let mut page = json!({ "decisions": told.iter().map(decision).collect::<Vec<_>>() });
    if let Some((last, _)) = told.last().filter(|_| !is_last) {
        page["next"] = write_cursor(last.at, &last.effect).into();
    }
    if after.is_none() {
        let job = ResemblingJob { product, wanted, limit: limit as u32 };
        let found: Vec<Resembling> = ask(&app, &caller, RESEMBLING, &job).await?;
        page["resembling"] = found.iter().map(pair).collect();
    }
    Ok(Json(page))
}

fn decision((noted, receipt): &(Noted, Value)) -> Value {
    let mut told = receipt.clone();
    told["at"] = json!(noted.at);
    told["job_id"] = json!(noted.effect);
    told
}

fn pair(found: &Resembling) -> Value {
    json!({
        "image_hash": found.image,
        "product_id": found.product,
        "other_image_hash": found.other,
        "distance": found.distance,
        "cosine": found.cosine,
    })
}

fn resemblance(options: &DuplicatesOptions) -> Result<Resemblance, Problem> {
    let max_distance = options.max_distance.unwrap_or(DEFAULT_DISTANCE);
    let min_cosine = options.min_cosine.unwrap_or(DEFAULT_COSINE);
    if max_distance > 64 {
        return Err(Problem::field("max_distance", "is not a number from 0 to 64"));
    }
    if !(-1.0..=1.0).contains(&min_cosine) {
        return Err(Problem::field("min_cosine", "is not a number from -1 to 1"));
    }
    Ok(Resemblance { max_distance, min_cosine })
}
