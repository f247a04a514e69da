//! `/tenants/{id}/judgements`: what a shop's people judged, for the service to measure versions of policies by.

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::Serialize;
use taja_catalog::{JudgementSetId, judgements::JudgementSet};
use utoipa::ToSchema;

use super::tenant;
use crate::{
    access::Caller,
    evaluation::judgements::{Judgements, Wrong},
    http::{FieldProblem, Problem, Shared},
};

/// Sets that a shop may have.
const MAX_SETS: usize = 20;
/// Largest set, bytes.
const MAX_BYTES: usize = 1 << 20;
const NDJSON: &str = "application/x-ndjson";

/// A set of judgements, without its lines.
#[derive(Serialize, ToSchema)]
pub struct JudgementSetView {
    /// Its name: 1 to 64 of a-z, 0-9, hyphen and underscore.
    name: String,
    /// SHA-256 of its lines, 64 hex digits. An evaluation tells it, too.
    digest: String,
    /// Queries that judge something relevant.
    queries: u32,
    /// Since when its lines are these.
    #[schema(value_type = String, format = DateTime)]
    changed_at: Timestamp,
}

impl From<JudgementSet> for JudgementSetView {
    fn from(set: JudgementSet) -> Self {
        let JudgementSet { id, digest, queries, changed_at } = set;
        Self { name: id.into(), digest, queries, changed_at }
    }
}

/// A shop's sets of judgements, by name.
#[utoipa::path(
    get, path = "/tenants/{id}/judgements", tag = "tenants", params(("id" = String, Path, description = "The shop")),
    responses((status = 200, body = [JudgementSetView]), (status = 404, body = Problem))
)]
pub async fn list(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Vec<JudgementSetView>>, Problem> {
    let tenant = tenant(&app, &caller, &id).await?;
    let sets = app.door.store().judgements(&tenant.id).await?;
    Ok(Json(sets.into_iter().map(Into::into).collect()))
}

/// The lines of a set, as they were brought.
#[utoipa::path(
    get, path = "/tenants/{id}/judgements/{set}", tag = "tenants",
    params(("id" = String, Path, description = "The shop"), ("set" = String, Path, description = "The set")),
    responses(
        (status = 200, body = String, content_type = "application/x-ndjson", description = "One JSON object per line"),
        (status = 404, body = Problem)
    )
)]
pub async fn read(
    State(app): State<Shared>,
    caller: Caller,
    Path((id, set)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let tenant = tenant(&app, &caller, &id).await?;
    let set = named(&set)?;
    let (_, lines) = app.door.store().judgement_lines(&tenant.id, &set).await?.ok_or_else(missing)?;
    Ok(([(header::CONTENT_TYPE, NDJSON)], lines).into_response())
}

/// Keeps a set of judgements, in the place of one of its name. A line is a JSON object: what is asked (`query`, `not`, each
/// one text or a list; `parts`, texts of other kinds by name; `weights`, `filter`, `sort` and `group` as in a search) and what
/// answers it: `relevant`, grades from 0 to 10 by product id or sku, or `relevant_where`, a list of
/// `{"filter": .., "grade": ..}`. `id` names the query, `note` is for people. Pictures and videos are not kept. At most 1,000
/// queries and 1 MiB; at most 20 sets of a shop.
#[utoipa::path(
    put, path = "/tenants/{id}/judgements/{set}", tag = "tenants",
    params(
        ("id" = String, Path, description = "The shop"),
        ("set" = String, Path, description = "Its name: 1 to 64 of a-z, 0-9, hyphen and underscore")
    ),
    request_body(content = String, content_type = "application/x-ndjson", description = "One JSON object per line"),
    responses(
        (status = 200, body = JudgementSetView), (status = 404, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem, description = "`judgements_invalid`, and which line is at fault and why: its pointer \
         counts lines from 0. `too_many_judgements`: the shop has 20 other sets")
    )
)]
pub async fn replace(
    State(app): State<Shared>,
    caller: Caller,
    Path((id, set)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<JudgementSetView>, Problem> {
    let tenant = tenant(&app, &caller, &id).await?.id;
    let set: JudgementSetId = set.parse().map_err(|error| Problem::field("set", format!("{error}")))?;
    check_type(&headers)?;
    let bytes = to_bytes(body, MAX_BYTES).await;
    let bytes = bytes.map_err(|_| Problem::too_large("a set of judgements", MAX_BYTES as u64))?;
    let lines = text(&bytes).map_err(|wrong| invalid(&wrong))?;
    let judgements = Judgements::kept(set.to_string(), lines).map_err(|wrong| invalid(&wrong))?;
    let others = app.door.store().judgements(&tenant).await?;
    if others.iter().filter(|other| other.id != set).count() >= MAX_SETS {
        let detail = format!("a shop has at most {MAX_SETS} sets of judgements: remove one first");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many_judgements", detail));
    }
    let queries = judgements.queries.len() as u32;
    let set = JudgementSet::of(set, lines, queries, Timestamp::now());
    if !app.door.store().keep_judgements(&tenant, &set, lines).await? {
        return Err(Problem::not_found("tenant"));
    }
    tracing::info!(%tenant, set = %set.id, queries, by = caller.name(), "judgements kept");
    Ok(Json(set.into()))
}

/// Forgets a set. What was measured by it stays measured.
#[utoipa::path(
    delete, path = "/tenants/{id}/judgements/{set}", tag = "tenants",
    params(("id" = String, Path, description = "The shop"), ("set" = String, Path, description = "The set")),
    responses((status = 204, description = "It is gone"), (status = 404, body = Problem))
)]
pub async fn forget(
    State(app): State<Shared>,
    caller: Caller,
    Path((id, set)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let tenant = tenant(&app, &caller, &id).await?;
    if !app.door.store().forget_judgements(&tenant.id, &named(&set)?).await? {
        return Err(missing());
    }
    Ok(StatusCode::NO_CONTENT)
}

fn named(set: &str) -> Result<JudgementSetId, Problem> {
    set.parse().map_err(|_| missing())
}

fn missing() -> Problem {
    Problem::not_found("set of judgements")
}

fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if sent.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(NDJSON) {
        return Ok(());
    }
    let detail = format!("send {NDJSON}: one JSON object per line");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type_unsupported", detail))
}

fn text(bytes: &[u8]) -> Result<&str, Wrong> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Wrong::Line(before + 1, "it is not UTF-8".into())
    })
}

fn invalid(wrong: &Wrong) -> Problem {
    let pointer = match wrong {
        Wrong::Line(number, _) => (number - 1).to_string(),
        Wrong::Nothing => String::new(),
    };
    let detail = wrong.to_string();
    let errors = vec![FieldProblem::new(&pointer, detail.clone())];
    Problem { errors, ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "judgements_invalid", detail) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_told_with_its_line() {
        assert_eq!(text(b"{}\n\xff"), Err(Wrong::Line(2, "it is not UTF-8".into())));
        assert_eq!(text("ü\n".as_bytes()), Ok("ü\n"));
        let problem = invalid(&Wrong::Line(2, "it is no judgement".into()));
        assert_eq!((problem.code.as_str(), problem.errors[0].pointer.as_str()), ("judgements_invalid", "/1"));
        assert!(problem.detail.starts_with("line 2: "), "{}", problem.detail);
    }
}
