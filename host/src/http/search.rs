//! `POST /search`, the polling routes of its jobs, and the pages of their results.

mod chosen;

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{FromRequest, Multipart, Path, Query, Request, State},
    http::{StatusCode, header},
    response::Response,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use taja_catalog::{Filter, access::Scope, policy::Pins, search::Sort};
use taja_queue::JobId;
use utoipa::ToSchema;

use super::{
    FieldProblem, Problem, Shared,
    form::{FileKind, Form},
    jobs::{self as job_views, Accepted, JobView, ProgressView, ReadOptions, SubmitHeaders},
};
use crate::{
    access::Caller,
    jobs::{SEARCH, SearchJob, StagedContent, StagedPart},
    outbound::Guard,
};

/// Products on a page unless the client says otherwise.
const DEFAULT_LIMIT: u32 = 10;
/// Products on a page, at most.
pub const MAX_LIMIT: u32 = 100;
/// Longest JSON or URL-encoded body, bytes.
const MAX_BODY_BYTES: usize = 1 << 20;
/// Longest query text, characters.
const MAX_QUERY_CHARS: usize = 2000;
/// Parts of a query, at most.
const MAX_PARTS: usize = 8;
/// Fields to sort by or to count, at most.
const MAX_FIELDS: usize = 10;

/// A query. As JSON it has no files; as a multipart form the lists and objects are JSON texts.
#[derive(ToSchema, Serialize)]
pub struct SearchBody {
    /// Words. Text alone works.
    query: Option<String>,
    /// A picture.
    #[schema(value_type = Option<String>, format = Binary)]
    image: Option<String>,
    /// A video.
    #[schema(value_type = Option<String>, format = Binary)]
    video: Option<String>,
    /// Products on the page, 1 to 100; 10 unless told.
    limit: Option<u32>,
    /// Conditions on fields, such as `{"category": "shoes", "price": {"lt": 50}}`.
    #[schema(value_type = Option<Value>)]
    filter: Option<Value>,
    /// Fields to sort by, such as `["price"]` or `["-price"]` for largest first.
    sort: Option<Vec<String>>,
    /// Fields whose values are counted.
    facets: Option<Vec<String>>,
    /// How much each modality counts, such as `{"image": 1, "text": 0.5}`.
    #[schema(value_type = Option<Value>)]
    weights: Option<Value>,
    /// Whether each match tells the legs that found it.
    explain: Option<bool>,
    /// Whether products of one group (`item_group_id`) are one match: the best of them, with the others that were found in
    /// `variants`. Total, pages and facets count matches.
    group: Option<bool>,
    /// Where the job's end is posted to: an `http` or `https` address. See `/tenants/{id}/callback-secret`.
    callback_url: Option<String>,
    /// Whether the search is recorded, to be played again through other versions of its policies; needs the scope `admin`.
    record: Option<bool>,
    /// Policies that this one search is to be served by, to be compared with those that serve: by the name of each its
    /// `version` or `digest`, and its `settings`, such as `{"search-text": {"settings": {"keyword_weight": 0}}}`; `{}`
    /// for what is live, without anything on trial. Nothing kept answers it, and nothing of it is kept or counted. Needs the
    /// scope `admin`.
    #[schema(value_type = Option<Value>)]
    policies: Option<Value>,
}

/// Searches by words, a picture, a video, or several together.
#[utoipa::path(
    post, path = "/search", params(SubmitHeaders), tag = "search",
    request_body(content(
        (SearchBody = "multipart/form-data"),
        (SearchBody = "application/json"),
        (SearchBody = "application/x-www-form-urlencoded"),
    )),
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
    request: Request,
) -> Result<Response, Problem> {
    caller.may(Scope::Search)?;
    let headers = request.headers().clone();
    let mut batch = app.staging.batch(JobId::new());
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (mut fields, files): (BTreeMap<_, _>, _) = if content_type.starts_with("multipart/form-data") {
        let multipart = Multipart::from_request(request, &()).await.map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, "multipart_malformed", error.body_text())
        })?;
        let form = Form::receive(multipart, &mut batch, &app.config.limits, file_kinds).await?;
        (form.texts.into_iter().map(|(name, text)| (name, Value::String(text))).collect(), form.files)
    } else if content_type.starts_with("application/json") {
        (json_fields(small(request).await?).await?, Vec::new())
    } else if content_type.starts_with("application/x-www-form-urlencoded") {
        (urlencoded_fields(small(request).await?).await?, Vec::new())
    } else {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content_type_unsupported",
            "send multipart/form-data, application/json or application/x-www-form-urlencoded",
        ));
    };
    let mut parts: Vec<_> = files
        .into_iter()
        .map(|file| StagedPart {
            modality: file.field,
            content: match file.kind {
                FileKind::Image => StagedContent::Image(file.hash),
                FileKind::Video => StagedContent::Video(file.hash),
            },
            weight: 1.0,
        })
        .collect();
    let chosen = chosen::chosen(&app, &caller, fields.remove(chosen::FIELD)).await?;
    let (chosen, modalities) = match chosen {
        Some((chosen, modalities)) => (Some(chosen), modalities),
        None => (None, app.policies.modalities(&caller.tenant)),
    };
    let job = SearchJob { chosen, ..search_job(fields, &mut parts, &modalities, &app.outbound)? };
    let payload = serde_json::to_value(&job).map_err(|error| Problem::internal(&error))?;
    if job.record {
        caller.may(Scope::Admin)?;
    }
    let modalities: Vec<&str> = job.parts.iter().map(|part| part.modality.as_str()).collect();
    let pin = |session: &str| app.policies.pin_search(&caller.tenant, &modalities, session);
    job_views::submit(&app, &caller, &headers, batch, SEARCH, payload, pin).await
}

/// Which files a part may carry. One of a new kind may be a picture, a video or text, as its plugin likes.
fn file_kinds(name: &str, has_file_name: bool) -> Option<&'static [FileKind]> {
    match name {
        "image" => Some(&[FileKind::Image]),
        "video" => Some(&[FileKind::Video]),
        _ => has_file_name.then_some(&[FileKind::Image, FileKind::Video]),
    }
}

/// A body without files is small: all of it comes into memory.
async fn small(request: Request) -> Result<Request, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, MAX_BODY_BYTES).await;
    let bytes = bytes.map_err(|_| Problem::too_large("a request without files", MAX_BODY_BYTES as u64))?;
    Ok(Request::from_parts(parts, bytes.into()))
}

async fn json_fields(request: Request) -> Result<BTreeMap<String, Value>, Problem> {
    let malformed = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "json_malformed", detail);
    let Json(body) = Json::<Map<String, Value>>::from_request(request, &())
        .await
        .map_err(|error| malformed(error.body_text()))?;
    Ok(body.into_iter().collect())
}

async fn urlencoded_fields(request: Request) -> Result<BTreeMap<String, Value>, Problem> {
    let form = axum::Form::<BTreeMap<String, String>>::from_request(request, &()).await;
    let axum::Form(body) =
        form.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "form_malformed", error.body_text()))?;
    Ok(body.into_iter().map(|(name, text)| (name, Value::String(text))).collect())
}

/// Reads the fields; all that is wrong with them comes together.
fn search_job(
    mut fields: BTreeMap<String, Value>,
    parts: &mut Vec<StagedPart>,
    modalities: &std::collections::HashSet<String>,
    outbound: &Guard,
) -> Result<SearchJob, Problem> {
    let mut options = Options { mistakes: Vec::new() };
    let limit = options.take(&mut fields, "limit", Options::limit).unwrap_or(DEFAULT_LIMIT);
    let filter = options.take(&mut fields, "filter", Options::filter).unwrap_or(Value::Null);
    let sort = options.take(&mut fields, "sort", Options::sort).unwrap_or_default();
    let facets = options.take(&mut fields, "facets", Options::names).unwrap_or_default();
    let weights = options.take(&mut fields, "weights", Options::weights).unwrap_or_default();
    let explain = options.take(&mut fields, "explain", Options::truth).unwrap_or_default();
    let group = options.take(&mut fields, "group", Options::truth).unwrap_or_default();
    let record = options.take(&mut fields, "record", Options::truth).unwrap_or_default();
    let callback_url = options.take(&mut fields, "callback_url", |value| {
        let text = value.as_str().ok_or("is not text")?;
        outbound.read(text.trim()).map(String::from)
    });
    for (name, value) in fields {
        options.add_text_part(&name, &value, parts, modalities);
    }
    for part in parts.iter_mut() {
        if !modalities.contains(&part.modality) {
            options.mistakes.push(FieldProblem::new(&part.modality, "is no modality that a plugin accepts"));
        }
        part.weight = weights.get(&part.modality).copied().unwrap_or(1.0);
    }
    if parts.is_empty() && options.mistakes.is_empty() {
        options.mistakes.push(FieldProblem::new("query", "is missing: send words, a picture or a video"));
    }
    if parts.len() > MAX_PARTS {
        options.mistakes.push(FieldProblem::new("", format!("has more than {MAX_PARTS} parts")));
    }
    if !options.mistakes.is_empty() {
        return Err(Problem::fields(options.mistakes));
    }
    let parts = std::mem::take(parts);
    Ok(SearchJob {
        parts,
        filter,
        sort,
        facets,
        limit,
        explain,
        group,
        record,
        callback_url,
        chosen: None,
        pins: Pins::default(),
    })
}

struct Options {
    mistakes: Vec<FieldProblem>,
}

impl Options {
    /// Takes a field out and reads it; an empty text counts as absent.
    fn take<T>(
        &mut self,
        fields: &mut BTreeMap<String, Value>,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        let value = fields.remove(name).filter(|value| !value.is_null() && value.as_str() != Some(""))?;
        // A form carries JSON as text.
        let value = match &value {
            Value::String(text) => serde_json::from_str(text).unwrap_or(value),
            _ => value,
        };
        read(&value).map_err(|detail| self.mistakes.push(FieldProblem::new(name, detail))).ok()
    }

    fn limit(value: &Value) -> Result<u32, String> {
        let limit = value.as_u64().and_then(|limit| u32::try_from(limit).ok());
        limit
            .filter(|limit| (1..=MAX_LIMIT).contains(limit))
            .ok_or(format!("is not a number from 1 to {MAX_LIMIT}"))
    }

    fn filter(value: &Value) -> Result<Value, String> {
        Filter::parse(value)
            .map(|_| value.clone())
            .map_err(|error| format!("{}: {}", error.at, error.problem))
    }

    fn names(value: &Value) -> Result<Vec<String>, String> {
        let names: Vec<String> = match value {
            Value::String(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
            value => Vec::deserialize(value).map_err(|_| "is not a list of field names".to_owned())?,
        };
        match names.len() {
            n if n > MAX_FIELDS => Err(format!("has more than {MAX_FIELDS} fields")),
            _ if names.iter().any(String::is_empty) => Err("has an empty field name".to_owned()),
            _ => Ok(names),
        }
    }

    fn sort(value: &Value) -> Result<Vec<Sort>, String> {
        let sort = |name: String| match name.strip_prefix('-') {
            Some(field) => Sort { field: field.to_owned(), descending: true },
            None => Sort { field: name, descending: false },
        };
        Ok(Self::names(value)?.into_iter().map(sort).collect())
    }

    fn weights(value: &Value) -> Result<BTreeMap<String, f32>, String> {
        let problem = || "is not an object of numbers from 0 to 10 by modality".to_owned();
        let weights = BTreeMap::<String, f32>::deserialize(value).map_err(|_| problem())?;
        let fits = weights.values().all(|weight| (0.0..=10.0).contains(weight));
        let weights = weights.into_iter().map(|(name, weight)| (modality_of(&name).to_owned(), weight));
        if fits { Ok(weights.collect()) } else { Err(problem()) }
    }

    fn truth(value: &Value) -> Result<bool, String> {
        match value {
            Value::Bool(truth) => Ok(*truth),
            Value::Number(number) if number.as_u64() == Some(1) => Ok(true),
            Value::Number(number) if number.as_u64() == Some(0) => Ok(false),
            _ => Err("is not true or false".to_owned()),
        }
    }

    fn add_text_part(
        &mut self,
        name: &str,
        value: &Value,
        parts: &mut Vec<StagedPart>,
        modalities: &std::collections::HashSet<String>,
    ) {
        let modality = modality_of(name);
        let mut mistake = |detail: String| self.mistakes.push(FieldProblem::new(name, detail));
        let text = match value {
            Value::Null => return,
            Value::String(text) if text.trim().is_empty() && modality != "text" => return,
            Value::String(text) => text.trim(),
            _ => return mistake("is not text".to_owned()),
        };
        if modality == "image" || modality == "video" {
            return mistake("is not a file: send it as multipart/form-data".to_owned());
        }
        if !modalities.contains(modality) {
            return mistake("is neither an option nor a modality that a plugin accepts".to_owned());
        }
        if text.is_empty() {
            // An empty box beside a picture means nothing; alone it is no query, which is said below.
            return;
        }
        if text.chars().count() > MAX_QUERY_CHARS {
            return mistake(format!("is longer than {MAX_QUERY_CHARS} characters"));
        }
        let content = StagedContent::Text(text.to_owned());
        parts.push(StagedPart { modality: modality.to_owned(), content, weight: 1.0 });
    }
}

/// The part that carries words is called `query`.
fn modality_of(name: &str) -> &str {
    if name == "query" { "text" } else { name }
}

/// Polls a search. `cursor` reads further pages of the same result set.
#[utoipa::path(
    get, path = "/search/job/{id}", tag = "search",
    params(("id" = String, Path, description = "The job"), ReadOptions),
    responses((status = 200, body = JobView), (status = 404, body = Problem), (status = 422, body = Problem))
)]
pub async fn job(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Query(options): Query<ReadOptions>,
) -> Result<Json<JobView>, Problem> {
    let job = job_views::find(&app, &caller, &id, Some(SEARCH), options.wait).await?;
    job_views::view(&app, &job, &options).await.map(Json)
}

/// How far a search is.
#[utoipa::path(
    get, path = "/search/progress/{id}", tag = "search",
    params(("id" = String, Path, description = "The job")),
    responses((status = 200, body = ProgressView), (status = 404, body = Problem))
)]
pub async fn progress(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ProgressView>, Problem> {
    let job = job_views::find(&app, &caller, &id, Some(SEARCH), None).await?;
    Ok(Json(job_views::progress_view(&job)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(fields: &Value) -> Result<SearchJob, Problem> {
        let fields = fields.as_object().unwrap().clone().into_iter().collect();
        let modalities = ["text", "image", "barcode"].map(str::to_owned).into();
        search_job(fields, &mut Vec::new(), &modalities, &Guard::default())
    }

    #[test]
    fn words_alone_are_a_query_and_new_parts_reach_their_plugin() {
        let job = read(&json!({"query": " red shoe ", "barcode": "4006381333931", "limit": "5"})).unwrap();
        let modalities: Vec<_> = job.parts.iter().map(|part| part.modality.as_str()).collect();
        assert_eq!((modalities, job.limit), (vec!["barcode", "text"], 5));
        assert_eq!(job.parts[1].content, StagedContent::Text("red shoe".into()));
    }

    #[test]
    fn options_are_read_from_json_and_from_text_alike() {
        let typed = read(
            &json!({"query": "x", "filter": {"price": {"lt": 5}}, "sort": ["-price"], "weights": {"query": 2}}),
        );
        let text = read(
            &json!({"query": "x", "filter": "{\"price\":{\"lt\":5}}", "sort": "-price", "weights": "{\"text\":2}"}),
        );
        let typed = typed.unwrap();
        assert_eq!(typed, text.unwrap());
        assert_eq!((typed.parts[0].weight, typed.sort[0].descending), (2.0, true));
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let problem =
            read(&json!({"limit": 0, "filter": {"a": {"about": 1}}, "smell": "roses", "explain": "maybe"}))
                .unwrap_err();
        let pointers: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/limit", "/filter", "/explain", "/smell"]);
    }

    #[test]
    fn a_callback_is_an_option_and_no_part_of_the_query() {
        let url = "https://shop.example/hook";
        let job = read(&json!({"query": "x", "callback_url": url})).unwrap();
        assert_eq!((job.parts.len(), job.callback_url.as_deref()), (1, Some(url)));
        for url in [json!("http://localhost.:80@x/"), json!("http://[::1]/"), json!(7)] {
            let problem = read(&json!({"query": "x", "callback_url": url})).unwrap_err();
            assert_eq!(problem.errors[0].pointer, "/callback_url");
        }
    }

    #[test]
    fn an_empty_query_is_no_query() {
        assert_eq!(read(&json!({"query": "  "})).unwrap_err().errors[0].pointer, "/query");
        assert_eq!(read(&json!({})).unwrap_err().errors[0].pointer, "/query");
    }
}
