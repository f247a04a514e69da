//! `POST /plugins/{name}/evaluate`: how a version would do in the place of the one that serves.

use axum::{
    Json,
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use serde::Deserialize;
use serde_json::Value;
use taja_catalog::{JudgementSetId, TenantId, policy::Pins};
use taja_queue::JobId;
use taja_sandbox::Wanted;
use utoipa::ToSchema;

use super::shelf::{self, Shelf};
use crate::{
    access::Caller,
    http::{
        Problem, Shared,
        jobs::{self as job_views, Accepted, JobView, SubmitHeaders},
    },
    jobs::{EVALUATE, EvaluateJob},
};

/// A version that is to be measured.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEvaluation {
    /// Its version, when only one has it.
    version: Option<String>,
    /// Its digest, or the first 8 digits of it or more. With neither, the plugin has only one version.
    digest: Option<String>,
    /// Its settings; unless told, those that the plugin has where it serves.
    #[schema(value_type = Option<Object>)]
    settings: Option<Value>,
    /// The shop whose judgements are meant. Unless told: a key's own, or the one that the request names; for the operator
    /// who names none, the version is measured beside everybody's choice, with the catalogue of the operator's own shop.
    tenant: Option<String>,
    /// The shop's set of judgements. See `/tenants/{id}/judgements`.
    judgements: String,
    /// Where the job's end is posted to: an `http` or `https` address. See `/tenants/{id}/callback-secret`.
    callback_url: Option<String>,
}

/// Measures a version beside the one that serves, by judgements that the shop keeps: a job of the shop that asks each query of
/// both, when nobody else waits, and serves, counts and keeps nothing of it. Its result has the `verdict`: `worse` where the
/// nDCG@10 is below that of what serves beyond what chance explains (all of the 95 % bootstrap interval of the difference
/// over the queries is below 0), else `no_worse`. `live` and `candidate` have the `choice` (version, digest and settings),
/// the `figures` nDCG@10, recall@10, MRR@10 and coverage@10, each with its interval, and with its `difference` the second time,
/// and how many queries `failed`. With it stand the `judgements` and their digest, the `plugins` that took part, the space of
/// the `model`, the `catalogue_version`, and when it `began_at`. A step names the job as its `evaluation`.
#[utoipa::path(
    post, path = "/plugins/{name}/evaluate", tag = "plugins", request_body = NewEvaluation,
    params(("name" = String, Path, description = "The plugin"), SubmitHeaders),
    responses(
        (status = 202, body = Accepted, description = "The job; poll `Location`, as the shop that it belongs to"),
        (status = 200, body = JobView, description = "The finished job, when `Prefer: wait=N` was met"),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "`version_ambiguous`, and `digests` to choose from"),
        (status = 422, body = Problem, description = "`order_refused`: it could not serve so, and why")
    )
)]
pub async fn evaluate(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(new): Json<NewEvaluation>,
) -> Result<Response, Problem> {
    let shelf = Shelf::open(&app, &caller, new.tenant.as_deref()).await?;
    let version = shelf.pick(&name, new.version.as_deref(), new.digest.as_deref())?;
    let tenant = shelf.tenant.clone().unwrap_or_else(|| caller.tenant.clone());
    let judgements = set(&app, &tenant, &new.judgements).await?;
    let callback_url = app.outbound.read_optional(new.callback_url.as_deref());
    let callback_url = callback_url.map_err(|detail| Problem::field("callback_url", detail))?;
    let wanted = Wanted { digest: version.digest, settings: new.settings };
    let (chosen, _) = app.sandbox.choose(&tenant, &[wanted]).await?;
    let (slot, candidate) = chosen.0.into_iter().next().ok_or_else(shelf::no_version)?;
    let standing = shelf.standing(&app, &slot).await?;
    let live = standing.serving().and_then(|(row, _)| row.live.clone());
    let job = EvaluateJob { judgements, slot, live, candidate, on_trial: None, callback_url };
    let payload = serde_json::to_value(&job).map_err(|error| Problem::internal(&error))?;
    let caller = Caller { tenant, ..caller };
    let batch = app.staging.batch(JobId::new());
    job_views::submit(&app, &caller, &headers, batch, EVALUATE, payload, |_| Pins::default()).await
}

/// A set that the shop has.
async fn set(app: &Shared, tenant: &TenantId, name: &str) -> Result<JudgementSetId, Problem> {
    let missing = || Problem::field("judgements", format!("names no set of judgements of shop {tenant}"));
    let name: JudgementSetId = name.parse().map_err(|_| missing())?;
    let sets = app.door.store().judgements(tenant).await?;
    if sets.iter().any(|set| set.id == name) { Ok(name) } else { Err(missing()) }
}
