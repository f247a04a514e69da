//! What the holder of a token may do with its job.

use std::{sync::Arc, time::Duration};

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    desk::{Desk, News, Return},
    row::{COLUMNS_BUT_RESULT, record},
};
use crate::{
    Error, JobError, JsonText, Result, Standing, Status, Token, Verdict,
    clock::{micros, moment},
};

/// A job that the token still holds.
struct Held {
    seq: i64,
    attempts: u32,
    max_attempts: u32,
    cancel_asked: bool,
    lone: bool,
    due_at: i64,
}

fn held(connection: &Connection, token: &Token) -> Result<Held> {
    let sql = "SELECT seq, attempts, max_attempts, cancel_asked, lone, due_at FROM queue_jobs \
               WHERE id = ?1 AND token = ?2 AND status = 'processing'";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row(params![token.job().to_string(), token.number], |row| {
        Ok(Held {
            seq: row.get(0)?,
            attempts: row.get(1)?,
            max_attempts: row.get(2)?,
            cancel_asked: row.get(3)?,
            lone: row.get(4)?,
            due_at: row.get(5)?,
        })
    });
    found.optional()?.ok_or(Error::LeaseLost(token.job()))
}

pub(super) fn cancelled(connection: &Connection, token: &Token) -> Result<bool> {
    Ok(held(connection, token)?.cancel_asked)
}

pub(super) fn renew(desk: &mut Desk<'_>, token: &Token, lease: Duration) -> Result<Standing> {
    let job = held(desk.connection, token)?;
    let sql = "UPDATE queue_jobs SET lease_until = ?2 WHERE seq = ?1";
    let until = desk.now.saturating_add(micros(lease));
    desk.connection.prepare_cached(sql)?.execute([job.seq, until])?;
    Ok(Standing { cancel_asked: job.cancel_asked })
}

pub(super) fn progress(desk: &mut Desk<'_>, token: &Token, percent: i8, message: &str) -> Result<()> {
    let job = held(desk.connection, token)?;
    let sql = "UPDATE queue_jobs SET progress = ?2, message = ?3, updated_at = ?4 WHERE seq = ?1";
    let percent = percent.clamp(-1, 100);
    desk.connection.prepare_cached(sql)?.execute(params![job.seq, percent, message, desk.now])?;
    desk.news.push(News::Moved(token.job()));
    Ok(())
}

pub(super) fn got_on(desk: &mut Desk<'_>, token: &Token) -> Result<()> {
    let job = held(desk.connection, token)?;
    let sql = "UPDATE queue_jobs SET attempts = 1, lone = 0, updated_at = ?2 WHERE seq = ?1";
    desk.connection.prepare_cached(sql)?.execute([job.seq, desk.now])?;
    Ok(())
}

pub(super) fn complete(desk: &mut Desk<'_>, token: &Token, result: JsonText) -> Result<()> {
    let sql = format!(
        "UPDATE queue_jobs SET status = 'completed', progress = 100, result = ?3, error = NULL, \
         finished_at = ?4, updated_at = ?4, worker = NULL, lease_until = NULL \
         WHERE id = ?1 AND token = ?2 AND status = 'processing' RETURNING {COLUMNS_BUT_RESULT}"
    );
    let values = params![token.job().to_string(), token.number, result.as_str(), desk.now];
    let done = desk.connection.prepare_cached(&sql)?.query_row(values, record).optional()?;
    let Some(mut job) = done else { return completed_before(desk.connection, token) };
    job.result = Some(result);
    desk.news.push(News::Finished(Arc::new(job)));
    Ok(())
}

/// A worker whose answer got lost asks again: its own earlier completion stands.
fn completed_before(connection: &Connection, token: &Token) -> Result<()> {
    let sql = "SELECT 1 FROM queue_jobs WHERE id = ?1 AND token = ?2 AND status = 'completed'";
    let mut statement = connection.prepare_cached(sql)?;
    let settled = statement.exists(params![token.job().to_string(), token.number])?;
    if settled { Ok(()) } else { Err(Error::LeaseLost(token.job())) }
}

pub(super) fn fail(desk: &mut Desk<'_>, token: &Token, error: &JobError) -> Result<Verdict> {
    let job = held(desk.connection, token)?;
    if job.cancel_asked {
        desk.finish(job.seq, Status::Cancelled, None)?;
        return Ok(Verdict::Cancelled);
    }
    let text = serde_json::to_string(error)?;
    if !error.retryable || job.attempts >= job.max_attempts {
        desk.finish(job.seq, Status::Failed, Some(&text))?;
        return Ok(Verdict::Buried);
    }
    let backoff = desk.options.backoffs.of(&token.claimed.kind);
    let due_at = desk.now.saturating_add(micros(backoff.delay(token.job(), job.attempts)));
    // It came to an end of its own, so it is no danger to others (any more).
    let back = Return { due_at, lone: false, attempts: job.attempts, error: Some(&text) };
    let job = desk.send_back(job.seq, &back)?;
    desk.news.push(News::Retried(job));
    Ok(Verdict::Retry(moment(due_at)))
}

pub(super) fn release(desk: &mut Desk<'_>, token: &Token) -> Result<()> {
    let job = held(desk.connection, token)?;
    if job.cancel_asked {
        desk.finish(job.seq, Status::Cancelled, None)?;
        return Ok(());
    }
    let attempts = job.attempts.saturating_sub(1);
    desk.send_back(job.seq, &Return { due_at: job.due_at, lone: job.lone, attempts, error: None })?;
    Ok(())
}
