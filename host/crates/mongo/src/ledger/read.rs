//! Looking at jobs.

use futures::TryStreamExt;
use mongodb::{
    Collection,
    bson::{Document, doc},
};
use serde::Deserialize;
use taja_queue::{Depth, Error, JobFilter, JobId, JobRecord, OpenJob, Result, Status};

use super::{
    error::{Damaged, queue},
    row::{self, Row, records},
    schema,
};
use crate::call::{PATIENCE, within};

/// Every job that passes.
pub(super) async fn find(jobs: &Collection<Row>, filter: Document) -> Result<Vec<Row>> {
    let look = async { jobs.find(filter).await?.try_collect().await };
    within(PATIENCE, look).await.map_err(queue)
}

/// The first jobs that pass, in this order.
async fn page(jobs: &Collection<Row>, filter: Document, order: Document, limit: u32) -> Result<Vec<Row>> {
    if limit == 0 {
        // To the server that would mean all of them.
        return Ok(Vec::new());
    }
    let look = async { jobs.find(filter).sort(order).limit(limit.into()).await?.try_collect().await };
    within(PATIENCE, look).await.map_err(queue)
}

pub(super) async fn get(jobs: &Collection<Row>, tenant: &str, id: JobId) -> Result<Option<JobRecord>> {
    let filter = doc! { "_id": id.to_string(), "tenant": tenant };
    let row = within(PATIENCE, jobs.find_one(filter)).await.map_err(queue)?;
    Ok(records(row.into_iter().collect()).await?.pop())
}

pub(super) async fn status_of(jobs: &Collection<Row>, id: JobId) -> Result<Option<Status>> {
    let row = within(PATIENCE, jobs.find_one(doc! { "_id": id.to_string() })).await.map_err(queue)?;
    let parsed = row.map(|row| row.status.parse());
    parsed.transpose().map_err(|error: taja_queue::UnknownStatus| {
        Error::storage(Damaged { id: id.to_string(), field: "status", source: Some(error.into()) })
    })
}

pub(super) async fn list(jobs: &Collection<Row>, tenant: &str, filter: &JobFilter) -> Result<Vec<JobRecord>> {
    let mut wanted = doc! { "tenant": tenant };
    if let Some(kind) = &filter.kind {
        wanted.insert("kind", kind);
    }
    if let Some(status) = filter.status {
        let stored = if status.is_terminal() { status } else { Status::Pending };
        wanted.insert("status", stored.as_str());
    }
    if let Some(before) = filter.before {
        wanted.insert("_id", doc! { "$lt": before.to_string() });
    }
    records(page(jobs, wanted, doc! { "_id": -1 }, filter.limit).await?).await
}

pub(super) async fn dead(jobs: &Collection<Row>, tenant: Option<&str>, limit: u32) -> Result<Vec<JobRecord>> {
    let mut wanted = doc! { "status": Status::Failed.as_str() };
    if let Some(tenant) = tenant {
        wanted.insert("tenant", tenant);
    }
    records(page(jobs, wanted, doc! { "finished_at": -1, "_id": -1 }, limit).await?).await
}

pub(super) async fn untold(jobs: &Collection<Row>, limit: u32) -> Result<Vec<JobRecord>> {
    let ended = Status::ALL.iter().filter(|status| status.is_terminal()).map(|status| status.as_str());
    let ended: Vec<&str> = ended.collect();
    let untold = doc! { "telling": row::UNTOLD, "status": { "$in": ended } };
    records(page(jobs, untold, doc! {}, limit).await?).await
}

pub(super) async fn open_jobs(
    jobs: &Collection<Row>,
    after: Option<JobId>,
    limit: u32,
) -> Result<Vec<OpenJob>> {
    let mut wanted = doc! { "status": Status::Pending.as_str() };
    if let Some(after) = after {
        wanted.insert("_id", doc! { "$gt": after.to_string() });
    }
    row::open_jobs(page(jobs, wanted, doc! { "_id": 1 }, limit).await?).await
}

/// A line of the count.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "_id")]
    of: Of,
    jobs: i64,
}

#[derive(Deserialize)]
struct Of {
    kind: String,
    status: String,
}

pub(super) async fn depth(jobs: &Collection<Row>) -> Result<Vec<Depth>> {
    // Counted in the index alone.
    let count =
        doc! { "$group": { "_id": { "kind": "$kind", "status": "$status" }, "jobs": { "$sum": 1_i64 } } };
    let look = async {
        let lines = jobs.aggregate([count]).hint(mongodb::options::Hint::Keys(schema::counted()));
        lines.with_type::<Line>().await?.try_collect::<Vec<Line>>().await
    };
    let lines = within(PATIENCE, look).await.map_err(queue)?;
    lines.into_iter().map(depth_of).collect()
}

fn depth_of(line: Line) -> Result<Depth> {
    let status = line.of.status.parse().map_err(|error: taja_queue::UnknownStatus| {
        Error::storage(Damaged { id: line.of.kind.clone(), field: "status", source: Some(error.into()) })
    })?;
    Ok(Depth { kind: line.of.kind, status, jobs: line.jobs.unsigned_abs() })
}
