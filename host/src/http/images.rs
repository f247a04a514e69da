//! `GET /images/{hash}`: the pictures that the embedded image host keeps.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use taja_catalog::ImageHash;

use super::{Problem, Shared};

/// A hosted picture, re-encoded as JPEG without any metadata.
#[utoipa::path(
    get, path = "/images/{hash}", tag = "system",
    params(("hash" = String, Path, description = "SHA-256 of the uploaded bytes, lower-case hex")),
    responses(
        (status = 200, description = "The picture", content_type = "image/jpeg"),
        (status = 304, description = "The client has it"),
        (status = 404, body = Problem)
    )
)]
pub async fn image(
    State(app): State<Shared>,
    Path(hash): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let missing = || Problem::not_found("image");
    let hash: ImageHash = hash.parse().map_err(|_| missing())?;
    let etag = format!("\"{hash}\"");
    // The content never changes under its hash, so whoever has it has it for good.
    let caching =
        [(header::ETAG, etag.clone()), (header::CACHE_CONTROL, "public, max-age=31536000, immutable".into())];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    let folder = app.folder.as_ref().ok_or_else(missing)?;
    let jpeg = folder.read(&hash).await.map_err(|error| Problem::internal(&error))?.ok_or_else(missing)?;
    let content = [(header::CONTENT_TYPE, "image/jpeg"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok((caching, content, jpeg).into_response())
}
