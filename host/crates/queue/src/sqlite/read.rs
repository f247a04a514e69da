//! Looking at jobs, on a connection that cannot write.

use rusqlite::{Connection, OptionalExtension, params};

use super::row::{COLUMNS, parsed, record};
use crate::{Depth, JobFilter, JobId, JobRecord, Result, Status};

pub(super) fn get(connection: &Connection, tenant: &str, id: JobId) -> Result<Option<JobRecord>> {
    let sql = format!("SELECT {COLUMNS} FROM queue_jobs WHERE id = ?1 AND tenant = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row([&id.to_string(), tenant], record).optional()?)
}

pub(super) fn status_of(connection: &Connection, id: JobId) -> Result<Option<Status>> {
    let mut statement = connection.prepare_cached("SELECT status FROM queue_jobs WHERE id = ?1")?;
    Ok(statement.query_row([id.to_string()], |row| parsed(row, 0)).optional()?)
}

pub(super) fn list(connection: &Connection, tenant: &str, filter: &JobFilter) -> Result<Vec<JobRecord>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM queue_jobs INDEXED BY queue_jobs_tenant WHERE tenant = ?1 \
         AND (?2 IS NULL OR kind = ?2) AND (?3 IS NULL OR status = ?3) \
         AND (?4 IS NULL OR seq < (SELECT seq FROM queue_jobs WHERE id = ?4 AND tenant = ?1)) \
         ORDER BY seq DESC LIMIT ?5"
    );
    let status = filter.status.map(Status::as_str);
    let before = filter.before.map(|id| id.to_string());
    let mut statement = connection.prepare_cached(&sql)?;
    let values = params![tenant, filter.kind, status, before, filter.limit];
    Ok(statement.query_map(values, record)?.collect::<Result<_, _>>()?)
}

pub(super) fn dead(connection: &Connection, tenant: Option<&str>, limit: u32) -> Result<Vec<JobRecord>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM queue_jobs WHERE status = 'failed' AND finished_at IS NOT NULL \
         AND (?1 IS NULL OR tenant = ?1) ORDER BY finished_at DESC, seq DESC LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_map(params![tenant, limit], record)?.collect::<Result<_, _>>()?)
}

pub(super) fn untold(connection: &Connection, limit: u32) -> Result<Vec<JobRecord>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM queue_jobs INDEXED BY queue_jobs_untold \
         WHERE telling = 1 AND finished_at IS NOT NULL LIMIT ?1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_map([limit], record)?.collect::<Result<_, _>>()?)
}

pub(super) fn depth(connection: &Connection) -> Result<Vec<Depth>> {
    let sql = "SELECT kind, status, count(*) FROM queue_jobs GROUP BY kind, status";
    let mut statement = connection.prepare_cached(sql)?;
    let depths = statement.query_map([], |row| {
        let jobs: i64 = row.get(2)?;
        Ok(Depth { kind: row.get(0)?, status: parsed(row, 1)?, jobs: jobs.unsigned_abs() })
    })?;
    Ok(depths.collect::<Result<_, _>>()?)
}
