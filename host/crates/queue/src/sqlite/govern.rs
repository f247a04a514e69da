//! What an owner or an operator does with jobs: call off, redrive, forget.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::{
    desk::{Desk, News, Return},
    read,
    row::{COLUMNS, record},
};
use crate::{Error, JobError, JobId, JobRecord, Result, Status, clock::micros};

pub(super) fn cancel(desk: &mut Desk<'_>, tenant: &str, id: JobId) -> Result<Option<JobRecord>> {
    let Some((seq, job)) = find(desk, tenant, id)? else { return Ok(None) };
    match job.status {
        Status::Pending => {
            let job = desk.finish(seq, Status::Cancelled, None)?;
            desk.leave_turn(&job.kind, &job.tenant)?;
            Ok(Some(job))
        }
        Status::Processing => {
            let sql = "UPDATE queue_jobs SET cancel_asked = 1, updated_at = ?2 WHERE seq = ?1";
            desk.connection.prepare_cached(sql)?.execute([seq, desk.now])?;
            desk.news.push(News::CancelAsked(id));
            read::get(desk.connection, tenant, id)
        }
        Status::Completed | Status::Failed | Status::Cancelled => Ok(Some(job)),
    }
}

pub(super) fn redrive(desk: &mut Desk<'_>, tenant: &str, id: JobId) -> Result<Option<JobRecord>> {
    let Some((seq, job)) = find(desk, tenant, id)? else { return Ok(None) };
    if job.status != Status::Failed {
        return Err(Error::NotDead { id, status: job.status });
    }
    // What cost its workers their lives is not let near others again.
    let lone = job.error.is_some_and(|error| error.code == JobError::WORKER_LOST);
    desk.send_back(seq, &Return { due_at: desk.now, lone, attempts: 0, error: None }).map(Some)
}

/// Forgets at most `limit` jobs of this status; answers how many it were.
pub(super) fn purge(desk: &mut Desk<'_>, status: Status, older_than: Duration, limit: u32) -> Result<u32> {
    let sql = "DELETE FROM queue_jobs WHERE seq IN (SELECT seq FROM queue_jobs \
               WHERE status = ?1 AND finished_at < ?2 AND telling <> 1 LIMIT ?3)";
    let before = desk.now.saturating_sub(micros(older_than));
    let gone = desk.connection.prepare_cached(sql)?.execute(params![status.as_str(), before, limit])?;
    Ok(u32::try_from(gone).unwrap_or(limit))
}

pub(super) fn told(desk: &mut Desk<'_>, id: JobId, finished_at: i64) -> Result<()> {
    let sql = "UPDATE queue_jobs SET telling = 2 WHERE id = ?1 AND finished_at = ?2 AND telling = 1";
    desk.connection.prepare_cached(sql)?.execute(params![id.to_string(), finished_at])?;
    Ok(())
}

fn find(desk: &Desk<'_>, tenant: &str, id: JobId) -> Result<Option<(i64, JobRecord)>> {
    let sql = format!("SELECT {COLUMNS}, seq FROM queue_jobs WHERE id = ?1 AND tenant = ?2");
    let mut statement = desk.connection.prepare_cached(&sql)?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get("seq")?, record(row)?));
    Ok(statement.query_row([&id.to_string(), tenant], read).optional()?)
}
