//! `POST /plugins`: a component comes, and may serve at once.

use std::time::Duration;

use axum::{
    Json,
    body::Body,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde::Deserialize;
use taja_catalog::{PluginDigest, plugins::Version};
use taja_sandbox::{Binary, Capability, Refused, Step, Upload, Wanted, signature::Signature};
use utoipa::IntoParams;

use super::{shelf::Shelf, steps, views::VersionView};
use crate::{
    access::Caller,
    http::{Problem, Shared, tenants},
};

/// Names the header with the signature.
const SIGNATURE: &str = "taja-signature";
/// Most versions that a shop, or nobody, may have.
const MAX_VERSIONS: usize = 200;
/// How long a component may take to come.
const MAX_TIME: Duration = Duration::from_secs(60);
/// How long an upload waits for others to be done.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// What is to become of a component.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UploadOptions {
    /// The shop it is for. Unless told: a key's own; for the operator every shop.
    tenant: Option<String>,
    /// Whether it is to serve at once, with the settings that its plugin has there.
    #[serde(default)]
    activate: bool,
}

/// Takes a component in: every check is made, and nothing serves differently unless that is asked for.
#[utoipa::path(
    post, path = "/plugins", tag = "plugins",
    params(
        UploadOptions,
        ("Taja-Signature" = Option<String>, Header, description = "The signature over the component, 128 hex digits")
    ),
    request_body(content(("application/wasm"), ("application/octet-stream")), description = "The component, with its manifest inside"),
    responses(
        (status = 201, body = VersionView), (status = 200, body = VersionView, description = "It was kept already"),
        (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem, description = "`plugin_refused`, and at which `stage`; or it was kept and cannot be activated"),
        (status = 503, body = Problem)
    )
)]
pub async fn upload(
    State(app): State<Shared>,
    caller: Caller,
    Query(options): Query<UploadOptions>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let shelf = Shelf::open(&app, &caller, options.tenant.as_deref()).await?;
    check_type(&headers)?;
    let signature = signature(&headers)?;
    let room = tokio::time::timeout(MAX_WAIT, app.uploads.acquire()).await;
    let room = room.map_err(|_| Problem::unavailable("other plugins are being uploaded"))?;
    let _room = room.map_err(|error| Problem::internal(&error))?;
    let component = Binary::taken(receive(&headers, body, app.config.limits.plugin_bytes).await?).await;
    check_room(&shelf, &component.digest())?;
    let granted =
        if caller.is_operator() { Capability::ALL.into() } else { app.config.tenant_capabilities.clone() };
    let (owner, by) = (shelf.tenant.clone(), caller.name());
    let added = app.sandbox.add(Upload { owner, by, component, signature, granted }).await?;
    let version = &added.version;
    if added.is_new {
        tracing::info!(plugin = %version.name, version = %version.version, digest = %version.digest,
            owner = ?version.owner, by = %version.uploaded_by, "plugin version kept");
    }
    if options.activate {
        activate(&app, &caller, &shelf, version).await?;
    }
    let view = VersionView::new(version, &shelf.standing(&app, &version.slot).await?, &app.sandbox);
    if added.is_new {
        tenants::created(&format!("/plugins/{}", version.name), &view)
    } else {
        Ok(Json(view).into_response())
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default().trim();
    if ["application/wasm", "application/octet-stream"].iter().any(|taken| given.eq_ignore_ascii_case(taken))
    {
        return Ok(());
    }
    let detail = "send the component itself, with the content type application/wasm";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type_unsupported", detail))
}

fn signature(headers: &HeaderMap) -> Result<Option<Signature>, Problem> {
    let Some(value) = headers.get(SIGNATURE) else { return Ok(None) };
    let signature = value.to_str().unwrap_or_default().parse();
    signature.map(Some).map_err(|reason| Refused { stage: "signature", reason }.into())
}

/// The whole body, unless it is larger than allowed: then no more of it is read than shows that.
async fn receive(headers: &HeaderMap, body: Body, most: u64) -> Result<Bytes, Problem> {
    let too_large = || Problem::too_large("the component", most);
    let told = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|bytes| bytes > most) {
        return Err(too_large());
    }
    let reading = async {
        let (mut chunks, mut bytes) = (body.into_data_stream(), BytesMut::new());
        while let Some(chunk) = chunks.next().await {
            let broken = |error| Problem::new(StatusCode::BAD_REQUEST, "bad_request", format!("{error}"));
            let chunk = chunk.map_err(broken)?;
            if (bytes.len() + chunk.len()) as u64 > most {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    };
    let slow = |_| {
        let detail = format!("the component did not come within {} s", MAX_TIME.as_secs());
        Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
    };
    tokio::time::timeout(MAX_TIME, reading).await.map_err(slow)?
}

/// Refuses one version too many.
fn check_room(shelf: &Shelf, digest: &PluginDigest) -> Result<(), Problem> {
    let owned: Vec<_> = shelf.versions().iter().filter(|version| version.owner == shelf.tenant).collect();
    if owned.len() < MAX_VERSIONS || owned.iter().any(|version| version.digest == *digest) {
        return Ok(());
    }
    let detail = format!(
        "{} has {MAX_VERSIONS} versions, which is the most: remove some that are idle",
        shelf.whose()
    );
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many_versions", detail))
}

async fn activate(app: &Shared, caller: &Caller, shelf: &Shelf, version: &Version) -> Result<(), Problem> {
    let wanted = Wanted { digest: version.digest, settings: None };
    let order = steps::order(shelf, caller, version.slot.clone(), Step::Activate(wanted), String::new());
    steps::take(app, order).await.map_err(|problem| {
        let detail =
            format!("{} {} is kept, but not activated: {}", version.name, version.digest, problem.detail);
        Problem { detail: detail.into(), ..problem }
    })
}
