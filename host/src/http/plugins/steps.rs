//! The steps in the life of a version: serving, on trial, in shadow, and back.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde_json::Value;
use taja_catalog::plugins::{Activation, Slot};
use taja_sandbox::{Order, Step, Wanted};

use super::{
    bodies::{Ending, NewActivation, NewCanary, NewShadow, Rollback},
    shelf::{self, Shelf},
    views::PluginView,
};
use crate::{
    access::Caller,
    http::{Problem, Shared, tenants},
};

type Answer = Result<Json<PluginView>, Problem>;

/// A version serves from now on.
#[utoipa::path(
    post, path = "/plugins/{name}/activate", tag = "plugins", request_body = NewActivation,
    params(("name" = String, Path, description = "The plugin")),
    responses(
        (status = 200, body = PluginView), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "`version_ambiguous`, and `digests` to choose from"),
        (status = 422, body = Problem, description = "`order_refused`: it cannot serve so, and why")
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
        (status = 409, body = Problem), (status = 422, body = Problem)
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
            None => Ok(Self { app, caller, shelf, name, reason }),
        }
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
        take(self.app, order).await?;
        self.shelf.view(self.app, &self.name, &slot).await.map(Json)
    }
}

/// A step that somebody wants.
pub fn order(shelf: &Shelf, caller: &Caller, slot: Slot, step: Step, reason: String) -> Order {
    Order { tenant: shelf.tenant.clone(), slot, step, reason, by: caller.name() }
}

/// Takes a step, to the end even when the client hangs up meanwhile: what is stored is also followed.
pub async fn take(app: &Shared, order: Order) -> Result<(), Problem> {
    let sandbox = app.sandbox.clone();
    let taking = tokio::spawn(async move { sandbox.order(&order).await });
    taking.await.map_err(|error| Problem::internal(&error))??;
    Ok(())
}
