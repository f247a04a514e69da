//! The steps in the life of a version: serving, on trial, in shadow, and back.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde_json::Value;
use taja_catalog::plugins::{Activation, Evidence, Gate, Slot};
use taja_sandbox::{Order, Step, Wanted};

use super::{
    bodies::{Ending, NewActivation, NewCanary, NewGate, NewShadow, Rollback},
    evidence,
    shelf::{self, Shelf},
    views::PluginView,
};
use crate::{
    access::Caller,
    http::{Problem, Shared, tenants},
};

/// Longest age of evaluations that a gate may take: a year.
const MAX_GATE_SECONDS: u32 = 365 * 24 * 3600;

type Answer = Result<Json<PluginView>, Problem>;

/// A version serves from now on.
#[utoipa::path(
    post, path = "/plugins/{name}/activate", tag = "plugins", request_body = NewActivation,
    params(("name" = String, Path, description = "The plugin")),
    responses(
        (status = 200, body = PluginView), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "`version_ambiguous`, and `digests` to choose from; `evaluation_stale`: \
         it is too old, or beside something else than what serves now; `evaluation_worse`: the version finds less"),
        (status = 422, body = Problem, description = "`order_refused`: it cannot serve so, and why; `evaluation_missing`: \
         the slot asks for one of this version with these settings")
    )
)]
pub async fn activate(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    Json(new): Json<NewActivation>,
) -> Answer {
    let ask = Ask::new(&app, &caller, name, new.tenant, new.reason).await?;
    let (slot, wanted) = ask.wanted(new.version.as_deref(), new.digest.as_deref(), new.settings)?;
    let ask = ask.showing(new.evaluation.as_deref()).await?;
    ask.take(slot, Step::Activate(wanted)).await
}

/// The plugin serves no longer. A shop is then served by everybody's choice.
#[utoipa::path(
    post, path = "/plugins/{name}/deactivate", tag = "plugins", request_body = Option<Ending>,
    params(("name" = String, Path, description = "The plugin")),
    responses((status = 200, body = PluginView), (status = 404, body = Problem))
)]
pub async fn deactivate(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    ending: Option<Json<Ending>>,
) -> Answer {
    let Json(ending) = ending.unwrap_or_default();
    let ask = Ask::new(&app, &caller, name, ending.tenant, ending.reason).await?;
    let is_live = |row: &Activation| row.live.as_ref().is_some_and(|live| live.name == ask.name);
    let row = ask.row_where(is_live, "is not live").await?;
    ask.take(row.slot, Step::Deactivate).await
}

/// A version serves a share of the sessions, or another share.
#[utoipa::path(
    post, path = "/plugins/{name}/canary", tag = "plugins", request_body = NewCanary,
    params(("name" = String, Path, description = "The plugin")),
    responses(
        (status = 200, body = PluginView), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "As with `activate`"),
        (status = 422, body = Problem, description = "As with `activate`")
    )
)]
pub async fn start_canary(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    Json(new): Json<NewCanary>,
) -> Answer {
    let ask = Ask::new(&app, &caller, name, new.tenant, new.reason).await?;
    let (slot, wanted) = ask.wanted(new.version.as_deref(), new.digest.as_deref(), new.settings)?;
    let ask = ask.showing(new.evaluation.as_deref()).await?;
    ask.take(slot, Step::StartCanary(wanted, new.percent)).await
}

/// The plugin's trial ends.
#[utoipa::path(
    delete, path = "/plugins/{name}/canary", tag = "plugins",
    params(("name" = String, Path, description = "The plugin"), Ending),
    responses((status = 200, body = PluginView), (status = 404, body = Problem))
)]
pub async fn stop_canary(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    Query(ending): Query<Ending>,
) -> Answer {
    let ask = Ask::new(&app, &caller, name, ending.tenant, ending.reason).await?;
    let is_tried = |row: &Activation| row.canary.as_ref().is_some_and(|it| it.choice.name == ask.name);
    let row = ask.row_where(is_tried, "is not on trial").await?;
    ask.take(row.slot, Step::StopCanary).await
}

/// A version is compared with the live one, or more or less often.
#[utoipa::path(
    post, path = "/plugins/{name}/shadow", tag = "plugins", request_body = NewShadow,
    params(("name" = String, Path, description = "The plugin")),
    responses(
        (status = 200, body = PluginView), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)
    )
)]
pub async fn start_shadow(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    Json(new): Json<NewShadow>,
) -> Answer {
    let ask = Ask::new(&app, &caller, name, new.tenant, new.reason).await?;
    let (slot, wanted) = ask.wanted(new.version.as_deref(), new.digest.as_deref(), new.settings)?;
    ask.take(slot, Step::StartShadow(wanted, new.every)).await
}

/// The plugin is compared no longer.
#[utoipa::path(
    delete, path = "/plugins/{name}/shadow", tag = "plugins",
    params(("name" = String, Path, description = "The plugin"), Ending),
    responses((status = 200, body = PluginView), (status = 404, body = Problem))
)]
pub async fn stop_shadow(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    Query(ending): Query<Ending>,
) -> Answer {
    let ask = Ask::new(&app, &caller, name, ending.tenant, ending.reason).await?;
    let is_compared = |row: &Activation| row.shadow.as_ref().is_some_and(|it| it.choice.name == ask.name);
    let row = ask.row_where(is_compared, "does not run in shadow").await?;
    ask.take(row.slot, Step::StopShadow).await
}

/// Versions have to show an evaluation, from now on, before they serve in the slot of the plugin, or serve a share of the
/// sessions, whichever plugin they are of: one that is no older than told, and by which they find no less than what serves.
/// What serves already goes on, and what served before can be gone back to.
#[utoipa::path(
    post, path = "/plugins/{name}/gate", tag = "plugins", request_body = NewGate,
    params(("name" = String, Path, description = "The plugin")),
    responses((status = 200, body = PluginView), (status = 404, body = Problem), (status = 422, body = Problem))
)]
pub async fn set_gate(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    Json(new): Json<NewGate>,
) -> Answer {
    let ask = Ask::new(&app, &caller, name, new.tenant, new.reason).await?;
    if !(1..=MAX_GATE_SECONDS).contains(&new.max_age_seconds) {
        let detail = format!("is not a number from 1 to {MAX_GATE_SECONDS}");
        return Err(Problem::field("max_age_seconds", detail));
    }
    let slot = ask.shelf.slot(&app, &ask.name).await?;
    ask.take(slot, Step::Gate(Some(Gate { max_age_seconds: new.max_age_seconds }))).await
}

/// Versions serve again without having shown anything.
#[utoipa::path(
    delete, path = "/plugins/{name}/gate", tag = "plugins",
    params(("name" = String, Path, description = "The plugin"), Ending),
    responses((status = 200, body = PluginView), (status = 404, body = Problem))
)]
pub async fn lift_gate(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    Query(ending): Query<Ending>,
) -> Answer {
    let ask = Ask::new(&app, &caller, name, ending.tenant, ending.reason).await?;
    let row = ask.row_where(|row| row.gate.is_some(), "has no gate").await?;
    ask.take(row.slot, Step::Gate(None)).await
}

/// What served before the plugin, or before something else took its place, serves again.
#[utoipa::path(
    post, path = "/plugins/{name}/rollback", tag = "plugins", request_body = Option<Rollback>,
    params(("name" = String, Path, description = "The plugin")),
    responses((status = 200, body = PluginView), (status = 404, body = Problem), (status = 409, body = Problem))
)]
pub async fn rollback(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    back: Option<Json<Rollback>>,
) -> Answer {
    let Json(back) = back.unwrap_or_default();
    let ask = Ask::new(&app, &caller, name, back.tenant, back.reason).await?;
    let served = |row: &Activation| row.live.iter().chain(&row.previous).any(|it| it.name == ask.name);
    let row = ask.row_where(served, "neither serves nor served lately").await?;
    let to = back.to.map(|to| {
        let (version, digest) = shelf::reference(&to);
        shelf::only(row.previous.iter().map(|it| (it.digest, it.version.as_str())), version, digest)
    });
    ask.take(row.slot, Step::Rollback(to.transpose()?)).await
}

/// Who asks for a step of which plugin.
struct Ask<'a> {
    app: &'a Shared,
    caller: &'a Caller,
    shelf: Shelf,
    name: String,
    reason: String,
    evidence: Option<Evidence>,
}

impl<'a> Ask<'a> {
    async fn new(
        app: &'a Shared,
        caller: &'a Caller,
        name: String,
        tenant: Option<String>,
        reason: String,
    ) -> Result<Self, Problem> {
        let shelf = Shelf::open(app, caller, tenant.as_deref()).await?;
        shelf.plugin(&name)?;
        match tenants::check_text("reason", &reason) {
            Some(problem) => Err(Problem::fields(vec![problem])),
            None => Ok(Self { app, caller, shelf, name, reason, evidence: None }),
        }
    }

    /// With what an evaluation says, if one is named: one of the shop that is meant, or of the caller's.
    async fn showing(self, evaluation: Option<&str>) -> Result<Self, Problem> {
        let Some(job) = evaluation else { return Ok(self) };
        let tenant = self.shelf.tenant.as_ref().unwrap_or(&self.caller.tenant);
        let evidence = evidence::of(self.app, tenant, job).await?;
        Ok(Self { evidence: Some(evidence), ..self })
    }

    fn wanted(
        &self,
        version: Option<&str>,
        digest: Option<&str>,
        settings: Option<Value>,
    ) -> Result<(Slot, Wanted), Problem> {
        let version = self.shelf.pick(&self.name, version, digest)?;
        Ok((version.slot.clone(), Wanted { digest: version.digest, settings }))
    }

    /// The slot of the plugin that is so; `otherwise` says what is not so when there is none.
    async fn row_where(
        &self,
        so: impl Fn(&Activation) -> bool,
        otherwise: &str,
    ) -> Result<Activation, Problem> {
        for slot in self.shelf.slots(&self.name)? {
            let row = self.app.plugins.activation(self.shelf.tenant.as_ref(), &slot).await?;
            if let Some(row) = row.filter(&so) {
                return Ok(row);
            }
        }
        let (name, whose) = (&self.name, self.shelf.whose());
        Err(shelf::not_found(format!("{name} {otherwise} in what is chosen for {whose}")))
    }

    async fn take(self, slot: Slot, step: Step) -> Answer {
        let order = order(&self.shelf, self.caller, slot.clone(), step, self.reason);
        let order = Order { evidence: self.evidence, ..order };
        take(self.app, order).await?;
        self.shelf.view(self.app, &self.name, &slot).await.map(Json)
    }
}

/// A step that somebody wants, with nothing to show for it.
pub fn order(shelf: &Shelf, caller: &Caller, slot: Slot, step: Step, reason: String) -> Order {
    Order { tenant: shelf.tenant.clone(), slot, step, evidence: None, reason, by: caller.name() }
}

/// Takes a step, to the end even when the client hangs up meanwhile: what is stored is also followed.
pub async fn take(app: &Shared, order: Order) -> Result<(), Problem> {
    let sandbox = app.sandbox.clone();
    let taking = tokio::spawn(async move { sandbox.order(&order).await });
    taking.await.map_err(|error| Problem::internal(&error))??;
    Ok(())
}
