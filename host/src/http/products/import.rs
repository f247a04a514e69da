//! `POST /products:import`: a file of products as one job, and what became of each of its rows.

use std::{error::Error, iter};

use axum::{
    body::Body,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, TryStreamExt, stream};
use http_body_util::LengthLimitError;
use serde::Deserialize;
use taja_catalog::access::Scope;
use taja_queue::JobId;
use utoipa::IntoParams;

use super::super::{
    Problem, Shared,
    form::unreceived,
    jobs::{self as job_views, Accepted, JobView, SubmitHeaders},
};
use crate::{
    access::Caller,
    import::{self, Format, ImportJob},
    jobs::IMPORT,
};

const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv";
/// What is received, for people.
const FILE: &str = "the file";

/// What is to become of an import.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ImportOptions {
    /// Where the job's end is posted to: an `http` or `https` address. See `/tenants/{id}/callback-secret`.
    callback_url: Option<String>,
}

/// Adds the products of a file: one JSON object per line, or CSV with a row of names, whose cells are separated by commas,
/// semicolons or tabs, whichever that row has most of. The fields are those of `/add_product`; `images` is a list of addresses,
/// `https://…` or `data:image/png;base64,…`, in CSV separated by `|`, and an attribute may be a column: `attributes.NAME`, of
/// texts, or `attributes.NAME:TYPE`, where the type is `text`, `number`, `boolean`, `list` (separated by `|`) or `date`. Where
/// semicolons separate, a number may have a decimal comma. `offers`, as an export tells them, come with a product that is new. A
/// row that is at fault fails alone, and of those with the same picture the first is the product; `/jobs/{id}/results` tells what
/// became of each.
#[utoipa::path(
    post, path = "/products:import", params(ImportOptions, SubmitHeaders), tag = "products",
    request_body(content(
        (String = "application/x-ndjson"),
        (String = "text/csv"),
    )),
    responses(
        (status = 202, body = Accepted, description = "The job; poll `Location`"),
        (status = 200, body = JobView, description = "The finished job, when `Prefer: wait=N` was met"),
        (status = 413, body = Problem, description = "The file is larger than allowed: send it in parts"),
        (status = 415, body = Problem),
        (status = 422, body = Problem, description = "It cannot be read, or has more rows than allowed"),
        (status = 503, body = Problem)
    )
)]
pub async fn submit(
    State(app): State<Shared>,
    caller: Caller,
    Query(options): Query<ImportOptions>,
    request: Request,
) -> Result<Response, Problem> {
    caller.may(Scope::Catalogue)?;
    let callback_url = app.outbound.read_optional(options.callback_url.as_deref());
    let callback_url = callback_url.map_err(|detail| Problem::field("callback_url", detail))?;
    let headers = request.headers().clone();
    let format = format_of(&headers)?;
    let mut batch = app.staging.batch(JobId::new());
    let limits = &app.config.limits;
    let limit = limits.import_bytes as u64;
    let body = request.into_body().into_data_stream();
    let empty = || Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "file_empty", "the file is empty");
    let file = batch.receive(body, |head| if head.is_empty() { Err(empty()) } else { Ok(limit) }).await;
    let file = file.map_err(|error| unreceived(error, FILE, |error| broken(&error, limit)))?;
    let rows = import::count(batch.path(&file), format).await?;
    if rows > limits.import_rows {
        let detail = format!("the file has {rows} rows; {} are allowed", limits.import_rows);
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many_rows", detail));
    }
    let pins = Default::default();
    let job = ImportJob { file: file.hash, format, rows: Some(rows), callback_url, pins };
    let payload = serde_json::to_value(&job).map_err(|error| Problem::internal(&error))?;
    let pin = |session: &str| app.policies.pin_ingest(&caller.tenant, session);
    job_views::submit(&app, &caller, &headers, batch, IMPORT, payload, pin).await
}

fn format_of(headers: &HeaderMap) -> Result<Format, Problem> {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match sent.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        NDJSON => Ok(Format::Ndjson),
        CSV => Ok(Format::Csv),
        _ => {
            let detail = format!("send {NDJSON} or {CSV}");
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type_unsupported", detail))
        }
    }
}

fn broken(error: &axum::Error, limit: u64) -> Problem {
    let mut causes = iter::successors(error.source(), |&error| error.source());
    if causes.any(<dyn Error>::is::<LengthLimitError>) {
        Problem::too_large(FILE, limit)
    } else {
        Problem::new(StatusCode::BAD_REQUEST, "body_malformed", error.to_string())
    }
}

/// What became of each row of an import, one JSON object per line, in the order of the file: its `line`, and what an added
/// product's job would tell, or the `error`. While the import runs, it tells what is done so far, in steps of 64 rows, and of
/// fewer at first. Kept for a day after the last of them.
#[utoipa::path(
    get, path = "/jobs/{id}/results", tag = "jobs",
    params(("id" = String, Path, description = "The import")),
    responses(
        (status = 200, body = String, content_type = "application/x-ndjson", description = "The results"),
        (status = 404, body = Problem),
        (status = 410, body = Problem, description = "They were kept for a day, and are gone"),
        (status = 503, body = Problem)
    )
)]
pub async fn results(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let import = job_views::find(&app, &caller, &id, Some(IMPORT), None).await?;
    let job = import.id;
    // The first block before the status, so that a store that is away is told as such.
    let first = import::block(&app.staging, job, 0).await?;
    if first.is_none() && import::is_gone(&import) {
        let detail = "what became of each row was kept for a day, and is gone; the products are not";
        return Err(Problem::new(StatusCode::GONE, "results_gone", detail));
    }
    let rest = stream::try_unfold((app, 1), move |(app, number)| async move {
        let block = import::block(&app.staging, job, number).await?;
        Ok::<_, taja_catalog::PortError>(block.map(|block| (block, (app, number + 1))))
    });
    let rest = if first.is_some() { rest.left_stream() } else { stream::empty().right_stream() };
    let blocks = stream::iter(first).map(Ok).chain(rest.into_stream());
    Ok(([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(blocks)).into_response())
}
