//! `POST /add_product` and the polling routes of its jobs.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Multipart, Path, Query, State},
    http::HeaderMap,
    response::Response,
};
use serde::de::DeserializeOwned;
use taja_catalog::{Details, access::Scope, policy::Pins};
use taja_queue::JobId;
use utoipa::ToSchema;

use super::{
    FieldProblem, Problem, Shared,
    form::Form,
    jobs::{self as job_views, Accepted, JobView, ProgressView, ReadOptions, SubmitHeaders},
};
use crate::{
    access::Caller,
    jobs::{ADD_PRODUCT, AddJob},
    outbound::Guard,
};

/// The form of a new product.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form for the OpenAPI document")]
pub struct AddProductForm {
    /// One or more pictures: JPEG, PNG, WebP, GIF (first frame) or BMP.
    #[schema(value_type = Vec<String>, format = Binary)]
    images: Vec<String>,
    /// Display name.
    name: String,
    /// Price, at least 0.
    price: f64,
    /// Free text.
    description: String,
    /// Category.
    category: Option<String>,
    /// Weight in kilograms.
    weight_kg: Option<f64>,
    /// Colour.
    color: Option<String>,
    /// JSON array of texts.
    sizes: Option<String>,
    /// JSON array of texts.
    key_features: Option<String>,
    /// The shop's own article number.
    sku: Option<String>,
    /// Pieces in stock.
    stock: Option<u32>,
    /// ISO 4217 code.
    currency: Option<String>,
    /// What variants of one product have in common, such as one shirt in several sizes.
    item_group_id: Option<String>,
    /// JSON object of texts, numbers, booleans and lists of texts.
    attributes: Option<String>,
    /// Where the job's end is posted to: an `http` or `https` address. See `/tenants/{id}/callback-secret`.
    callback_url: Option<String>,
}

/// Adds a product with its pictures.
#[utoipa::path(
    post, path = "/add_product", params(SubmitHeaders), tag = "products",
    request_body(content = AddProductForm, content_type = "multipart/form-data"),
    responses(
        (status = 202, body = Accepted, description = "The job; poll `Location`"),
        (status = 200, body = JobView, description = "The finished job, when `Prefer: wait=N` was met"),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem),
        (status = 503, body = Problem)
    )
)]
pub async fn submit(
    State(app): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    multipart: Multipart,
) -> Result<Response, Problem> {
    caller.may(Scope::Catalogue)?;
    let mut batch = app.staging.batch(JobId::new());
    let form = Form::receive_pictures(multipart, &mut batch, &app.config.limits).await?;
    let job = add_job(form, app.config.limits.images, &app.outbound)?;
    let payload = serde_json::to_value(&job).map_err(|error| Problem::internal(&error))?;
    let pin = |session: &str| app.policies.pin_ingest(&caller.tenant, session);
    job_views::submit(&app, &caller, &headers, batch, ADD_PRODUCT, payload, pin).await
}

/// Reads the fields; all that is wrong with them comes together.
fn add_job(form: Form, max_images: usize, outbound: &Guard) -> Result<AddJob, Problem> {
    let miscounted = form.miscounted(max_images);
    let mut fields = Fields { texts: form.texts, mistakes: Vec::new() };
    let details = fields.details();
    let callback_url = fields.callback_url(outbound);
    fields.mistakes.extend(miscounted);
    let details = fields.checked(details)?;
    let images = form.files.into_iter().map(|file| file.hash).collect();
    Ok(AddJob { details, images, callback_url, pins: Pins::default() })
}

/// What a shop says of a product, as a form says it; all that is wrong with it comes together.
pub fn details(texts: BTreeMap<String, String>) -> Result<Details, Problem> {
    let mut fields = Fields { texts, mistakes: Vec::new() };
    let details = fields.details();
    fields.checked(details)
}

struct Fields {
    texts: BTreeMap<String, String>,
    mistakes: Vec<FieldProblem>,
}

impl Fields {
    fn details(&mut self) -> Details {
        Details {
            name: self.required("name"),
            price: self.number("price").unwrap_or_else(|| self.missing("price")),
            description: self.required("description"),
            category: self.optional("category"),
            weight_kg: self.number("weight_kg"),
            color: self.optional("color"),
            sizes: self.json("sizes", "a JSON array of texts").unwrap_or_default(),
            key_features: self.json("key_features", "a JSON array of texts").unwrap_or_default(),
            sku: self.optional("sku"),
            stock: self.json("stock", "a whole number that is at least 0"),
            currency: self.optional("currency"),
            item_group_id: self.optional("item_group_id"),
            attributes: self.json("attributes", "a JSON object").unwrap_or_default(),
        }
    }

    fn checked(mut self, details: Details) -> Result<Details, Problem> {
        if let Err(invalid) = details.check()
            && !self.mistakes.iter().any(|mistake| mistake.pointer.ends_with(&invalid.field))
        {
            self.mistakes.push(FieldProblem::new(&invalid.field.replace('.', "/"), invalid.problem));
        }
        if self.mistakes.is_empty() { Ok(details) } else { Err(Problem::fields(self.mistakes)) }
    }

    fn mistake(&mut self, name: &str, detail: &str) {
        self.mistakes.push(FieldProblem::new(name, detail));
    }

    fn missing<T: Default>(&mut self, name: &str) -> T {
        // One that is there but malformed has been complained about already.
        if !self.mistakes.iter().any(|mistake| mistake.pointer == format!("/{name}")) {
            self.mistake(name, "is missing");
        }
        T::default()
    }

    fn optional(&mut self, name: &str) -> Option<String> {
        self.texts.remove(name).filter(|text| !text.trim().is_empty())
    }

    fn required(&mut self, name: &str) -> String {
        self.texts.remove(name).unwrap_or_else(|| self.missing(name))
    }

    fn number(&mut self, name: &str) -> Option<f64> {
        let text = self.optional(name)?;
        match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => Some(number),
            _ => {
                self.mistake(name, "is not a number");
                None
            }
        }
    }

    fn callback_url(&mut self, outbound: &Guard) -> Option<String> {
        let read = outbound.read_optional(self.texts.remove("callback_url").as_deref());
        read.unwrap_or_else(|detail| {
            self.mistake("callback_url", &detail);
            None
        })
    }

    fn json<T: DeserializeOwned>(&mut self, name: &str, what: &str) -> Option<T> {
        let text = self.optional(name)?;
        let parsed = serde_json::from_str(&text).ok();
        if parsed.is_none() {
            self.mistake(name, &format!("is not {what}"));
        }
        parsed
    }
}

/// Polls a job that adds a product.
#[utoipa::path(
    get, path = "/add_product/job/{id}", tag = "products",
    params(("id" = String, Path, description = "The job"), ReadOptions),
    responses((status = 200, body = JobView), (status = 404, body = Problem))
)]
pub async fn job(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Query(options): Query<ReadOptions>,
) -> Result<Json<JobView>, Problem> {
    let job = job_views::find(&app, &caller, &id, Some(ADD_PRODUCT), options.wait).await?;
    job_views::view(&app, &job, &options).await.map(Json)
}

/// How far a job that adds a product is.
#[utoipa::path(
    get, path = "/add_product/progress/{id}", tag = "products",
    params(("id" = String, Path, description = "The job")),
    responses((status = 200, body = ProgressView), (status = 404, body = Problem))
)]
pub async fn progress(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ProgressView>, Problem> {
    let job = job_views::find(&app, &caller, &id, Some(ADD_PRODUCT), None).await?;
    Ok(Json(job_views::progress_view(&job)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::form::{FileKind, FormFile};
    use taja_catalog::ImageHash;

    fn form(texts: &[(&str, &str)], images: usize) -> Form {
        let file = |_| FormFile { field: "images".into(), hash: ImageHash::of(b"x"), kind: FileKind::Image };
        Form {
            texts: texts.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            files: (0..images).map(file).collect(),
            ..Form::default()
        }
    }

    fn pointers(problem: &Problem) -> Vec<&str> {
        problem.errors.iter().map(|error| error.pointer.as_str()).collect()
    }

    #[test]
    fn every_field_at_fault_is_named_at_once() {
        let problem =
            add_job(form(&[("price", "cheap"), ("sizes", "41"), ("stock", "-1")], 0), 20, &Guard::default())
                .unwrap_err();
        assert_eq!(pointers(&problem), ["/name", "/price", "/description", "/sizes", "/stock", "/images"]);
        assert_eq!(problem.status, 422);
    }

    #[test]
    fn a_form_without_category_is_served() {
        let texts = [("name", "shoe"), ("price", "10"), ("description", ""), ("sizes", "[\"41\"]")];
        let job = add_job(form(&texts, 1), 20, &Guard::default()).unwrap();
        assert_eq!((job.details.sizes.as_slice(), job.details.category), (&["41".to_owned()][..], None));
    }

    #[test]
    fn a_callback_goes_to_a_public_address_or_nowhere() {
        let fields = |url| [("name", "shoe"), ("price", "10"), ("description", ""), ("callback_url", url)];
        let read = |url| add_job(form(&fields(url), 1), 20, &Guard::default()).map(|job| job.callback_url);
        let url = "https://shop.example/hook";
        assert_eq!(read(url).unwrap().as_deref(), Some(url));
        assert_eq!(read("").unwrap(), None);
        assert_eq!(pointers(&read("http://169.254.169.254/").unwrap_err()), ["/callback_url"]);
    }

    #[test]
    fn a_negative_price_and_too_many_pictures_are_refused() {
        let texts = [("name", "shoe"), ("price", "-1"), ("description", "x")];
        let problem = add_job(form(&texts, 3), 2, &Guard::default()).unwrap_err();
        assert_eq!(pointers(&problem), ["/images", "/price"]);
    }
}
