//! `POST /search/job/{id}/outcome`: what a shopper did with what a search found.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::{
    Deserialize, Serialize,
    de::{IntoDeserializer, value::Error as ValueError},
};
use taja_catalog::{
    ProductId,
    search::{Found, ResultSet},
};
use utoipa::ToSchema;

use super::super::{Problem, Shared, jobs as job_views};
use crate::{
    access::Caller,
    jobs::{SEARCH, SearchJob},
    query_log::OutcomeKind,
};

/// What a shopper did with a product that a search found.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOutcome {
    /// The product, as the search's result names it; one of the `variants` of a match, too.
    product_id: String,
    /// `viewed` when it was looked at, `ordered` when it was ordered.
    #[schema(value_type = OutcomeKind)]
    kind: String,
}

/// Whether an outcome was written down.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutcomeView {
    /// False where the service keeps no query log, and of a search that tried policies out.
    noted: bool,
}

/// Tells what a shopper did with a product that a search found, as long as the search can be read. It is written into the query
/// log, if the service keeps one, beside what was asked, without a word about who did it; `taja eval sample --from-outcomes`
/// makes judgements of it. Told twice, it is written twice, which changes no grade.
#[utoipa::path(
    post, path = "/search/job/{id}/outcome", tag = "search", request_body = NewOutcome,
    params(("id" = String, Path, description = "The search's job")),
    responses(
        (status = 200, body = OutcomeView),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "The search has no result (yet)"),
        (status = 422, body = Problem, description = "It is nothing that this search found, or no such outcome"),
        (status = 503, body = Problem)
    )
)]
pub async fn tell(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Json(new): Json<NewOutcome>,
) -> Result<Json<OutcomeView>, Problem> {
    let job = job_views::find(&app, &caller, &id, Some(SEARCH), None).await?;
    let kind = OutcomeKind::deserialize(new.kind.as_str().into_deserializer());
    let kind = kind.map_err(|error: ValueError| Problem::field("kind", error.to_string()))?;
    let product: ProductId =
        new.product_id.parse().map_err(|error| Problem::field("product_id", format!("{error}")))?;
    let Some(result) = &job.result else {
        let detail = "the search has no result of which something could come";
        return Err(Problem::new(StatusCode::CONFLICT, "search_without_result", detail));
    };
    let set: ResultSet = result.read().map_err(|error| Problem::internal(&error))?;
    let is_meant = |found: &Found| found.product == product || found.variants.contains(&product);
    let place = set.found.iter().position(is_meant);
    let place =
        1 + place.ok_or_else(|| Problem::field("product_id", "is no product that this search found"))?;
    let search = SearchJob::deserialize(&job.payload).map_err(|error| Problem::internal(&error))?;
    if search.chosen.is_some() {
        return Ok(Json(OutcomeView { noted: false }));
    }
    let noted = app.log.note_outcome(&caller.tenant, search, kind, product, place).await;
    let noted = noted.map_err(|_| Problem::unavailable("the query log cannot be written"))?;
    Ok(Json(OutcomeView { noted }))
}
