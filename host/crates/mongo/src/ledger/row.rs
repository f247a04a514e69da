//! A job as a document. Times are microseconds since 1970.

use std::{fmt::Display, str::FromStr};

use jiff::Timestamp;
use mongodb::bson::{Bson, Document, doc, oid::ObjectId, serialize_to_bson};
use serde::{Deserialize, Serialize};
use taja_queue::{Error, Idempotency, JobError, JobRecord, OpenJob, Result};

use super::{error::Damaged, json};

/// An end that has to be told, and one that was.
pub(super) const UNTOLD: &str = "untold";
pub(super) const TOLD: &str = "told";

/// What is stored of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Row {
    #[serde(rename = "_id")]
    pub(super) id: String,
    pub(super) tenant: String,
    pub(super) kind: String,
    pub(super) status: String,
    attempts: i64,
    max_attempts: i64,
    progress: i32,
    message: String,
    /// JSON, see [`json`].
    pub(super) payload: Bson,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Bson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<JobError>,
    cancel_asked: bool,
    created_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<i64>,
    updated_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) idempotency: Option<Idempotency>,
    due_at: i64,
    lone: bool,
    /// Whether its end has to be told, and whether it was; there only if it has to.
    #[serde(skip_serializing_if = "Option::is_none")]
    telling: Option<String>,
    /// The number of the token it was closed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<i64>,
    /// Which ending closed it: no two have the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ending: Option<ObjectId>,
}

impl Row {
    /// A job that is entered now, and its payload as it is stored.
    pub(super) fn entered(job: &JobRecord, payload: Bson, idempotency: Option<Idempotency>) -> Self {
        let now = job.created_at.as_microsecond();
        Self {
            id: job.id.to_string(),
            tenant: job.tenant.clone(),
            kind: job.kind.clone(),
            status: job.status.as_str().to_owned(),
            attempts: job.attempts.into(),
            max_attempts: job.max_attempts.into(),
            progress: job.progress.into(),
            message: job.message.clone(),
            payload,
            result: None,
            error: None,
            cancel_asked: job.cancel_asked,
            created_at: now,
            started_at: None,
            finished_at: None,
            updated_at: now,
            idempotency,
            due_at: now,
            lone: false,
            telling: job.tell.then(|| UNTOLD.to_owned()),
            token: None,
            ending: None,
        }
    }

    fn is_long(&self) -> bool {
        json::is_long(&self.payload) || self.result.as_ref().is_some_and(json::is_long)
    }

    fn damaged(&self, field: &'static str) -> Damaged {
        Damaged { id: self.id.clone(), field, source: None }
    }

    fn parsed<T: FromStr>(&self, field: &'static str, text: &str) -> Result<T, Damaged> {
        text.parse().map_err(|_| self.damaged(field))
    }

    fn number<T: TryFrom<i64>>(&self, field: &'static str, number: i64) -> Result<T, Damaged> {
        number.try_into().map_err(|_| self.damaged(field))
    }

    fn moment(&self, field: &'static str, micros: i64) -> Result<Timestamp, Damaged> {
        Timestamp::from_microsecond(micros).map_err(|_| self.damaged(field))
    }

    fn record(&self) -> Result<JobRecord, Damaged> {
        let moment = |field, micros: Option<i64>| micros.map(|micros| self.moment(field, micros)).transpose();
        Ok(JobRecord {
            id: self.parsed("_id", &self.id)?,
            kind: self.kind.clone(),
            tenant: self.tenant.clone(),
            status: self.parsed("status", &self.status)?,
            attempts: self.number("attempts", self.attempts)?,
            max_attempts: self.number("max_attempts", self.max_attempts)?,
            progress: self.number("progress", self.progress.into())?,
            message: self.message.clone(),
            payload: json::value(&self.id, "payload", &self.payload)?,
            result: self.result.as_ref().map(|stored| json::value(&self.id, "result", stored)).transpose()?,
            error: self.error.clone(),
            cancel_asked: self.cancel_asked,
            tell: self.telling.is_some(),
            created_at: self.moment("created_at", self.created_at)?,
            started_at: moment("started_at", self.started_at)?,
            finished_at: moment("finished_at", self.finished_at)?,
            updated_at: self.moment("updated_at", self.updated_at)?,
        })
    }

    fn open_job(&self) -> Result<OpenJob, Damaged> {
        let due_at = self.moment("due_at", self.due_at)?;
        Ok(OpenJob { job: self.record()?, due_at, lone: self.lone })
    }
}

/// Stored jobs as records.
pub(super) async fn records(rows: Vec<Row>) -> Result<Vec<JobRecord>> {
    read(rows, Row::record).await
}

/// Stored jobs that are open.
pub(super) async fn open_jobs(rows: Vec<Row>) -> Result<Vec<OpenJob>> {
    read(rows, Row::open_job).await
}

async fn read<T: Send + 'static>(rows: Vec<Row>, one: fn(&Row) -> Result<T, Damaged>) -> Result<Vec<T>> {
    let much = rows.iter().any(Row::is_long);
    let all = move || rows.iter().map(one).collect::<Result<Vec<T>, Damaged>>();
    let read = if much { tokio::task::spawn_blocking(all).await.map_err(Error::storage)? } else { all() };
    read.map_err(Error::storage)
}

/// The update that makes a stored job what this record says; `more` are fields beside the record's. What is none is
/// removed.
pub(super) async fn update(
    job: &JobRecord,
    more: impl IntoIterator<Item = (&'static str, Option<Bson>)>,
) -> Result<Document> {
    let result = match &job.result {
        Some(result) => Some(json::stored("result", result).await?),
        None => None,
    };
    let error = job.error.as_ref().map(serialize_to_bson).transpose().map_err(Error::storage)?;
    let micros = |moment: Timestamp| Bson::Int64(moment.as_microsecond());
    let fields = [
        ("status", Some(job.status.as_str().into())),
        ("attempts", Some(Bson::Int64(job.attempts.into()))),
        ("progress", Some(Bson::Int32(job.progress.into()))),
        ("message", Some(job.message.as_str().into())),
        ("result", result),
        ("error", error),
        ("cancel_asked", Some(job.cancel_asked.into())),
        ("started_at", job.started_at.map(micros)),
        ("finished_at", job.finished_at.map(micros)),
        ("updated_at", Some(micros(job.updated_at))),
    ];
    let (mut set, mut unset) = (Document::new(), Document::new());
    for (field, value) in fields.into_iter().chain(more) {
        match value {
            Some(value) => set.insert(field, value),
            None => unset.insert(field, true),
        };
    }
    Ok(doc! { "$set": set, "$unset": unset })
}

/// Ids as they are stored.
pub(super) fn ids<'a, T: Display + 'a>(ids: impl IntoIterator<Item = &'a T>) -> Vec<String> {
    ids.into_iter().map(ToString::to_string).collect()
}
