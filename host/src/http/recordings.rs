//! `/recordings`: searches that were recorded, to be played again with `taja plugin replay`.

use axum::{
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use taja_catalog::access::Scope;

use super::{Problem, Shared};
use crate::{access::Caller, recordings};

/// A recorded search: what each policy was given, what it asked, what the host answered, and what it answered. Kept for
/// a day.
#[utoipa::path(
    get, path = "/recordings/{id}", tag = "plugins",
    params(("id" = String, Path, description = "As the search's result names it")),
    responses(
        (status = 200, body = String, content_type = "application/json", description = "The recording"),
        (status = 404, body = Problem)
    )
)]
pub async fn read(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.may(Scope::Admin)?;
    let missing = || Problem::not_found("recording");
    let id = id.parse().map_err(|()| missing())?;
    let json = recordings::fetch(&app.staging, &caller.tenant, id).await?.ok_or_else(missing)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}
