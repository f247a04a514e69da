//! Jobs over HTTP: submitting with 202 and `Location`, polling, long polling, cancelling.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use taja_catalog::{ImageHash, access::Scope, policy::Pins};
use taja_queue::{JobError, JobFilter, JobId, JobRecord, NewJob, Queue, Status};
use utoipa::{IntoParams, ToSchema};

use super::{Problem, Shared, results};
use crate::{access::Caller, callbacks, jobs, staging::Batch};

/// Longest that a request may wait for a job, whatever it asks for.
pub const MAX_WAIT: Duration = Duration::from_secs(30);
/// Jobs on a page, at most.
const MAX_LISTED: u32 = 100;

/// Where a job stands, in the words of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waits for a worker, or for its next attempt.
    Pending,
    /// Runs.
    Processing,
    /// Done, with a result.
    Completed,
    /// Ended without one: failed for good, or cancelled.
    Failed,
}

impl From<Status> for JobState {
    fn from(status: Status) -> Self {
        match status {
            Status::Pending => Self::Pending,
            Status::Processing => Self::Processing,
            Status::Completed => Self::Completed,
            Status::Failed | Status::Cancelled => Self::Failed,
        }
    }
}

/// The answer to a submission.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Accepted {
    /// The job to poll.
    pub job_id: String,
    /// Always `processing`.
    #[schema(example = "processing")]
    pub status: &'static str,
}

/// A job as the polling routes of one kind show it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobView {
    /// The job.
    pub job_id: String,
    /// Where it stands.
    pub status: JobState,
    /// What it produced, once completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why it failed, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it failed, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureView>,
}

/// Why a job failed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FailureView {
    /// `client`, `plugin`, `host` or `dependency`.
    pub blame: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// A stable word.
    pub code: String,
    /// For people.
    pub message: String,
}

/// How far a job is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProgressView {
    /// The job.
    pub job_id: String,
    /// 0 to 100; -1 when it failed.
    pub progress: i8,
    /// What is being done.
    pub message: String,
    /// When that was reported.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Timestamp,
}

/// Everything about a job.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobResource {
    /// The job.
    pub job_id: String,
    /// `add_product`, `add_images`, `import`, `search`, `similar`, `resembling`, `evaluate`, `activate_model`, or `callback` for the delivery of another one's end.
    pub kind: String,
    /// Where it stands.
    pub status: JobState,
    /// 0 to 100; -1 when it failed.
    pub progress: i8,
    /// What is being done.
    pub stage: String,
    /// How often it was started since it got past where it was interrupted last.
    pub attempts: u32,
    /// What it produced, once completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why it failed, or why its last attempt did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<FailureView>,
    /// The plugins that took part.
    #[schema(value_type = Vec<Value>)]
    pub plugins: Value,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When its latest attempt started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
}

/// How to read a job.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReadOptions {
    /// Seconds to wait for the job to end, at most 30.
    pub wait: Option<u32>,
    /// Which page of a search's result, from `next` of the page before.
    pub cursor: Option<String>,
    /// Products on the page, 1 to 100.
    pub limit: Option<u32>,
}

/// How a request that makes a job may be sent.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes headers for the OpenAPI document")]
pub struct SubmitHeaders {
    /// Names this request, so that it can be sent again: the same key with the same body is the same job, with another
    /// body it is refused (422).
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[\\x21-\\x7e]+$")]
    idempotency_key: Option<String>,
    /// `wait=N` waits for the job's end, N seconds and 30 at most.
    #[param(rename = "Prefer", example = "wait=10")]
    prefer: Option<String>,
    /// The conversation it is part of: all of one are served by one side of a trial of policies.
    #[param(rename = "Taja-Session", min_length = 1, max_length = 255, pattern = "^[\\x21-\\x7e]+$")]
    taja_session: Option<String>,
}

fn failure_view(error: &JobError) -> FailureView {
    FailureView {
        blame: error.blame.as_str().to_owned(),
        retryable: error.retryable,
        code: error.code.clone(),
        message: error.message.clone(),
    }
}

/// The error of a job that ended badly; a cancelled one has one too.
fn final_failure(job: &JobRecord) -> Option<FailureView> {
    match job.status {
        Status::Failed => job.error.as_ref().map(failure_view),
        Status::Cancelled => Some(FailureView {
            blame: "client".into(),
            retryable: false,
            code: "cancelled".into(),
            message: "the job was cancelled".into(),
        }),
        _ => None,
    }
}

fn progress_of(job: &JobRecord) -> i8 {
    match job.status {
        Status::Completed => 100,
        Status::Failed | Status::Cancelled => -1,
        _ => job.progress.max(0),
    }
}

/// Pushes a job whose uploads are received, and answers for it: 202, or 200 when the client waits and it ends in time.
pub async fn submit(
    app: &Shared,
    caller: &Caller,
    headers: &HeaderMap,
    batch: Batch,
    kind: &'static str,
    payload: Value,
    pin: impl FnOnce(&str) -> Pins,
) -> Result<Response, Problem> {
    let id = batch.job();
    let pins = pin(&session(headers)?.unwrap_or_else(|| id.to_string()));
    let mut job = NewJob::new(kind, caller.tenant.as_str(), payload).max_attempts(app.config.attempts);
    job.id = id;
    job.tell = callbacks::url_of(&job.payload).is_some();
    if kind == jobs::SEARCH {
        // Its client is waiting, and would ask again.
        job = job.durability(taja_queue::Durability::Process);
    }
    if let Some(key) = idempotency_key(headers)? {
        let digest = ImageHash::of(format!("{kind}\n{}", job.payload).as_bytes());
        job = job.idempotent(key, digest.to_string());
    }
    // Not part of what was asked: the same request is the same whoever serves it.
    job.payload["pins"] = serde_json::to_value(pins).map_err(|error| Problem::internal(&error))?;
    let pushed = push(app.queue.clone(), job, batch).await?;
    accepted(app, headers, &pushed).await
}

/// Pushes a job and lets its uploads be, to the end even when the client hangs up meanwhile. They go only when it is
/// certain that this push made no job; of an unknown outcome the sweep at start disposes.
async fn push(queue: Arc<dyn Queue>, job: NewJob, batch: Batch) -> Result<JobRecord, Problem> {
    let pushing = tokio::spawn(async move {
        let pushed = queue.push(job).await;
        let made_none = match &pushed {
            Ok(pushed) => pushed.existing,
            Err(error) => matches!(error, taja_queue::Error::Conflict { .. }),
        };
        if !made_none {
            batch.keep();
        }
        pushed
    });
    Ok(pushing.await.map_err(|error| Problem::internal(&error))??.job)
}

async fn accepted(app: &Shared, headers: &HeaderMap, job: &JobRecord) -> Result<Response, Problem> {
    let wait = prefer_wait(headers).map(|wait| wait.min(MAX_WAIT));
    let waited = match wait {
        Some(wait) => app.queue.wait(&job.tenant, job.id, wait).await?,
        None => None,
    };
    let mut response = match waited {
        Some(job) if job.status.is_terminal() => {
            Json(view(app, &job, &ReadOptions::default()).await?).into_response()
        }
        _ => {
            let accepted = Accepted { job_id: job.id.to_string(), status: "processing" };
            (StatusCode::ACCEPTED, Json(accepted)).into_response()
        }
    };
    let headers = response.headers_mut();
    let place = match job.kind.as_str() {
        kind @ (jobs::ADD_PRODUCT | jobs::SEARCH) => format!("/{kind}/job/{}", job.id),
        _ => format!("/jobs/{}", job.id),
    };
    headers.insert(header::LOCATION, header_value(&place)?);
    if let Some(wait) = wait {
        headers.insert("preference-applied", header_value(&format!("wait={}", wait.as_secs()))?);
    }
    Ok(response)
}

fn header_value(text: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(text).map_err(|error| Problem::internal(&error))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    short_header(headers, "Idempotency-Key", "idempotency_key_invalid")
}

/// The conversation that a request is part of; one that names none is one by itself.
fn session(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    short_header(headers, "Taja-Session", "session_invalid")
}

fn short_header(headers: &HeaderMap, name: &str, code: &'static str) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    match value.to_str() {
        Ok(text) if (1..=255).contains(&text.len()) => Ok(Some(text.to_owned())),
        _ => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            code,
            format!("{name} is not 1 to 255 visible ASCII characters"),
        )),
    }
}

/// `Prefer: wait=N`, N in seconds (RFC 7240). What cannot be understood is no preference.
fn prefer_wait(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = preferences.flat_map(|value| value.split(','));
    let seconds = preferences.find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"'))
    })?;
    seconds.parse().ok().map(Duration::from_secs)
}

/// A job of the caller's tenant, of this kind if one is asked for; waits for its end if told to.
pub async fn find(
    app: &Shared,
    caller: &Caller,
    id: &str,
    kind: Option<&str>,
    wait: Option<u32>,
) -> Result<JobRecord, Problem> {
    if let Some(kind) = kind {
        caller.may(scope_of(kind))?;
    }
    let missing = || Problem::not_found("job");
    let id: JobId = id.parse().map_err(|_| missing())?;
    let tenant = caller.tenant.as_str();
    let job = match wait {
        Some(seconds) => {
            app.queue.wait(tenant, id, Duration::from_secs(seconds.into()).min(MAX_WAIT)).await?
        }
        None => app.queue.get(tenant, id).await?,
    };
    let job = job.filter(|job| kind.is_none_or(|kind| job.kind == kind)).ok_or_else(missing)?;
    caller.may(scope_of(&job.kind))?;
    Ok(job)
}

/// What it takes to make and to read jobs of a kind.
fn scope_of(kind: &str) -> Scope {
    match kind {
        jobs::SEARCH | jobs::SIMILAR | jobs::RESEMBLING => Scope::Search,
        // They tell where a shop's other services are, and which settings its policies have.
        jobs::CALLBACK | jobs::EVALUATE => Scope::Admin,
        _ => Scope::Catalogue,
    }
}

/// What a polling route answers.
pub async fn view(app: &Shared, job: &JobRecord, options: &ReadOptions) -> Result<JobView, Problem> {
    let failure = final_failure(job);
    Ok(JobView {
        job_id: job.id.to_string(),
        status: job.status.into(),
        result: result_of(app, job, options).await?,
        error: failure.as_ref().map(|failure| failure.message.clone()),
        failure,
    })
}

async fn result_of(app: &Shared, job: &JobRecord, options: &ReadOptions) -> Result<Option<Value>, Problem> {
    match &job.result {
        Some(_) if job.kind == jobs::SEARCH => results::render(app, job, options).await.map(Some),
        Some(result) => result.read().map(Some).map_err(|error| Problem::internal(&error)),
        None => Ok(None),
    }
}

/// What a progress route answers.
pub fn progress_view(job: &JobRecord) -> ProgressView {
    ProgressView {
        job_id: job.id.to_string(),
        progress: progress_of(job),
        message: final_failure(job).map_or_else(|| job.message.clone(), |failure| failure.message),
        timestamp: job.updated_at,
    }
}

/// One resource for every job.
#[utoipa::path(
    get, path = "/jobs/{id}", tag = "jobs",
    params(("id" = String, Path, description = "The job"), ReadOptions),
    responses((status = 200, body = JobResource), (status = 404, body = Problem))
)]
pub async fn read(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Query(options): Query<ReadOptions>,
) -> Result<Json<JobResource>, Problem> {
    let job = find(&app, &caller, &id, None, options.wait).await?;
    resource(&app, &job, &options).await.map(Json)
}

/// Which jobs to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListOptions {
    /// Only `pending`, `processing`, `completed`, `failed` or `cancelled` ones.
    pub status: Option<String>,
    /// Only jobs of this kind.
    pub kind: Option<String>,
    /// Only jobs pushed before this one: `next` of the page before.
    pub before: Option<String>,
    /// Jobs on the page, 1 to 100; 50 unless told.
    pub limit: Option<u32>,
}

/// A page of jobs, newest first.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobList {
    /// The jobs, without their results.
    pub jobs: Vec<JobResource>,
    /// What to send as `before` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Lists jobs, newest first. Failed ones stay for weeks, to be looked at and started again.
#[utoipa::path(
    get, path = "/jobs", tag = "jobs", params(ListOptions),
    responses((status = 200, body = JobList), (status = 422, body = Problem), (status = 503, body = Problem))
)]
pub async fn list(
    State(app): State<Shared>,
    caller: Caller,
    Query(options): Query<ListOptions>,
) -> Result<Json<JobList>, Problem> {
    caller.may(Scope::Admin)?;
    let status = options.status.as_deref().map(str::parse::<Status>).transpose();
    let before = options.before.as_deref().map(str::parse::<JobId>).transpose();
    let filter = JobFilter {
        kind: options.kind,
        status: status.map_err(|error| Problem::field("status", error.to_string()))?,
        before: before.map_err(|_| Problem::field("before", "is not a job"))?,
        limit: options.limit.unwrap_or(JobFilter::default().limit),
    };
    if !(1..=MAX_LISTED).contains(&filter.limit) {
        return Err(Problem::field("limit", format!("is not a number from 1 to {MAX_LISTED}")));
    }
    let limit = filter.limit as usize;
    let jobs = app.queue.list(caller.tenant.as_str(), filter).await?;
    let next = jobs.last().filter(|_| jobs.len() == limit).map(|job| job.id.to_string());
    Ok(Json(JobList { jobs: jobs.iter().map(|job| summary(job, None)).collect(), next }))
}

/// Starts a failed job again, with all its attempts before it.
#[utoipa::path(
    post, path = "/jobs/{id}/redrive", tag = "jobs",
    params(("id" = String, Path, description = "The job")),
    responses(
        (status = 202, body = JobResource), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "It is not failed")
    )
)]
pub async fn redrive(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.may(Scope::Admin)?;
    let job = find(&app, &caller, &id, None, None).await?;
    let job = app.queue.redrive(&job.tenant, job.id).await?.ok_or_else(|| Problem::not_found("job"))?;
    Ok((StatusCode::ACCEPTED, Json(summary(&job, None))).into_response())
}

/// Cancels a job: at once while it waits, else at its next stage boundary.
#[utoipa::path(
    delete, path = "/jobs/{id}", tag = "jobs",
    params(("id" = String, Path, description = "The job")),
    responses((status = 200, body = JobResource), (status = 404, body = Problem))
)]
pub async fn cancel(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<JobResource>, Problem> {
    let job = find(&app, &caller, &id, None, None).await?;
    let job = app.queue.cancel(&job.tenant, job.id).await?.ok_or_else(|| Problem::not_found("job"))?;
    if job.status == Status::Cancelled {
        app.staging.clear(job.id).await?;
    }
    resource(&app, &job, &ReadOptions::default()).await.map(Json)
}

/// A job as `/jobs/{id}` shows it.
pub async fn resource(app: &Shared, job: &JobRecord, options: &ReadOptions) -> Result<JobResource, Problem> {
    Ok(summary(job, result_of(app, job, options).await?))
}

/// The same as text. A result that can never be shown is left out; an error is one of now.
pub async fn text(app: &Shared, job: &JobRecord) -> anyhow::Result<String> {
    let resource = match resource(app, job, &ReadOptions::default()).await {
        Ok(resource) => resource,
        Err(problem) if problem.retry_after.is_some() => anyhow::bail!("{}", problem.detail),
        Err(_) => summary(job, None),
    };
    Ok(serde_json::to_string(&resource)?)
}

/// What a result of any kind may hold.
#[derive(Deserialize)]
struct Served {
    /// The plugins that took part.
    plugins: Value,
}

fn summary(job: &JobRecord, result: Option<Value>) -> JobResource {
    let served = job.result.as_ref().and_then(|result| result.read::<Served>().ok());
    JobResource {
        job_id: job.id.to_string(),
        kind: job.kind.clone(),
        status: job.status.into(),
        progress: progress_of(job),
        stage: job.message.clone(),
        attempts: job.attempts,
        result,
        error: final_failure(job).or_else(|| job.error.as_ref().map(failure_view)),
        plugins: served.map_or_else(|| Value::Array(Vec::new()), |served| served.plugins),
        created_at: job.created_at,
        started_at: job.started_at,
        finished_at: job.finished_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_to_wait_is_read_as_the_standard_has_it() {
        let wait = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("prefer", HeaderValue::from_static(line));
            }
            prefer_wait(&headers).map(|wait| wait.as_secs())
        };
        for line in ["wait=5", "Wait = 5", "respond-async, wait=5", "wait=\"5\"; why=\"tired\""] {
            assert_eq!(wait(&[line]), Some(5), "{line}");
        }
        assert_eq!(wait(&["handling=lenient", "wait=7"]), Some(7));
        for line in ["", "wait", "wait=", "wait=soon", "wait=-1", "waiting=5"] {
            assert_eq!(wait(&[line]), None, "{line}");
        }
    }
}
