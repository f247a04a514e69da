//! `/plugins`: the versions of policies, which of them serve whom, and how they have been doing.

mod bodies;
mod evaluate;
mod evidence;
mod shelf;
mod slots;
mod steps;
mod upload;
mod views;

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::StatusCode,
};
use serde::Deserialize;
use taja_catalog::plugins::{Removal, Slot};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) use self::shelf::Shelf;
use self::{
    shelf::Standing,
    slots::EventView,
    views::{PluginList, PluginVersions, PluginView, TroubleView, VersionView},
};
use super::{Problem, Shared, system};
use crate::access::Caller;

/// Largest body of a step, bytes; most of it are settings.
const MAX_STEP_BYTES: usize = 256 * 1024;
/// Events on a page of a history, at most, and unless told.
const MAX_EVENTS: usize = 500;
const EVENTS: usize = 50;

/// Every route of plugins.
pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list, upload::upload))
        .routes(routes!(read))
        .routes(routes!(history))
        .routes(routes!(remove))
        .routes(routes!(evaluate::evaluate))
        .routes(routes!(steps::activate))
        .routes(routes!(steps::deactivate))
        .routes(routes!(steps::start_canary, steps::stop_canary))
        .routes(routes!(steps::start_shadow, steps::stop_shadow))
        .routes(routes!(steps::rollback))
        .routes(routes!(steps::set_gate, steps::lift_gate))
        .layer(DefaultBodyLimit::max(MAX_STEP_BYTES))
}

/// Whose plugins are meant.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Whose {
    /// The shop. Unless told: a key's own; for the operator every shop that has nothing of its own.
    tenant: Option<String>,
}

/// Which part of a history.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryOptions {
    /// The shop. Unless told: a key's own; for the operator every shop that has nothing of its own.
    tenant: Option<String>,
    /// Events, 1 to 500; 50 unless told.
    limit: Option<usize>,
}

/// Every plugin with its versions: a shop's own, and those that every shop may use.
#[utoipa::path(
    get, path = "/plugins", tag = "plugins", params(Whose),
    responses((status = 200, body = PluginList), (status = 404, body = Problem, description = "There is no such shop"))
)]
pub async fn list(
    State(app): State<Shared>,
    caller: Caller,
    Query(whose): Query<Whose>,
) -> Result<Json<PluginList>, Problem> {
    let shelf = Shelf::open(&app, &caller, whose.tenant.as_deref()).await?;
    let mut standings: BTreeMap<&Slot, Standing> = BTreeMap::new();
    let mut plugins: BTreeMap<&str, Vec<VersionView>> = BTreeMap::new();
    for version in shelf.versions() {
        if !standings.contains_key(&version.slot) {
            standings.insert(&version.slot, shelf.standing(&app, &version.slot).await?);
        }
        let view = VersionView::new(version, &standings[&version.slot], &app.sandbox);
        plugins.entry(&version.name).or_default().push(view);
    }
    let plugins = plugins.into_iter();
    let plugins =
        plugins.map(|(name, versions)| PluginVersions { name: name.to_owned(), versions }).collect();
    if !caller.is_operator() {
        return Ok(Json(PluginList { plugins, folder: None, troubles: None }));
    }
    let folder = app.sandbox.report().iter().map(system::plugin_line).collect();
    let troubles = app.sandbox.troubles().into_iter().map(TroubleView::from).collect();
    Ok(Json(PluginList { plugins, folder: Some(folder), troubles: Some(troubles) }))
}

/// A plugin: its versions and how they have been doing, and what fills its slot.
#[utoipa::path(
    get, path = "/plugins/{name}", tag = "plugins",
    params(("name" = String, Path, description = "The plugin"), Whose),
    responses((status = 200, body = PluginView), (status = 404, body = Problem))
)]
pub async fn read(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    Query(whose): Query<Whose>,
) -> Result<Json<PluginView>, Problem> {
    let shelf = Shelf::open(&app, &caller, whose.tenant.as_deref()).await?;
    let slot = shelf.slot(&app, &name).await?;
    shelf.view(&app, &name, &slot).await.map(Json)
}

/// What happened to the slot of a plugin, the latest first.
#[utoipa::path(
    get, path = "/plugins/{name}/history", tag = "plugins",
    params(("name" = String, Path, description = "The plugin"), HistoryOptions),
    responses((status = 200, body = [EventView]), (status = 404, body = Problem), (status = 422, body = Problem))
)]
pub async fn history(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    Query(options): Query<HistoryOptions>,
) -> Result<Json<Vec<EventView>>, Problem> {
    let limit = options.limit.unwrap_or(EVENTS);
    if !(1..=MAX_EVENTS).contains(&limit) {
        return Err(Problem::field("limit", format!("is not a number from 1 to {MAX_EVENTS}")));
    }
    let shelf = Shelf::open(&app, &caller, options.tenant.as_deref()).await?;
    let slot = shelf.slot(&app, &name).await?;
    let events = app.plugins.history(shelf.tenant.as_ref(), Some(&slot), limit).await?;
    Ok(Json(events.into_iter().map(EventView::from).collect()))
}

/// Removes a version that nobody uses.
#[utoipa::path(
    delete, path = "/plugins/{name}/versions/{digest}", tag = "plugins",
    params(
        ("name" = String, Path, description = "The plugin"),
        ("digest" = String, Path, description = "The version's digest, the first digits of it, or the version"), Whose
    ),
    responses(
        (status = 204, description = "It is gone"), (status = 404, body = Problem),
        (status = 403, body = Problem, description = "It is for every shop: only the operator may"),
        (status = 409, body = Problem, description = "It is in use")
    )
)]
pub async fn remove(
    State(app): State<Shared>,
    caller: Caller,
    Path((name, digest)): Path<(String, String)>,
    Query(whose): Query<Whose>,
) -> Result<StatusCode, Problem> {
    let shelf = Shelf::open(&app, &caller, whose.tenant.as_deref()).await?;
    let version = shelf.referred(&name, &digest)?;
    if version.owner != shelf.tenant {
        caller.must_operate()?;
        let detail = "this version is for every shop: leave the tenant out to remove it";
        return Err(Problem::new(StatusCode::NOT_FOUND, "plugin_not_found", detail));
    }
    match app.plugins.remove_version(version.owner.as_ref(), &version.digest).await? {
        Removal::Removed => {}
        Removal::Missing => return Err(shelf::no_version()),
        Removal::InUse(holders) => {
            let users = shelf::told(&holders);
            let detail = format!("this version is live, tried, compared or kept to go back to: {users}");
            return Err(Problem::new(StatusCode::CONFLICT, "version_in_use", detail));
        }
    }
    tracing::info!(plugin = %version.name, digest = %version.digest, by = caller.name(), "plugin version removed");
    Ok(StatusCode::NO_CONTENT)
}
