//! `/products`: what a shop has, one by one and as a list, and changing it. Nothing here embeds anything, except for pictures
//! that are added.

mod body;
mod change;
mod duplicates;
mod export;
mod images;
mod import;
pub(super) mod list;
mod revision;
mod similar;

use axum::{
    Json,
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use taja_catalog::{
    Product, ProductId,
    access::Scope,
    port::{Edit, Variant},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::change::{change, describe, take};
use super::{
    Problem, Shared,
    results::{of_product, smaller},
};
use crate::access::Caller;

/// The routes of products.
pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(read, replace, patch, remove))
        .routes(routes!(export::export))
        .routes(routes!(import::results))
        .routes(routes!(images::add))
        .routes(routes!(images::remove))
        .routes(routes!(similar::similar))
        .routes(routes!(duplicates::duplicates))
        .routes(routes!(remove_offer))
}

/// The route that takes files of them.
pub fn import_routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(import::submit))
}

/// A picture of a product.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
pub struct ImageView {
    /// SHA-256 of the uploaded bytes.
    image_hash: String,
    /// Where it is served.
    image_url: String,
    /// Where it is served for a list.
    thumbnail_url: String,
    /// Where it is served for a chat message.
    card_url: String,
    /// Width in pixels; 0 when nobody knows.
    width: u32,
    /// Height in pixels; 0 when nobody knows.
    height: u32,
}

/// Terms on which a product is sold besides its own.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
pub struct OfferView {
    /// Its identifier.
    id: String,
    /// Display name.
    name: String,
    /// Price.
    price: f64,
    /// ISO 4217 code.
    currency: Option<String>,
    /// The shop's own article number.
    sku: Option<String>,
    /// Pieces in stock.
    stock: Option<u32>,
    /// Colour.
    color: Option<String>,
    /// Sizes on offer.
    sizes: Option<Vec<String>>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    added_at: String,
}

/// A product: what its shop says of it, and what is known of it besides.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
pub struct ProductView {
    #[serde(flatten)]
    details: body::DetailsBody,
    /// Its identifier.
    product_id: String,
    /// Its pictures, in display order.
    images: Vec<ImageView>,
    /// Other terms that its shop sells it on, oldest first.
    offers: Option<Vec<OfferView>>,
    /// Where its pictures are served.
    image_urls: Vec<String>,
    /// Where they are served for a list.
    thumbnail_urls: Vec<String>,
    /// Where they are served for a chat message.
    card_urls: Vec<String>,
    /// When it was added.
    #[schema(value_type = String, format = DateTime)]
    created_at: String,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: String,
}

/// A product as its own resource shows it.
fn view(app: &Shared, product: &Product) -> Value {
    let mut view = of_product(app, product);
    let image = |image: &taja_catalog::StoredImage| {
        json!({
            "image_hash": image.hash,
            "image_url": app.absolute_url(&image.url),
            "thumbnail_url": smaller(app, &image.url, Variant::Thumbnail),
            "card_url": smaller(app, &image.url, Variant::Card),
            "width": image.width,
            "height": image.height,
        })
    };
    view["images"] = product.images.iter().map(image).collect();
    view["created_at"] = json!(product.created_at);
    view["updated_at"] = json!(product.updated_at);
    view
}

/// The product of this name, if the shop has it.
async fn stored(app: &Shared, caller: &Caller, id: &str) -> Result<Product, Problem> {
    let gone = || Problem::not_found("product");
    let id: ProductId = id.parse().map_err(|_| gone())?;
    app.store.product(&caller.tenant, &id).await?.ok_or_else(gone)
}

fn shown(app: &Shared, product: &Product) -> Response {
    ([(header::ETAG, revision::tag(product.revision))], Json(view(app, product))).into_response()
}

/// Reads a product. Its `ETag` is another one after each change.
#[utoipa::path(
    get, path = "/products/{id}", tag = "products",
    params(
        ("id" = String, Path, description = "The product"),
        ("If-None-Match" = Option<String>, Header, description = "Answer 304 when it is still at one of these"),
    ),
    responses(
        (status = 200, body = ProductView), (status = 304, description = "It is as the caller knows it"),
        (status = 404, body = Problem)
    )
)]
pub async fn read(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.may_read()?;
    let product = stored(&app, &caller, &id).await?;
    if revision::is_known(&headers, product.revision) {
        let tag = [(header::ETAG, revision::tag(product.revision))];
        return Ok((StatusCode::NOT_MODIFIED, tag).into_response());
    }
    Ok(shown(&app, &product))
}

/// Describes a product anew. Fields that are not sent are taken away; pictures stay.
#[utoipa::path(
    put, path = "/products/{id}", tag = "products",
    params(
        ("id" = String, Path, description = "The product"),
        ("If-Match" = Option<String>, Header, description = "Change it only if it is still at one of these"),
    ),
    request_body(content = body::DetailsBody, content_type = "application/json"),
    responses(
        (status = 200, body = ProductView), (status = 404, body = Problem), (status = 412, body = Problem),
        (status = 415, body = Problem), (status = 422, body = Problem)
    )
)]
pub async fn replace(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    caller.may(Scope::Catalogue)?;
    stored(&app, &caller, &id).await?;
    let headers = request.headers().clone();
    let sent = body::receive(request, &["application/json"]).await?;
    let details = body::details(sent)?;
    change(&app, &caller, &id, &headers, |product| Ok(describe(product, details.clone()))).await?;
    Ok(shown(&app, &stored(&app, &caller, &id).await?))
}

/// Changes some of a product's details, as a JSON Merge Patch (RFC 7396) says: a value replaces, `null` takes away,
/// attributes are merged one by one. Prices and stocks change so without anything being embedded.
#[utoipa::path(
    patch, path = "/products/{id}", tag = "products",
    params(
        ("id" = String, Path, description = "The product"),
        ("If-Match" = Option<String>, Header, description = "Change it only if it is still at one of these"),
    ),
    request_body(content(
        (Value = "application/merge-patch+json"),
        (Value = "application/json"),
    )),
    responses(
        (status = 200, body = ProductView), (status = 404, body = Problem), (status = 412, body = Problem),
        (status = 415, body = Problem), (status = 422, body = Problem)
    )
)]
pub async fn patch(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    caller.may(Scope::Catalogue)?;
    stored(&app, &caller, &id).await?;
    let headers = request.headers().clone();
    let sent = body::receive(request, &["application/merge-patch+json", "application/json"]).await?;
    let patched = |product: &Product| Ok(describe(product, body::patched(&product.details, &sent)?));
    change(&app, &caller, &id, &headers, patched).await?;
    Ok(shown(&app, &stored(&app, &caller, &id).await?))
}

/// Deletes a product with its pictures. What a job that added it left for its client stays readable.
#[utoipa::path(
    delete, path = "/products/{id}", tag = "products",
    params(
        ("id" = String, Path, description = "The product"),
        ("If-Match" = Option<String>, Header, description = "Delete it only if it is still at one of these"),
    ),
    responses(
        (status = 204, description = "It is gone"), (status = 404, body = Problem), (status = 412, body = Problem)
    )
)]
pub async fn remove(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    caller.may(Scope::Catalogue)?;
    change(&app, &caller, &id, &headers, |_| Ok(Some(Edit::Delete))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes an offer from a product.
#[utoipa::path(
    delete, path = "/products/{id}/offers/{offer}", tag = "products",
    params(
        ("id" = String, Path, description = "The product"),
        ("offer" = String, Path, description = "The offer"),
        ("If-Match" = Option<String>, Header, description = "Change it only if it is still at one of these"),
    ),
    responses(
        (status = 204, description = "It is gone; `ETag` is the product's now"), (status = 404, body = Problem),
        (status = 412, body = Problem)
    )
)]
pub async fn remove_offer(
    State(app): State<Shared>,
    caller: Caller,
    Path((id, offer)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.may(Scope::Catalogue)?;
    let removed = take(&app, &caller, &id, &headers, |product| {
        let found = product.offers.iter().find(|known| known.id.as_str() == offer);
        let found = found.ok_or_else(|| Problem::not_found("offer"))?;
        Ok(Some(Edit::RemoveOffer(found.id.clone())))
    });
    removed.await
}
