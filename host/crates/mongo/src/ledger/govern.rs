//! Striking out, noting, reopening and forgetting jobs.

use futures::TryStreamExt;
use jiff::Timestamp;
use mongodb::{
    Collection,
    bson::{Document, doc},
    options::ReturnDocument,
};
use serde::Deserialize;
use taja_queue::{Error, JobError, JobId, JobRecord, OpenJob, Result, Status};

use super::{
    error::{Restless, queue},
    read,
    row::{self, Row},
};
use crate::call::{PATIENCE, within};

/// Jobs forgotten with one command.
const PURGED_AT_ONCE: i64 = 1000;
/// How often a job is looked at that is dead at one look and alive at the next.
const ROUNDS: u32 = 3;

pub(super) async fn withdraw(jobs: &Collection<Row>, ids: &[JobId]) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let open = doc! { "_id": { "$in": row::ids(ids) }, "status": Status::Pending.as_str() };
    within(PATIENCE, jobs.delete_many(open)).await.map_err(queue)?;
    Ok(())
}

pub(super) async fn note(jobs: &Collection<Row>, open: &OpenJob) -> Result<()> {
    let more = [("due_at", Some(open.due_at.as_microsecond().into())), ("lone", Some(open.lone.into()))];
    let update = row::update(&open.job, more).await?;
    let still_open = doc! { "_id": open.job.id.to_string(), "status": Status::Pending.as_str() };
    within(PATIENCE, jobs.update_one(still_open, update)).await.map_err(queue)?;
    Ok(())
}

pub(super) async fn reopen(
    jobs: &Collection<Row>,
    tenant: &str,
    id: JobId,
    now: Timestamp,
) -> Result<Option<OpenJob>> {
    for _ in 0..ROUNDS {
        let dead = doc! { "_id": id.to_string(), "tenant": tenant, "status": Status::Failed.as_str() };
        let reopened = jobs.find_one_and_update(dead, revival(now)).return_document(ReturnDocument::After);
        let reopened = within(PATIENCE, reopened).await.map_err(queue)?;
        if let Some(row) = reopened {
            return Ok(row::open_jobs(vec![row]).await?.pop());
        }
        match read::get(jobs, tenant, id).await? {
            None => return Ok(None),
            // It died between the two looks.
            Some(job) if job.status == Status::Failed => {}
            Some(job) => return Err(Error::NotDead { id, status: job.status }),
        }
    }
    Err(Error::unavailable(Restless))
}

pub(super) async fn told(jobs: &Collection<Row>, job: &JobRecord) -> Result<()> {
    let Some(finished_at) = job.finished_at else { return Ok(()) };
    let end = doc! { "_id": job.id.to_string(), "finished_at": finished_at.as_microsecond(), "telling": row::UNTOLD };
    let told = doc! { "$set": { "telling": row::TOLD } };
    within(PATIENCE, jobs.update_one(end, told)).await.map_err(queue)?;
    Ok(())
}

fn revival(now: Timestamp) -> Vec<Document> {
    let now = now.as_microsecond();
    // What cost its workers their lives is not let near others again.
    let lone = doc! { "$eq": ["$error.code", { "$literal": JobError::WORKER_LOST }] };
    let alive = doc! {
        "status": Status::Pending.as_str(), "attempts": 0_i64, "progress": -1, "message": "", "cancel_asked": false,
        "updated_at": now, "due_at": now, "lone": lone,
    };
    // Its next end has to be told again; one that nobody is told of stays without the field.
    let telling = doc! { "$cond": [{ "$eq": ["$telling", row::TOLD] }, row::UNTOLD, "$telling"] };
    vec![
        doc! { "$set": alive },
        doc! { "$set": { "telling": telling } },
        doc! { "$unset": ["finished_at", "token", "ending"] },
    ]
}

/// A job by its id alone.
#[derive(Deserialize)]
struct Named {
    #[serde(rename = "_id")]
    id: String,
}

pub(super) async fn purge(
    jobs: &Collection<Row>,
    statuses: &[Status],
    finished_before: Timestamp,
) -> Result<u64> {
    let terminal: Vec<&str> =
        statuses.iter().filter(|status| status.is_terminal()).map(|status| status.as_str()).collect();
    if terminal.is_empty() {
        return Ok(0);
    }
    let old = doc! {
        "status": { "$in": terminal },
        "finished_at": { "$lt": finished_before.as_microsecond() },
        "telling": { "$ne": row::UNTOLD },
    };
    let mut gone = 0;
    loop {
        let look = async {
            let jobs = jobs.clone_with_type::<Named>();
            let some = jobs.find(old.clone()).limit(PURGED_AT_ONCE);
            some.projection(doc! { "_id": 1 }).await?.try_collect::<Vec<Named>>().await
        };
        let found = within(PATIENCE, look).await.map_err(queue)?;
        if found.is_empty() {
            return Ok(gone);
        }
        // One that was reopened meanwhile stays.
        let mut these = old.clone();
        these.insert("_id", doc! { "$in": found.into_iter().map(|job| job.id).collect::<Vec<_>>() });
        gone += within(PATIENCE, jobs.delete_many(these)).await.map_err(queue)?.deleted_count;
    }
}
