//! `/models`: which models there are, which one serves, and letting another one serve.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::{Deserialize, Serialize};
use taja_catalog::{models::Conditions, policy::Pins};
use taja_queue::JobId;
use utoipa::ToSchema;

use super::{
    Problem, Shared,
    jobs::{self as job_views, Accepted, JobView, SubmitHeaders},
};
use crate::{
    access::Caller,
    app,
    jobs::{ACTIVATE_MODEL, ActivateJob},
};

/// Vectors that are removed in one transaction.
const FORGET_AT_ONCE: usize = 1000;

/// What a model is to this service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelState {
    /// Queries and new pictures are embedded with it.
    Active,
    /// It is being made ready to take the place of the active one.
    Next,
    /// It served before the active one.
    Before,
    /// Its files are here.
    Installed,
    /// There are vectors of it, and no files.
    Vectors,
}

/// A model.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelView {
    /// What it is activated by.
    name: String,
    /// What it is to this service.
    state: ModelState,
    /// Its name for people, where its files are here.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// Components of its vectors, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    dimension: Option<usize>,
    /// The space of its vectors, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    space: Option<String>,
    /// Vectors of all shops.
    vectors: u64,
}

/// Every model.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelList {
    /// Pictures of all shops: a model is complete with as many vectors.
    pictures: u64,
    /// The active one first.
    models: Vec<ModelView>,
}

/// What has to hold before a model serves.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivateModel {
    /// Embed and compare, and let the active one go on serving.
    #[serde(default)]
    hold: bool,
    /// The least share of what the active one finds that this one has to find, 0 to 1; 0.8 unless told.
    at_least: Option<f64>,
    /// Whether pictures that cannot be fetched or decoded any more may be left behind.
    #[serde(default)]
    allow_lacking: bool,
    /// Where the job's end is posted to: an `http` or `https` address. See `/tenants/{id}/callback-secret`.
    callback_url: Option<String>,
}

impl ActivateModel {
    fn conditions(&self) -> Result<Conditions, Problem> {
        let usual = Conditions::default();
        let at_least = self.at_least.unwrap_or(usual.at_least);
        if !(0.0..=1.0).contains(&at_least) {
            return Err(Problem::field("at_least", "is not a number from 0 to 1"));
        }
        Ok(Conditions { hold: self.hold, at_least, allow_lacking: self.allow_lacking })
    }
}

/// Models whose files are here, and models of which there are vectors.
#[utoipa::path(
    get, path = "/models", tag = "models",
    responses((status = 200, body = ModelList), (status = 403, body = Problem, description = "Only the operator may"))
)]
pub async fn list(State(app): State<Shared>, caller: Caller) -> Result<Json<ModelList>, Problem> {
    caller.must_operate()?;
    let (choice, counts, spaces) =
        tokio::try_join!(app.models.choice(), app.store.counts(), app.store.spaces())?;
    let mut states = BTreeMap::new();
    if let Some(choice) = &choice {
        states.extend(choice.before.iter().map(|space| (space.id.clone(), ModelState::Before)));
        states.extend(choice.next.iter().map(|space| (space.id.clone(), ModelState::Next)));
        states.insert(choice.active.id.clone(), ModelState::Active);
    } else if let Some(space) = &app.serving.report().space {
        states.insert(space.id.clone(), ModelState::Active);
    }
    let config = app.config.clone();
    let installed = tokio::task::spawn_blocking(move || app::installed(&config)).await;
    let mut installed: BTreeMap<_, _> = installed
        .map_err(|error| Problem::internal(&error))?
        .into_iter()
        .map(|(_, manifest)| (manifest.name.clone(), manifest))
        .collect();
    let mut ids: Vec<_> = spaces.keys().chain(states.keys()).cloned().collect();
    ids.sort();
    ids.dedup();
    let mut models: Vec<_> = ids
        .into_iter()
        .map(|id| {
            let name = id.rsplit_once('@').map_or(id.as_str(), |(name, _)| name).to_owned();
            let manifest = installed.remove(&name);
            let state = match states.get(&id) {
                Some(state) => *state,
                None if manifest.is_some() => ModelState::Installed,
                None => ModelState::Vectors,
            };
            ModelView {
                name,
                state,
                title: manifest.as_ref().map(|manifest| manifest.title.clone()),
                dimension: manifest.map(|manifest| manifest.dimension),
                vectors: spaces.get(&id).copied().unwrap_or(0),
                space: Some(id),
            }
        })
        .collect();
    models.extend(installed.into_values().map(|manifest| ModelView {
        name: manifest.name,
        state: ModelState::Installed,
        title: Some(manifest.title),
        dimension: Some(manifest.dimension),
        space: None,
        vectors: 0,
    }));
    models.sort_by_key(|model| model.state as u8);
    Ok(Json(ModelList { pictures: counts.images, models }))
}

/// Lets a model serve: every picture gets a vector of it, beside those there are, while those go on serving; both models are
/// compared on the pictures of the catalogue; then it takes over at once. To go back, activate the one that served before.
#[utoipa::path(
    post, path = "/models/{name}/activate", tag = "models", request_body = ActivateModel,
    params(("name" = String, Path, description = "The model"), SubmitHeaders),
    responses(
        (status = 202, body = Accepted, description = "The job; poll `Location`"),
        (status = 200, body = JobView, description = "The finished job, when `Prefer: wait=N` was met"),
        (status = 403, body = Problem, description = "Only the operator may"),
        (status = 404, body = Problem), (status = 422, body = Problem)
    )
)]
pub async fn activate(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(asked): Json<ActivateModel>,
) -> Result<Response, Problem> {
    caller.must_operate()?;
    let conditions = asked.conditions()?;
    let (config, asked_for) = (app.config.clone(), name.clone());
    let found = tokio::task::spawn_blocking(move || app::named(&config, &asked_for)).await;
    let model = match found.map_err(|error| Problem::internal(&error))? {
        Ok((_, manifest)) => manifest.name,
        Err(_) if app.config.role.works() => return Err(Problem::not_found("model")),
        // Its files may lie with the workers alone.
        Err(_) => name,
    };
    let callback_url = app.outbound.read_optional(asked.callback_url.as_deref());
    let callback_url = callback_url.map_err(|detail| Problem::field("callback_url", detail))?;
    let job = ActivateJob { model, conditions, callback_url };
    let payload = serde_json::to_value(&job).map_err(|error| Problem::internal(&error))?;
    let batch = app.staging.batch(JobId::new());
    job_views::submit(&app, &caller, &headers, batch, ACTIVATE_MODEL, payload, |_| Pins::default()).await
}

/// Removes the vectors of a space that neither serves nor is about to.
#[utoipa::path(
    delete, path = "/models/vectors/{space}", tag = "models",
    params(("space" = String, Path, description = "The space, as `/models` tells it")),
    responses(
        (status = 204, description = "There are none of it any more"),
        (status = 403, body = Problem, description = "Only the operator may"),
        (status = 409, body = Problem, description = "They are needed")
    )
)]
pub async fn forget(
    State(app): State<Shared>,
    caller: Caller,
    Path(space): Path<String>,
) -> Result<StatusCode, Problem> {
    caller.must_operate()?;
    let choice = app.models.choice().await?;
    let is_active = app.serving.report().space.as_ref().is_some_and(|active| active.id == space);
    if is_active || choice.is_some_and(|choice| choice.needs(&space)) {
        let detail = format!("vectors of {space} are needed");
        return Err(Problem::new(StatusCode::CONFLICT, "vectors_needed", detail));
    }
    while app.models.forget_vectors(&space, FORGET_AT_ONCE).await? > 0 {}
    Ok(StatusCode::NO_CONTENT)
}
