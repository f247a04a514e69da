//! Callbacks: a job's end, posted to where its client wants to hear of it, signed with the shop's secret.
//!
//! That a job's end has to be told is written with the end itself (`Queue::untold`). Whoever finds such an end makes a
//! job of the delivery, whose id follows from the job and its end, and then notes that it was told; so a process that
//! dies in between only leaves the same to do once more. From there on a delivery is a job like others: durable, tried
//! again, listed, buried at last.

mod secret;
mod signature;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{
    Response, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderName},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use taja_catalog::{TenantId, access::AccessStore};
use taja_queue::{Backoff, Blame, Handlers, JobContext, JobError, JobId, JobRecord, JsonText, NewJob, Queue};

pub use self::{
    secret::{rotate, secrets},
    signature::sign,
};
use crate::{
    jobs::CALLBACK,
    outbound::{self, Guard},
};

/// Longest that a receiver may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Bytes of an answer that are read, so that the connection serves again; nobody looks at them.
const READ_BYTES: usize = 64 * 1024;
/// The longest wait for the next try.
const LONGEST_WAIT: Duration = Duration::from_secs(6 * 3600);
/// Ends that are looked for at once.
const AT_ONCE: u32 = 50;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// What a [`CALLBACK`] job carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Delivery {
    url: String,
    /// The job that ended.
    job_id: JobId,
    /// What is posted: the same text at every try.
    body: String,
}

/// The field of a job's payload that says where its end is posted to.
#[derive(Deserialize)]
struct Told {
    callback_url: Option<String>,
}

/// Where the end of this job is posted to.
pub fn url_of(payload: &serde_json::Value) -> Option<String> {
    Told::deserialize(payload).ok()?.callback_url
}

/// How long a delivery waits for its next try: `first` and twice as long each time, up to six hours, with full jitter.
pub fn backoff(first: Duration) -> Backoff {
    Backoff { base: first, cap: LONGEST_WAIT }
}

/// Writes down how a job ended, for whoever is told.
#[async_trait]
pub trait Scribe: Send + Sync {
    /// The job as a client would read it now; an error when it cannot be read yet.
    async fn resource(&self, job: &JobRecord) -> anyhow::Result<String>;
}

/// What finds ends that have to be told, and makes deliveries of them.
pub struct Herald {
    queue: Arc<dyn Queue>,
    attempts: u32,
}

impl Herald {
    /// One that gives each delivery so many attempts.
    pub fn new(queue: Arc<dyn Queue>, attempts: u32) -> Self {
        Self { queue, attempts }
    }

    /// Waits until an end that has to be told rings in this process.
    pub async fn rung(&self) {
        self.queue.signals().untold().await;
    }

    /// Makes deliveries of all ends that have to be told; answers how many.
    pub async fn tell(&self, scribe: &dyn Scribe) -> anyhow::Result<usize> {
        let mut told = 0;
        loop {
            let untold = self.queue.untold(AT_ONCE).await?;
            let mut done = 0;
            for job in &untold {
                match self.tell_one(job, scribe).await {
                    Ok(()) => done += 1,
                    Err(error) => {
                        tracing::warn!(job.id = %job.id, error = format!("{error:#}"), "an end is not told yet");
                    }
                }
            }
            told += done;
            // What cannot be told now is left for the next time.
            if done < AT_ONCE as usize {
                return Ok(told);
            }
        }
    }

    async fn tell_one(&self, job: &JobRecord, scribe: &dyn Scribe) -> anyhow::Result<()> {
        if let Some(url) = url_of(&job.payload) {
            let delivery = Delivery { url, job_id: job.id, body: scribe.resource(job).await? };
            let mut new = NewJob::new(CALLBACK, &job.tenant, serde_json::to_value(&delivery)?);
            new.id = delivery_id(job);
            match self.queue.push(new.max_attempts(self.attempts)).await {
                // Another process was first, and may have written it down a moment apart.
                Ok(_) | Err(taja_queue::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.queue.told(job).await?)
    }
}

/// The id of the delivery of this end: the same whoever makes it, and another one if the job ends once more.
fn delivery_id(job: &JobRecord) -> JobId {
    let moment = job.finished_at.unwrap_or(job.updated_at);
    let digest = Sha256::digest(format!("callback\n{}\n{}", job.id, moment.as_microsecond()));
    let mut seed = [0; 10];
    seed.copy_from_slice(&digest[..10]);
    JobId::derived(moment, seed)
}

/// Posts deliveries.
pub struct Courier {
    http: reqwest::Client,
    guard: Guard,
    shops: Arc<dyn AccessStore>,
}

impl Courier {
    /// One that calls what the guard lets it, and signs with the secrets of these shops.
    pub fn new(guard: Guard, shops: Arc<dyn AccessStore>) -> reqwest::Result<Self> {
        Ok(Self { http: guard.client(ANSWER_WITHIN)?, guard, shops })
    }

    /// Adds the handler of deliveries.
    pub fn handle(self, handlers: Handlers) -> Handlers {
        let courier = Arc::new(self);
        handlers.on(CALLBACK, move |job| {
            let courier = courier.clone();
            async move { courier.deliver(&job).await }
        })
    }

    async fn deliver(&self, job: &JobContext) -> Result<JsonText, JobError> {
        let delivery: Delivery = job.parse()?;
        let unreadable = |error: &dyn std::fmt::Display| {
            JobError::permanent(Blame::Host, JobError::BAD_PAYLOAD, error.to_string())
        };
        let url: Url = delivery.url.parse().map_err(|error| unreadable(&error))?;
        let tenant: TenantId = job.tenant().parse().map_err(|error| unreadable(&error))?;
        // What the operator allows may have changed since it was asked for.
        self.guard.check(&url).map_err(|forbidden| refused(&forbidden))?;
        let now = Timestamp::now();
        let secrets = secrets(self.shops.as_ref(), &tenant).await.map_err(|error| {
            JobError::transient(Blame::Dependency, "callback_secret_unavailable", error.to_string())
        })?;
        let id = job.id().to_string();
        let signature = sign(secrets.signing(now), &id, now, &delivery.body);
        let request = self
            .http
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(WEBHOOK_ID, &id)
            .header(WEBHOOK_TIMESTAMP, now.as_second())
            .header(WEBHOOK_SIGNATURE, signature)
            .body(Bytes::from(delivery.body));
        let response = request.send().await.map_err(|error| unanswered(&error))?;
        let status = response.status();
        leave(response).await;
        judge(status)?;
        tracing::info!(told.job = %delivery.job_id, status = status.as_u16(), "callback delivered");
        JsonText::of(&json!({ "job_id": delivery.job_id, "status": status.as_u16() }))
            .map_err(|error| unreadable(&error))
    }
}

/// Whether the receiver has it.
fn judge(status: StatusCode) -> Result<(), JobError> {
    let said = || format!("the receiver answered {status}");
    match status {
        status if status.is_success() => Ok(()),
        StatusCode::GONE => Err(JobError::permanent(Blame::Client, "callback_gone", said())),
        _ => Err(JobError::transient(Blame::Dependency, "callback_failed", said())),
    }
}

fn refused(forbidden: &outbound::Forbidden) -> JobError {
    JobError::permanent(Blame::Client, "callback_refused", forbidden.to_string())
}

fn unanswered(error: &reqwest::Error) -> JobError {
    if let Some(forbidden) = outbound::forbidden(error) {
        return refused(forbidden);
    }
    // Its own words name the whole address, which may hold a secret.
    let what = match error {
        error if error.is_timeout() => "the receiver did not answer in time",
        error if error.is_connect() => "the receiver cannot be reached",
        _ => "the connection to the receiver broke",
    };
    JobError::transient(Blame::Dependency, "callback_failed", what)
}

/// Reads a little of an answer, so that its connection can be used again, and lets the rest be.
async fn leave(mut response: Response) {
    let mut read = 0;
    while read < READ_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        read += chunk.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_success_is_success_and_gone_is_for_good() {
        let verdict = |code| judge(StatusCode::from_u16(code).unwrap());
        for code in [200, 202, 204] {
            assert_eq!(verdict(code), Ok(()));
        }
        for code in [301, 307, 400, 401, 404, 429, 500, 503] {
            assert!(verdict(code).unwrap_err().retryable, "{code}");
        }
        assert!(!verdict(410).unwrap_err().retryable);
    }
}
