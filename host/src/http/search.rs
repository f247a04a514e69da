//! `POST /search`, the polling routes of its jobs, and the pages of their results.

mod chosen;
pub mod outcome;
mod parts;

use std::collections::{BTreeMap, HashSet};

use axum::{
    Json,
    extract::{FromRequest, Multipart, Path, Query, Request, State},
    http::{StatusCode, header},
    response::Response,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use taja_catalog::{
    Filter,
    access::Scope,
    policy::Pins,
    search::{Facet, Sort},
};
use taja_queue::JobId;
use utoipa::ToSchema;

pub use self::parts::PartName;
use self::parts::{Crops, Parts};
use super::{
    FieldProblem, Problem, Shared,
    form::{FileKind, Form, FormFile},
    jobs::{self as job_views, Accepted, JobView, ProgressView, ReadOptions, SubmitHeaders},
};
use crate::{
    access::Caller,
    jobs::{SEARCH, SearchJob},
    outbound::Guard,
};

/// Products on a page unless the client says otherwise.
const DEFAULT_LIMIT: u32 = 10;
/// Products on a page, at most.
pub const MAX_LIMIT: u32 = 100;
/// Longest JSON or URL-encoded body, bytes.
const MAX_BODY_BYTES: usize = 1 << 20;
/// Fields to sort by or to count, at most.
const MAX_FIELDS: usize = 10;

/// One text, or several.
#[derive(ToSchema, Serialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the request for the OpenAPI document")]
enum Texts {
    One(String),
    Several(Vec<String>),
}

/// What to count: the values of a field, or how many of them lie in ranges. A field may be counted in several ways.
#[derive(ToSchema, Serialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the request for the OpenAPI document")]
enum FacetBody {
    Values(String),
    Ranges(RangesBody),
}

/// Ranges of one field: 1 to 100.
#[derive(ToSchema, Serialize)]
struct RangesBody {
    field: String,
    ranges: Vec<RangeBody>,
}

/// From a number or a date, which lies in the range, to another one, which does not. One of both may be missing.
#[derive(ToSchema, Serialize)]
struct RangeBody {
    #[schema(value_type = Option<Value>)]
    from: Option<Value>,
    #[schema(value_type = Option<Value>)]
    to: Option<Value>,
}

/// A query of at most 8 parts: words, pictures and videos. As JSON it has no files; as a multipart form the lists and objects
/// are JSON texts, and fields that bring parts may be given again. Without any part, a search with a `filter` or a `sort` finds
/// all products that pass, newest first or in that order; nobody ranks them, and their `score` is 0. At most 200 products can
/// be paged through by relevance, and 1,000 in an order of fields or without a query.
#[derive(ToSchema, Serialize)]
pub struct SearchBody {
    /// Words, or several texts. Text alone works.
    query: Option<Texts>,
    /// A picture. May be given again.
    #[schema(value_type = Option<String>, format = Binary)]
    image: Option<String>,
    /// A video. May be given again.
    #[schema(value_type = Option<String>, format = Binary)]
    video: Option<String>,
    /// Words that the results should be unlike, such as `leather`. A `not_` before any other part means the same.
    not: Option<Texts>,
    /// A picture that the results should be unlike. May be given again.
    #[schema(value_type = Option<String>, format = Binary)]
    not_image: Option<String>,
    /// The region of the picture that is meant: `x,y,width,height` from the top left corner in shares of its sides, such as
    /// `0,0.5,1,0.5` for its lower half, or the same as a list. Of several pictures an object of regions by name and place, such
    /// as `{"image[1]": [0, 0.5, 1, 0.5]}`.
    #[schema(value_type = Option<Value>)]
    crop: Option<Value>,
    /// Products on the page, 1 to 100; 10 unless told.
    limit: Option<u32>,
    /// Conditions on fields, such as `{"category": "shoes", "price": {"lt": 50}}`. `created_at` and `updated_at` are dates of
    /// every product: `{"created_at": {"gte": "2026-03-01"}}`. Dates are equal where they write one moment.
    #[schema(value_type = Option<Value>)]
    filter: Option<Value>,
    /// Fields to sort by, such as `["price"]`, or `["-price"]` for largest first; `price:asc` and `price:desc` are the same. What
    /// has no value comes last. Numbers come before texts, those before truth values and those before dates; a list stands
    /// where its entry stands that comes first. `created_at` and `updated_at` are fields of every product.
    sort: Option<Vec<String>>,
    /// Fields whose values are counted, and those whose values are counted by ranges, such as `["color", {"field": "price",
    /// "ranges": [{"to": 10}, {"from": 10, "to": 50}, {"from": 50}]}]`. A field that is counted in several ways has the counts of
    /// each one after the other.
    facets: Option<Vec<FacetBody>>,
    /// How much parts count, 0 to 10, by name, or by name and place from 0, such as `{"image": 1, "image[1]": 0.5, "not": 2}`.
    /// A name that the search has no part of is refused.
    #[schema(value_type = Option<Value>)]
    weights: Option<Value>,
    /// Whether the result explains itself: each match by the legs that found it, by its place and score of the ranking
    /// (`ranked_place`, `ranked_score`) and what that noted, beside those of one fixed fusion of the legs by the host
    /// (`baseline_place`, `baseline_score`); and how many candidates are not shown, by reason (`left_out_by`: the `ranking`
    /// did not place them, the `limit` of a result set, `deleted` meanwhile). Whoever has the scope `admin` gets a recording
    /// as well, as with `record`, and the `settings` that each of the `plugins` saw.
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
    let (mut fields, files) = if content_type.starts_with("multipart/form-data") {
        let multipart = Multipart::from_request(request, &()).await.map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, "multipart_malformed", error.body_text())
        })?;
        let form = Form::receive_repeated(multipart, &mut batch, &app.config.limits, file_kinds).await?;
        (gathered(form.texts.into_iter().chain(form.again)), form.files)
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
    let chosen = chosen::chosen(&app, &caller, fields.remove(chosen::FIELD)).await?;
    let (chosen, modalities) = match chosen {
        Some((chosen, modalities)) => (Some(chosen), modalities),
        None => (None, app.policies.modalities(&caller.tenant)),
    };
    let read = search_job(fields, files, &modalities, &app.outbound)?;
    let browses = read.parts.is_empty();
    let replayable = read.explain && !browses && caller.may(Scope::Admin).is_ok();
    let job = SearchJob { chosen, replayable, ..read };
    let payload = serde_json::to_value(&job).map_err(|error| Problem::internal(&error))?;
    if job.record {
        caller.may(Scope::Admin)?;
    }
    for (field, is_given) in [("record", job.record), (chosen::FIELD, job.chosen.is_some())] {
        if browses && is_given {
            return Err(Problem::field(field, "is of policies, and a search without a query asks none"));
        }
    }
    let modalities: Vec<&str> = job.parts.iter().map(|part| part.modality.as_str()).collect();
    let pin = |session: &str| app.policies.pin_search(&caller.tenant, &modalities, session);
    job_views::submit(&app, &caller, &headers, batch, SEARCH, payload, pin).await
}

/// Which files a part may carry. One of a new kind may be a picture, a video or text, as its plugin likes.
fn file_kinds(name: &str, has_file_name: bool) -> Option<&'static [FileKind]> {
    match PartName::of(name).modality() {
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
    let form = axum::Form::<Vec<(String, String)>>::from_request(request, &()).await;
    let axum::Form(body) =
        form.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "form_malformed", error.body_text()))?;
    Ok(gathered(body))
}

/// What is given again becomes a list.
fn gathered(fields: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, Value> {
    let mut gathered = BTreeMap::new();
    for (name, text) in fields {
        match gathered.get_mut(&name) {
            None => {
                gathered.insert(name, Value::String(text));
            }
            Some(Value::Array(texts)) => texts.push(text.into()),
            Some(first) => *first = Value::Array(vec![first.take(), text.into()]),
        }
    }
    gathered
}

/// Reads the fields; all that is wrong with them comes together.
fn search_job(
    mut fields: BTreeMap<String, Value>,
    files: Vec<FormFile>,
    modalities: &HashSet<String>,
    outbound: &Guard,
) -> Result<SearchJob, Problem> {
    let mut options = Options { mistakes: Vec::new() };
    let limit = options.take(&mut fields, "limit", Options::limit).unwrap_or(DEFAULT_LIMIT);
    let filter = options.take(&mut fields, "filter", Options::filter).unwrap_or(Value::Null);
    let sort = options.take_all(&mut fields, "sort", Options::sort).unwrap_or_default();
    let facets = options.take(&mut fields, "facets", Options::facets).unwrap_or_default();
    let weights = options.take(&mut fields, "weights", parts::weights).unwrap_or_default();
    let crops = options.take(&mut fields, "crop", Crops::read);
    let explain = options.take(&mut fields, "explain", Options::truth).unwrap_or_default();
    let group = options.take(&mut fields, "group", Options::truth).unwrap_or_default();
    let record = options.take(&mut fields, "record", Options::truth).unwrap_or_default();
    let callback_url = options.take(&mut fields, "callback_url", |value| {
        outbound.read_optional(Some(value.as_str().ok_or("is not text")?))
    });
    let mut parts = Parts::new(files, modalities, &mut options.mistakes);
    fields.iter().for_each(|(name, value)| parts.add_texts(name, value));
    parts.weigh(&weights);
    if let Some(crops) = crops {
        parts.crop(crops);
    }
    // What is not looked for can still be browsed.
    let parts = parts.finish(!filter.is_null() || !sort.is_empty());
    if !options.mistakes.is_empty() {
        return Err(Problem::fields(options.mistakes));
    }
    Ok(SearchJob {
        parts,
        filter,
        sort,
        facets,
        limit,
        explain,
        group,
        record,
        replayable: false,
        callback_url: callback_url.flatten(),
        chosen: None,
        pins: Pins::default(),
    })
}

/// The search that these fields ask, which bring no files. `modalities` are those that it may have; any unless told.
pub fn text_search(
    fields: BTreeMap<String, Value>,
    modalities: Option<&HashSet<String>>,
) -> Result<SearchJob, Problem> {
    let any = || fields.keys().map(|field| PartName::of(field).modality().to_owned()).collect();
    let modalities = modalities.map_or_else(any, Clone::clone);
    search_job(fields, Vec::new(), &modalities, &Guard::default())
}

/// Whether a search takes this value of an option that says what is asked; the error says why not.
pub fn check_search_option(name: &str, value: &Value) -> Result<(), String> {
    match name {
        "filter" => Options::filter(value).map(drop),
        "sort" => match Options::sort(value) {
            Ok(_) => Ok(()),
            Err(mistakes) => {
                Err(mistakes.into_iter().map(|(_, detail)| detail).collect::<Vec<_>>().join("; "))
            }
        },
        "weights" => parts::weights(value).map(drop),
        "crop" => Crops::read(value).map(drop),
        "group" => Options::truth(value).map(drop),
        other => Err(format!("{other:?} is no such option")),
    }
}

struct Options {
    mistakes: Vec<FieldProblem>,
}

/// What is wrong with a list: with which entry, if it is one, and what.
type Mistakes = Vec<(Option<usize>, String)>;

impl Options {
    /// Takes a field out and reads it; an empty text counts as absent.
    fn take<T>(
        &mut self,
        fields: &mut BTreeMap<String, Value>,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        self.take_all(fields, name, |value| read(value).map_err(|detail| vec![(None, detail)]))
    }

    /// As `take`, of a list whose entries may be wrong each by itself.
    fn take_all<T>(
        &mut self,
        fields: &mut BTreeMap<String, Value>,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, Mistakes>,
    ) -> Option<T> {
        let value = fields.remove(name).filter(|value| !value.is_null() && value.as_str() != Some(""))?;
        // A form carries JSON as text.
        let value = match &value {
            Value::String(text) => serde_json::from_str(text).unwrap_or(value),
            _ => value,
        };
        let mistake = |(place, detail): (Option<usize>, String)| match place {
            Some(place) => FieldProblem::new(&format!("{name}/{place}"), detail),
            None => FieldProblem::new(name, detail),
        };
        read(&value).map_err(|mistakes| self.mistakes.extend(mistakes.into_iter().map(mistake))).ok()
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

    fn sort(value: &Value) -> Result<Vec<Sort>, Mistakes> {
        let names = Self::names(value).map_err(|detail| vec![(None, detail)])?;
        let (mut sort, mut mistakes) = (Vec::with_capacity(names.len()), Vec::new());
        for (place, name) in names.iter().enumerate() {
            match Sort::parse(name) {
                Ok(field) => sort.push(field),
                Err(detail) => mistakes.push((Some(place), detail)),
            }
        }
        if mistakes.is_empty() { Ok(sort) } else { Err(mistakes) }
    }

    fn facets(value: &Value) -> Result<Vec<Facet>, String> {
        let asked = match value {
            Value::String(_) => Self::names(value)?.into_iter().map(Value::from).collect(),
            Value::Array(facets) => facets.clone(),
            facet => vec![facet.clone()],
        };
        if asked.len() > MAX_FIELDS {
            return Err(format!("has more than {MAX_FIELDS} fields"));
        }
        let mut facets: Vec<Facet> = Vec::with_capacity(asked.len());
        for (place, facet) in asked.iter().enumerate() {
            // A form that gives the field again brings JSON as text.
            let object = facet.as_str().filter(|text| text.starts_with('{'));
            let object = object.and_then(|text| serde_json::from_str(text).ok());
            let facet = Facet::parse(object.as_ref().unwrap_or(facet));
            let facet = facet.map_err(|problem| format!("{place}: {problem}"))?;
            if !facets.contains(&facet) {
                facets.push(facet);
            }
        }
        Ok(facets)
    }

    fn truth(value: &Value) -> Result<bool, String> {
        match value {
            Value::Bool(truth) => Ok(*truth),
            Value::Number(number) if number.as_u64() == Some(1) => Ok(true),
            Value::Number(number) if number.as_u64() == Some(0) => Ok(false),
            _ => Err("is not true or false".to_owned()),
        }
    }
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
        search_job(fields, Vec::new(), &modalities, &Guard::default())
    }

    #[test]
    fn words_alone_are_a_query_and_new_parts_reach_their_plugin() {
        let job = read(&json!({"query": " red shoe ", "barcode": "4006381333931", "limit": "5"})).unwrap();
        let modalities: Vec<_> = job.parts.iter().map(|part| part.modality.as_str()).collect();
        assert_eq!((modalities, job.limit), (vec!["barcode", "text"], 5));
        assert_eq!(job.parts[1].content, crate::jobs::StagedContent::Text("red shoe".into()));
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
    fn facets_are_values_and_ranges_in_every_form_of_a_request() {
        let ranges = json!({"field": "price", "ranges": [{"to": 10}, {"from": 10}]});
        let expected = vec![Facet::parse(&json!("color")).unwrap(), Facet::parse(&ranges).unwrap()];
        let typed = json!(["color", ranges]);
        for facets in [typed.clone(), typed.to_string().into(), json!(["color", ranges.to_string()])] {
            assert_eq!(read(&json!({"query": "x", "facets": facets})).unwrap().facets, expected, "{facets}");
        }
        let names = read(&json!({"query": "x", "facets": "color, size"})).unwrap().facets;
        assert_eq!(names.iter().map(Facet::field).collect::<Vec<_>>(), ["color", "size"]);
        let both = read(&json!({"query": "x", "facets": ["price", ranges, "price"]})).unwrap().facets;
        assert_eq!(both, [Facet::parse(&json!("price")).unwrap(), expected[1].clone()]);
        for facets in [json!([{"field": "price"}]), json!(vec!["a"; 11]), json!(7)] {
            let problem = read(&json!({"query": "x", "facets": facets})).unwrap_err();
            assert_eq!(problem.errors[0].pointer, "/facets", "{facets}");
        }
    }

    #[test]
    fn what_a_form_gives_again_is_a_list() {
        let pairs = [("query", "a"), ("limit", "3"), ("query", "b"), ("query", "c")];
        let fields = gathered(pairs.map(|(name, text)| (name.to_owned(), text.to_owned())));
        assert_eq!(fields["query"], json!(["a", "b", "c"]));
        assert_eq!(fields["limit"], json!("3"));
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
    fn an_order_that_makes_no_sense_is_refused_with_its_place() {
        let sort = read(&json!({"query": "x", "sort": "price:desc, -year , name"})).unwrap().sort;
        let told: Vec<_> = sort.iter().map(|sort| (sort.field.as_str(), sort.descending)).collect();
        assert_eq!(told, [("price", true), ("year", true), ("name", false)]);
        for (sort, pointers) in [
            (json!(["price", "-", "a:up"]), vec!["/sort/1", "/sort/2"]),
            (json!("price:down"), vec!["/sort/0"]),
            (json!([{"field": "price"}]), vec!["/sort"]),
            (json!(7), vec!["/sort"]),
            (json!(vec!["a"; 11]), vec!["/sort"]),
        ] {
            let problem = read(&json!({"query": "x", "sort": sort})).unwrap_err();
            let found: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
            assert_eq!(found, pointers, "{sort}");
        }
    }

    #[test]
    fn without_a_query_there_is_a_filter_or_an_order_to_browse_by() {
        for fields in [json!({"filter": {}}), json!({"query": " ", "sort": "price"})] {
            assert_eq!(read(&fields).unwrap().parts, [], "{fields}");
        }
        for fields in [json!({"facets": "color"}), json!({"not": "red", "filter": {}})] {
            assert_eq!(read(&fields).unwrap_err().errors[0].pointer, "/query", "{fields}");
        }
    }

    #[test]
    fn an_empty_query_is_no_query() {
        assert_eq!(read(&json!({"query": "  "})).unwrap_err().errors[0].pointer, "/query");
        assert_eq!(read(&json!({})).unwrap_err().errors[0].pointer, "/query");
    }
}
