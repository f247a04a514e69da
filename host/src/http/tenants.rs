//! `/tenants`: shops, and the keys that speak for them.

pub mod judgements;
pub mod words;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use taja_catalog::{
    TenantId,
    access::{ApiKey, KeyId, Scope, Tenant},
    callback::CallbackSecrets,
};
use utoipa::ToSchema;

use super::{FieldProblem, Problem, Shared};
use crate::{
    access::{self, Caller},
    callbacks,
};

/// Longest name of a shop and label of a key, characters.
const MAX_TEXT: usize = 200;
/// Longest life of a key that expires, days.
const MAX_DAYS: u32 = 3650;

/// A shop.
#[derive(Serialize, ToSchema)]
pub struct TenantView {
    /// 1 to 64 of a-z, 0-9, hyphen and underscore.
    id: String,
    /// What people call it.
    name: String,
    /// When it was registered.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Tenant> for TenantView {
    fn from(tenant: Tenant) -> Self {
        Self { id: tenant.id.into(), name: tenant.name, created_at: tenant.created_at }
    }
}

/// A shop to register.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    /// 1 to 64 of a-z, 0-9, hyphen and underscore.
    id: String,
    /// What people call it; the id unless told.
    name: Option<String>,
}

/// A key, without what proves it.
#[derive(Serialize, ToSchema)]
pub struct KeyView {
    /// Its public part, 16 hex digits.
    id: String,
    /// The shop it speaks for.
    tenant: String,
    /// What it may be used for: `search`, `catalogue`, `admin`.
    scopes: Vec<&'static str>,
    /// What it is for.
    label: String,
    /// Whether it opens anything: `active`, `expired` or `revoked`.
    state: &'static str,
    /// Requests per minute at each process, if it has a limit of its own.
    per_minute: Option<u32>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// From when on it opens nothing.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    /// The key itself. It is shown this once and kept nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        let state = match key.revoked_at {
            Some(_) => "revoked",
            None if key.is_good(Timestamp::now()) => "active",
            None => "expired",
        };
        Self {
            id: key.id.to_string(),
            tenant: key.tenant.into(),
            scopes: key.scopes.iter().map(|scope| scope.as_str()).collect(),
            label: key.label,
            state,
            per_minute: key.per_minute,
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            key: None,
        }
    }
}

/// A key to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What it may be used for: `search`, `catalogue`, `admin`.
    scopes: Vec<String>,
    /// What it is for.
    #[serde(default)]
    label: String,
    /// Requests per minute at each process; the service's own limit unless told.
    per_minute: Option<u32>,
    /// Days until it expires; never unless told.
    days: Option<u32>,
}

/// What a shop's callbacks are signed with.
#[derive(Serialize, ToSchema)]
pub struct CallbackSecretView {
    /// `whsec_` and the base64 of the key.
    secret: String,
    /// Since when it counts.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// The secret before, which callbacks are signed with as well for the time being.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<RetiringSecretView>,
}

/// A secret on its way out.
#[derive(Serialize, ToSchema)]
pub struct RetiringSecretView {
    /// The secret.
    secret: String,
    /// From when on nothing is signed with it.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

impl From<CallbackSecrets> for CallbackSecretView {
    fn from(secrets: CallbackSecrets) -> Self {
        let previous = secrets.previous.filter(|previous| Timestamp::now() < previous.until);
        let previous = previous.map(|previous| RetiringSecretView {
            secret: previous.secret.expose().to_owned(),
            until: previous.until,
        });
        Self { secret: secrets.current.expose().to_owned(), since: secrets.since, previous }
    }
}

/// Shops: every one for the operator, the caller's own for others.
#[utoipa::path(get, path = "/tenants", tag = "tenants", responses((status = 200, body = [TenantView])))]
pub async fn list(State(app): State<Shared>, caller: Caller) -> Result<Json<Vec<TenantView>>, Problem> {
    caller.may(Scope::Admin)?;
    let tenants = if caller.is_operator() {
        app.door.store().tenants().await?
    } else {
        app.door.store().tenant(&caller.tenant).await?.into_iter().collect()
    };
    Ok(Json(tenants.into_iter().map(Into::into).collect()))
}

/// Registers a shop.
#[utoipa::path(
    post, path = "/tenants", tag = "tenants", request_body = NewTenant,
    responses(
        (status = 201, body = TenantView), (status = 403, body = Problem, description = "Only the operator may"),
        (status = 409, body = Problem, description = "It is registered already"), (status = 422, body = Problem)
    )
)]
pub async fn register(
    State(app): State<Shared>,
    caller: Caller,
    Json(new): Json<NewTenant>,
) -> Result<Response, Problem> {
    caller.must_operate()?;
    let id: TenantId = new.id.parse().map_err(|error| Problem::field("id", format!("{error}")))?;
    let name = new.name.unwrap_or_else(|| id.to_string());
    check_text("name", &name).map_or(Ok(()), |problem| Err(Problem::fields(vec![problem])))?;
    let tenant = Tenant { id, name, created_at: Timestamp::now() };
    if !app.door.store().add_tenant(&tenant).await? {
        let detail = format!("tenant {} is registered already", tenant.id);
        return Err(Problem::new(StatusCode::CONFLICT, "tenant_taken", detail));
    }
    app.door.forget_tenant(&tenant.id);
    tracing::info!(tenant = %tenant.id, "tenant registered");
    created(&format!("/tenants/{}", tenant.id), &TenantView::from(tenant))
}

/// A shop.
#[utoipa::path(
    get, path = "/tenants/{id}", tag = "tenants", params(("id" = String, Path, description = "The shop")),
    responses((status = 200, body = TenantView), (status = 404, body = Problem))
)]
pub async fn read(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<TenantView>, Problem> {
    tenant(&app, &caller, &id).await.map(|tenant| Json(tenant.into()))
}

/// A shop's keys, oldest first, revoked and expired ones too.
#[utoipa::path(
    get, path = "/tenants/{id}/keys", tag = "tenants", params(("id" = String, Path, description = "The shop")),
    responses((status = 200, body = [KeyView]), (status = 404, body = Problem))
)]
pub async fn keys(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Vec<KeyView>>, Problem> {
    let tenant = tenant(&app, &caller, &id).await?;
    let keys = app.door.store().keys(&tenant.id).await?;
    Ok(Json(keys.into_iter().map(Into::into).collect()))
}

/// Makes a key. The answer shows it once; only its hash is kept.
#[utoipa::path(
    post, path = "/tenants/{id}/keys", tag = "tenants", request_body = NewKey,
    params(("id" = String, Path, description = "The shop")),
    responses((status = 201, body = KeyView), (status = 404, body = Problem), (status = 422, body = Problem))
)]
pub async fn add_key(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Json(new): Json<NewKey>,
) -> Result<Response, Problem> {
    let tenant = tenant(&app, &caller, &id).await?;
    let mut key_problems: Vec<FieldProblem> = check_text("label", &new.label).into_iter().collect();
    let scopes: Vec<Scope> = new
        .scopes
        .iter()
        .filter_map(|word| {
            let scope = word.parse::<Scope>();
            scope.map_err(|error| key_problems.push(FieldProblem::new("scopes", error.to_string()))).ok()
        })
        .collect();
    if new.scopes.is_empty() {
        key_problems.push(FieldProblem::new("scopes", "names none of search, catalogue, admin"));
    }
    if new.per_minute == Some(0) {
        key_problems.push(FieldProblem::new("per_minute", "is not at least 1"));
    }
    if new.days.is_some_and(|days| !(1..=MAX_DAYS).contains(&days)) {
        key_problems.push(FieldProblem::new("days", format!("is not a number from 1 to {MAX_DAYS}")));
    }
    if !key_problems.is_empty() {
        return Err(Problem::fields(key_problems));
    }
    let now = Timestamp::now();
    let shown = access::draw_key().map_err(|error| Problem::internal(&error))?;
    let key = ApiKey {
        per_minute: new.per_minute,
        expires_at: new.days.map(|days| now + (i64::from(days) * 24).hours()),
        ..ApiKey::new(&shown, tenant.id, scopes.into_iter().collect(), new.label, now)
    };
    app.door.store().add_key(&key).await?;
    tracing::info!(tenant = %key.tenant, key = %key.id, scopes = ?key.scopes, "key made");
    let place = format!("/tenants/{}/keys/{}", key.tenant, key.id);
    created(&place, &KeyView { key: Some(shown.expose().to_owned()), ..key.into() })
}

/// Revokes a key: at once here, within seconds at every other process.
#[utoipa::path(
    delete, path = "/tenants/{id}/keys/{key}", tag = "tenants",
    params(("id" = String, Path, description = "The shop"), ("key" = String, Path, description = "The key's id")),
    responses((status = 204, description = "It opens nothing any more"), (status = 404, body = Problem))
)]
pub async fn revoke_key(
    State(app): State<Shared>,
    caller: Caller,
    Path((id, key)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let tenant = tenant(&app, &caller, &id).await?;
    let missing = || Problem::not_found("key");
    let key: KeyId = key.parse().map_err(|_| missing())?;
    if !app.door.store().revoke_key(&tenant.id, &key, Timestamp::now()).await? {
        return Err(missing());
    }
    app.door.forget(&key);
    tracing::info!(tenant = %tenant.id, %key, "key revoked");
    Ok(StatusCode::NO_CONTENT)
}

/// What a shop's callbacks are signed with. A job that names a `callback_url` is posted there when it has ended, as
/// `/jobs/{id}` shows it, with the headers of the Standard Webhooks specification: `webhook-id` (the same at every try),
/// `webhook-timestamp` (seconds since 1970), and `webhook-signature` (`v1,` and the base64 of an HMAC-SHA-256 over id,
/// timestamp and body, joined by full stops). It is tried again until it is answered 2xx, or 410 for never again.
#[utoipa::path(
    get, path = "/tenants/{id}/callback-secret", tag = "tenants",
    params(("id" = String, Path, description = "The shop")),
    responses((status = 200, body = CallbackSecretView), (status = 404, body = Problem))
)]
pub async fn callback_secret(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<CallbackSecretView>, Problem> {
    let tenant = tenant(&app, &caller, &id).await?;
    let secrets = callbacks::secrets(app.door.store(), &tenant.id).await?;
    Ok(Json(secrets.into()))
}

/// Draws another secret. For a day callbacks are signed with both, so that receivers can change over.
#[utoipa::path(
    post, path = "/tenants/{id}/callback-secret/rotate", tag = "tenants",
    params(("id" = String, Path, description = "The shop")),
    responses((status = 200, body = CallbackSecretView), (status = 404, body = Problem))
)]
pub async fn rotate_callback_secret(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<CallbackSecretView>, Problem> {
    let tenant = tenant(&app, &caller, &id).await?;
    let secrets = callbacks::rotate(app.door.store(), &tenant.id).await?;
    Ok(Json(secrets.into()))
}

/// A shop that the caller may administer.
pub async fn tenant(app: &Shared, caller: &Caller, id: &str) -> Result<Tenant, Problem> {
    let missing = || Problem::not_found("tenant");
    let id: TenantId = id.parse().map_err(|_| missing())?;
    caller.must_administer(&id)?;
    app.door.store().tenant(&id).await?.ok_or_else(missing)
}

/// What is wrong with a text for people.
pub fn check_text(field: &str, text: &str) -> Option<FieldProblem> {
    let fits = text.chars().count() <= MAX_TEXT && !text.chars().any(char::is_control);
    (!fits).then(|| FieldProblem::new(field, format!("is not a line of at most {MAX_TEXT} characters")))
}

/// 201, and where it is.
pub fn created(place: &str, body: &impl Serialize) -> Result<Response, Problem> {
    let place = HeaderValue::from_str(place).map_err(|error| Problem::internal(&error))?;
    let body = serde_json::to_value(body).map_err(|error| Problem::internal(&error))?;
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(body)).into_response())
}
