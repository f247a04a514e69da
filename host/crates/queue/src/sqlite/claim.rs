//! Choosing the next job, and taking back what lost its worker.

use std::{sync::Arc, time::Duration};

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    desk::{Desk, News, Return},
    row::{COLUMNS, WIDTH, record},
};
use crate::{Claim, Company, Durability, JobError, Result, Status, Token, clock::micros};

/// How many lost jobs one claim takes back, so that the death of a large worker does not hold up the next one.
const REAP_STEP: u32 = 64;

pub(super) fn claim(
    desk: &mut Desk<'_>,
    worker: &str,
    kinds: &[String],
    company: Company,
    lease: Duration,
    most: usize,
    passed_over: &[String],
) -> Result<Vec<Claim>> {
    reap(desk)?;
    let mut claims = Vec::new();
    while claims.len() < most {
        let next = match company {
            Company::Alone => next_lone(desk.connection, kinds, desk.now)?,
            Company::Shared => next_shared(desk, kinds, passed_over)?,
        };
        let Some(seq) = next else { break };
        let (claim, due_at) = lease_out(desk, seq, worker, lease)?;
        if company == Company::Shared {
            desk.leave_turn(&claim.job.kind, &claim.job.tenant)?;
        }
        let waited = Duration::from_micros(u64::try_from(desk.now - due_at).unwrap_or(0));
        desk.news.push(News::Claimed { job: Arc::clone(&claim.job), waited });
        claims.push(claim);
    }
    Ok(claims)
}

/// The lone job that has been due the longest.
pub(super) fn next_lone(connection: &Connection, kinds: &[String], now: i64) -> Result<Option<i64>> {
    let sql = "SELECT seq, kind FROM queue_jobs WHERE status = 'pending' AND lone = 1 AND due_at <= ?1 \
               ORDER BY due_at, seq";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([now])?;
    while let Some(row) = rows.next()? {
        if kinds.iter().any(|kind| row.get_ref(1).is_ok_and(|value| value.as_str() == Ok(kind))) {
            return Ok(Some(row.get(0)?));
        }
    }
    Ok(None)
}

/// The job due the longest, of the tenant whose turn it is.
fn next_shared(desk: &Desk<'_>, kinds: &[String], passed_over: &[String]) -> Result<Option<i64>> {
    let Some(tenant) = next_tenant(desk, kinds, passed_over)? else { return Ok(None) };
    let sql = "SELECT due_at, seq FROM queue_jobs WHERE status = 'pending' AND lone = 0 AND kind = ?1 \
               AND tenant = ?2 AND due_at <= ?3 ORDER BY due_at, seq LIMIT 1";
    let mut statement = desk.connection.prepare_cached(sql)?;
    let mut oldest: Option<(i64, i64)> = None;
    for kind in kinds {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let found = statement.query_row(params![kind, tenant, desk.now], read).optional()?;
        oldest = [oldest, found].into_iter().flatten().min();
        // Its turn is over for every kind that this worker takes.
        take_turn(desk, kind, &tenant)?;
    }
    Ok(oldest.map(|(_, seq)| seq))
}

/// The tenant with something due whose turn came the longest ago. Walks the line in order and stops at the first.
fn next_tenant(desk: &Desk<'_>, kinds: &[String], passed_over: &[String]) -> Result<Option<String>> {
    let sql = "SELECT turns.tenant FROM queue_turns AS turns INDEXED BY queue_turns_order \
               WHERE turns.kind IN (SELECT value FROM json_each(?1)) \
               AND turns.tenant NOT IN (SELECT value FROM json_each(?3)) AND EXISTS (SELECT 1 FROM queue_jobs AS jobs \
               WHERE jobs.status = 'pending' AND jobs.lone = 0 AND jobs.kind = turns.kind \
               AND jobs.tenant = turns.tenant AND jobs.due_at <= ?2) ORDER BY turns.turn LIMIT 1";
    let (kinds, passed_over) = (serde_json::to_string(kinds)?, serde_json::to_string(passed_over)?);
    let mut statement = desk.connection.prepare_cached(sql)?;
    Ok(statement.query_row(params![kinds, desk.now, passed_over], |row| row.get(0)).optional()?)
}

fn take_turn(desk: &Desk<'_>, kind: &str, tenant: &str) -> Result<()> {
    let sql = "UPDATE queue_turns SET turn = (SELECT max(turn) + 1 FROM queue_turns) \
               WHERE kind = ?1 AND tenant = ?2";
    desk.connection.prepare_cached(sql)?.execute([kind, tenant])?;
    Ok(())
}

/// Leases the job to the worker; also answers since when it was due.
fn lease_out(desk: &Desk<'_>, seq: i64, worker: &str, lease: Duration) -> Result<(Claim, i64)> {
    let sql = format!(
        "UPDATE queue_jobs SET status = 'processing', attempts = attempts + 1, token = token + 1, worker = ?2, \
         lease_until = ?3, started_at = ?4, updated_at = ?4 WHERE seq = ?1 \
         RETURNING {COLUMNS}, token, to_disk, due_at"
    );
    let until = desk.now.saturating_add(micros(lease));
    let mut statement = desk.connection.prepare_cached(&sql)?;
    Ok(statement.query_row(params![seq, worker, until, desk.now], |row| {
        let job = record(row)?;
        let durability = if row.get(WIDTH + 1)? { Durability::Disk } else { Durability::Process };
        let job = Arc::new(job);
        let token = Token { claimed: Arc::clone(&job), number: row.get(WIDTH)?, durability };
        Ok((Claim { job, token }, row.get(WIDTH + 2)?))
    })?)
}

/// Takes back the jobs whose lease ran out: another start by itself if one is left, else the grave.
fn reap(desk: &mut Desk<'_>) -> Result<()> {
    let sql = "SELECT seq, attempts, max_attempts, cancel_asked FROM queue_jobs \
               WHERE status = 'processing' AND lease_until <= ?1 ORDER BY lease_until LIMIT ?2";
    let lost: Vec<(i64, u32, u32, bool)> = desk
        .connection
        .prepare_cached(sql)?
        .query_map(params![desk.now, REAP_STEP], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    for (seq, attempts, max_attempts, cancel_asked) in lost {
        let job = if cancel_asked {
            desk.finish(seq, Status::Cancelled, None)?
        } else if attempts >= max_attempts {
            let error = serde_json::to_string(&JobError::worker_lost(attempts))?;
            desk.finish(seq, Status::Failed, Some(&error))?
        } else {
            desk.send_back(seq, &Return { due_at: desk.now, lone: true, attempts, error: None })?
        };
        desk.news.push(News::WorkerLost(job));
    }
    Ok(())
}
