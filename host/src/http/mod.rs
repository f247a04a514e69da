//! HTTP: one router, mounted at `/` and at `/api/v1`.

mod add_product;
mod auth;
mod description;
mod docs;
mod events;
mod form;
#[cfg(test)]
mod fuzz;
mod images;
mod jobs;
mod linger;
mod models;
mod origin;
mod plugins;
mod problem;
mod products;
mod recordings;
mod results;
mod search;
mod system;
mod tenants;
mod track;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    response::{IntoResponse, Redirect},
    routing::get,
};
use tower_http::{catch_panic::CatchPanicLayer, limit::RequestBodyLimitLayer};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub use add_product::details;
pub use events::Streams;
pub(crate) use jobs::text as job_text;
pub use problem::{FieldProblem, PluginProblem, Problem};
pub(crate) use search::text_search;
pub use search::{MAX_LIMIT, PartName, check_search_option};

use crate::app::App;

/// What every handler sees.
pub type Shared = Arc<App>;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Taja",
        description = "Product search and catalogue for shops that sell through chat. Every route is served at / \
                       and at /api/v1. Long work is a job: 202 with its id, then poll, or ask with the header Prefer: wait=N."
    ),
    tags(
        (name = "products", description = "Taking products in, and changing them"),
        (name = "search", description = "Finding them by words, pictures and videos"),
        (name = "jobs", description = "What runs in the background"),
        (name = "plugins", description = "Policies: their versions, which of them serve whom, how they have been doing"),
        (name = "models", description = "What embeds pictures and words, and changing it"),
        (name = "tenants", description = "Shops, and the keys that speak for them"),
        (name = "system", description = "Health, metrics, images")
    ),
    security(("key" = [])),
    modifiers(&BearerKey)
)]
struct Api;

/// How a request says who it speaks for.
struct BearerKey;

impl Modify for BearerKey {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let description = "A shop's key (`taja key add`), or the operator's. None is needed on a loopback address without one.";
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(bearer));
    }
}

/// Every route, with how many bytes a request may bring it; a file of products may be larger than anything else.
fn routes(request_bytes: usize, import_bytes: usize) -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(system::root))
        .routes(routes!(system::health))
        .routes(routes!(system::metrics))
        .routes(routes!(add_product::submit))
        .routes(routes!(add_product::job))
        .routes(routes!(add_product::progress))
        .routes(routes!(search::submit))
        .routes(routes!(search::job))
        .routes(routes!(search::progress))
        .routes(routes!(search::outcome::tell))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::read, jobs::cancel))
        .routes(routes!(jobs::redrive))
        .routes(routes!(events::events))
        .routes(routes!(tenants::list, tenants::register))
        .routes(routes!(tenants::read))
        .routes(routes!(tenants::keys, tenants::add_key))
        .routes(routes!(tenants::revoke_key))
        .routes(routes!(tenants::words::read, tenants::words::replace))
        .routes(routes!(tenants::judgements::list))
        .routes(routes!(tenants::judgements::read, tenants::judgements::replace, tenants::judgements::forget))
        .routes(routes!(tenants::callback_secret))
        .routes(routes!(tenants::rotate_callback_secret))
        .routes(routes!(models::list))
        .routes(routes!(models::activate))
        .routes(routes!(models::forget))
        .routes(routes!(recordings::read))
        .routes(routes!(images::image))
        .merge(products::routes())
        .merge(plugins::routes())
        .layer(RequestBodyLimitLayer::new(request_bytes))
        .merge(products::import_routes().layer(RequestBodyLimitLayer::new(import_bytes)))
}

/// The OpenAPI 3.1 description of every route.
pub fn openapi() -> utoipa::openapi::OpenApi {
    description::complete(routes(0, 0).split_for_parts().1)
}

/// Everything that is served.
pub fn router(app: Shared) -> Router {
    let limits = &app.config.limits;
    let prefix = app.config.api_prefix.clone();
    let (api, description) = routes(limits.request_bytes, limits.import_bytes).split_for_parts();
    // Routes are cloned with every request, and with them what they hold.
    let description = Arc::new(description::complete(description));
    let api = api
        .route("/openapi.json", get(move || async move { axum::Json(&*description).into_response() }))
        .route("/docs", get(docs::page));
    let home = prefix.clone();
    let routes = Router::new()
        .merge(api.clone())
        .nest(&prefix, api)
        .route(&format!("{prefix}/"), get(move || async move { Redirect::permanent(&home) }))
        .layer(middleware::from_fn_with_state(app.clone(), auth::admit))
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::map_request(linger::read_on));
    finish(routes, app)
}

/// What a process serves that only runs jobs: how it is.
pub fn worker_router(app: Shared) -> Router {
    let routes = Router::new()
        .route("/", get(system::root))
        .route("/health", get(system::health))
        .route("/metrics", get(system::metrics))
        .layer(middleware::from_fn_with_state(app.clone(), auth::admit));
    finish(routes, app)
}

fn finish(routes: Router<Shared>, app: Shared) -> Router {
    routes
        .layer(CatchPanicLayer::new())
        .layer(middleware::map_response(problem::ensure))
        .layer(middleware::from_fn(track::requests))
        .with_state(app)
}
