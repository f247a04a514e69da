//! The pictures of a product: adding some, which is a job, and removing one.

use axum::{
    extract::{FromRequest, Multipart, Path, Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use taja_catalog::{ImageHash, ProductId, access::Scope, policy::Pins, port::Edit};
use taja_queue::JobId;
use utoipa::ToSchema;

use super::{
    super::{
        FieldProblem, Problem, Shared,
        form::Form,
        jobs::{self as job_views, Accepted, JobView, SubmitHeaders},
    },
    change::take,
    revision, stored,
};
use crate::{
    access::Caller,
    jobs::{ADD_IMAGES, AddImagesJob},
    outbound::Guard,
};

/// The form of further pictures.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form for the OpenAPI document")]
pub struct AddImagesForm {
    /// One or more pictures: JPEG, PNG, WebP, GIF (first frame) or BMP.
    #[schema(value_type = Vec<String>, format = Binary)]
    images: Vec<String>,
    /// Where the job's end is posted to: an `http` or `https` address. See `/tenants/{id}/callback-secret`.
    callback_url: Option<String>,
}

/// Adds pictures to a product. They are embedded, so it is a job, whose result tells what was added. No policy is asked: a
/// picture is added unless a product of the shop has its very bytes. `If-Match` is compared once, now: what is added takes
/// nothing away from others.
#[utoipa::path(
    post, path = "/products/{id}/images", tag = "products",
    params(
        ("id" = String, Path, description = "The product"),
        ("If-Match" = Option<String>, Header, description = "Begin only if it is still at one of these"),
        SubmitHeaders,
    ),
    request_body(content = AddImagesForm, content_type = "multipart/form-data"),
    responses(
        (status = 202, body = Accepted, description = "The job; poll `Location`"),
        (status = 200, body = JobView, description = "The finished job, when `Prefer: wait=N` was met"),
        (status = 404, body = Problem), (status = 412, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)
    )
)]
pub async fn add(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    caller.may(Scope::Catalogue)?;
    let product = stored(&app, &caller, &id).await?;
    let headers = request.headers().clone();
    revision::must_match(&headers, product.revision)?;
    let multipart = Multipart::from_request(request, &()).await.map_err(|_| {
        let detail = "send multipart/form-data with files in the field images";
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type_unsupported", detail)
    })?;
    let mut batch = app.staging.batch(JobId::new());
    let form = Form::receive_pictures(multipart, &mut batch, &app.config.limits).await?;
    let job = add_images_job(product.id, form, app.config.limits.images, &app.outbound)?;
    let payload = serde_json::to_value(&job).map_err(|error| Problem::internal(&error))?;
    job_views::submit(&app, &caller, &headers, batch, ADD_IMAGES, payload, |_| Pins::default()).await
}

fn add_images_job(
    product: ProductId,
    mut form: Form,
    most: usize,
    outbound: &Guard,
) -> Result<AddImagesJob, Problem> {
    let callback_url = outbound.read_optional(form.texts.remove("callback_url").as_deref());
    let strange = form.texts.keys().map(|name| FieldProblem::new(name, "is no field of this form"));
    let mut mistakes: Vec<_> = strange.collect();
    mistakes.extend(form.miscounted(most));
    match callback_url {
        Ok(callback_url) if mistakes.is_empty() => {
            let images = form.files.into_iter().map(|file| file.hash).collect();
            Ok(AddImagesJob { product, images, callback_url })
        }
        Ok(_) => Err(Problem::fields(mistakes)),
        Err(detail) => {
            mistakes.push(FieldProblem::new("callback_url", detail));
            Err(Problem::fields(mistakes))
        }
    }
}

/// Removes a picture from a product, which may be its last one: then it is found by its words.
#[utoipa::path(
    delete, path = "/products/{id}/images/{hash}", tag = "products",
    params(
        ("id" = String, Path, description = "The product"),
        ("hash" = String, Path, description = "SHA-256 of the picture's uploaded bytes"),
        ("If-Match" = Option<String>, Header, description = "Change it only if it is still at one of these"),
    ),
    responses(
        (status = 204, description = "It is gone; `ETag` is the product's now"), (status = 404, body = Problem),
        (status = 412, body = Problem)
    )
)]
pub async fn remove(
    State(app): State<Shared>,
    caller: Caller,
    Path((id, hash)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.may(Scope::Catalogue)?;
    let gone = || Problem::not_found("image");
    let removed = take(&app, &caller, &id, &headers, |product| {
        let hash: ImageHash = hash.parse().map_err(|_| gone())?;
        let has_it = product.images.iter().any(|image| image.hash == hash);
        if has_it { Ok(Some(Edit::RemoveImages(vec![hash]))) } else { Err(gone()) }
    });
    removed.await
}
