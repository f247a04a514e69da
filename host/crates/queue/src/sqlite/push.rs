//! Adding a job, or finding the one that the same request made before.

use rusqlite::{OptionalExtension, params};

use super::{
    desk::{Desk, News},
    row::{COLUMNS, WIDTH, record},
};
use crate::{Durability, Error, Idempotency, JobRecord, NewJob, Pushed, Result};

pub(super) fn push(desk: &mut Desk<'_>, job: &NewJob, payload: &str) -> Result<Pushed> {
    if let Some((earlier, digest)) = earlier(desk, job)? {
        return same_request(job, &digest, &earlier)
            .then_some(Pushed { job: earlier, existing: true })
            .ok_or_else(|| Error::Conflict { key: request_name(job) });
    }
    let record = insert(desk, job, payload)?;
    desk.enter_turn(&job.kind, &job.tenant)?;
    desk.news.push(News::Arrived(job.kind.clone()));
    Ok(Pushed { job: record, existing: false })
}

/// The job with this key, or with this id, and the digest it was pushed with.
fn earlier(desk: &Desk<'_>, job: &NewJob) -> Result<Option<(JobRecord, Option<String>)>> {
    let key = job.idempotency.as_ref().map(|request| request.key.as_str());
    let by_key = format!(
        "SELECT {COLUMNS}, body_digest FROM queue_jobs \
         WHERE tenant = ?1 AND idempotency_key = ?2 AND idempotency_key IS NOT NULL"
    );
    let by_id = format!("SELECT {COLUMNS}, body_digest FROM queue_jobs WHERE id = ?1");
    let read = |row: &rusqlite::Row<'_>| Ok((record(row)?, row.get(WIDTH)?));
    if let Some(key) = key {
        let mut statement = desk.connection.prepare_cached(&by_key)?;
        if let Some(found) = statement.query_row([&job.tenant, key], read).optional()? {
            return Ok(Some(found));
        }
    }
    let mut statement = desk.connection.prepare_cached(&by_id)?;
    Ok(statement.query_row([job.id.to_string()], read).optional()?)
}

fn same_request(job: &NewJob, digest: &Option<String>, earlier: &JobRecord) -> bool {
    let same_body = match &job.idempotency {
        Some(request) => digest.as_ref() == Some(&request.body_digest),
        None => digest.is_none() && earlier.payload == job.payload,
    };
    same_body && earlier.kind == job.kind && earlier.tenant == job.tenant
}

fn request_name(job: &NewJob) -> String {
    job.idempotency.as_ref().map_or_else(|| job.id.to_string(), |request| request.key.clone())
}

fn insert(desk: &Desk<'_>, job: &NewJob, payload: &str) -> Result<JobRecord> {
    let sql = format!(
        "INSERT INTO queue_jobs (id, kind, tenant, status, max_attempts, payload, created_at, updated_at, due_at, \
         idempotency_key, body_digest, to_disk, telling) \
         VALUES (?1, ?2, ?3, 'pending', ?4, ?5, ?6, ?6, ?6, ?7, ?8, ?9, ?10) \
         RETURNING {COLUMNS}"
    );
    let (key, digest) = match &job.idempotency {
        Some(Idempotency { key, body_digest }) => (Some(key), Some(body_digest)),
        None => (None, None),
    };
    let to_disk = job.durability == Durability::Disk;
    let values = params![
        job.id.to_string(),
        job.kind,
        job.tenant,
        job.max_attempts.max(1),
        payload,
        desk.now,
        key,
        digest,
        to_disk,
        job.tell,
    ];
    Ok(desk.connection.prepare_cached(&sql)?.query_row(values, record)?)
}
