//! What one operation has at hand inside the writer's transaction, and what it reports afterwards.

use std::{sync::Arc, time::Duration};

use rusqlite::{Connection, params};

use super::{
    SqliteOptions,
    row::{COLUMNS, record},
};
use crate::{JobRecord, Result, Signals, Status, telemetry};

/// The transaction, the time, and a pad for the news.
pub(super) struct Desk<'a> {
    pub(super) connection: &'a Connection,
    pub(super) now: i64,
    pub(super) options: &'a SqliteOptions,
    pub(super) news: &'a mut Vec<News>,
}

/// What others are told once an operation is committed.
pub(super) enum News {
    Arrived(String),
    Claimed { job: Arc<JobRecord>, waited: Duration },
    Moved(crate::JobId),
    Retried(JobRecord),
    WorkerLost(JobRecord),
    CancelAsked(crate::JobId),
    Finished(Arc<JobRecord>),
}

impl News {
    pub(super) fn publish(self, signals: &Signals) {
        match self {
            Self::Arrived(kind) => signals.arrived(&kind),
            Self::Claimed { job, waited } => {
                telemetry::claimed(&job, waited);
                signals.moved(job.id);
            }
            Self::Moved(id) => signals.moved(id),
            Self::Retried(job) => {
                telemetry::retried(&job);
                signals.moved(job.id);
            }
            Self::WorkerLost(job) => telemetry::worker_lost(&job),
            Self::CancelAsked(id) => signals.cancel_asked(id),
            Self::Finished(job) => {
                telemetry::finished(&job);
                signals.finished(job);
            }
        }
    }
}

/// How a job comes back to those that wait.
pub(super) struct Return<'a> {
    pub(super) due_at: i64,
    /// Whether it runs by itself.
    pub(super) lone: bool,
    /// The attempts that count against it.
    pub(super) attempts: u32,
    /// The failure that sent it back, as JSON.
    pub(super) error: Option<&'a str>,
}

impl Desk<'_> {
    /// Makes a job terminal without a result.
    pub(super) fn finish(&mut self, seq: i64, status: Status, error: Option<&str>) -> Result<JobRecord> {
        let sql = format!(
            "UPDATE queue_jobs SET status = ?2, error = ?3, finished_at = ?4, updated_at = ?4, worker = NULL, \
             lease_until = NULL WHERE seq = ?1 RETURNING {COLUMNS}"
        );
        let job = self
            .connection
            .prepare_cached(&sql)?
            .query_row(params![seq, status.as_str(), error, self.now], record)?;
        self.news.push(News::Finished(Arc::new(job.clone())));
        Ok(job)
    }

    /// Makes a job pending again.
    pub(super) fn send_back(&mut self, seq: i64, back: &Return<'_>) -> Result<JobRecord> {
        let sql = format!(
            "UPDATE queue_jobs SET status = 'pending', due_at = ?2, lone = ?3, attempts = ?4, \
             error = coalesce(?5, error), progress = -1, message = '', updated_at = ?6, finished_at = NULL, \
             worker = NULL, lease_until = NULL, telling = min(telling, 1) WHERE seq = ?1 RETURNING {COLUMNS}"
        );
        let job = self
            .connection
            .prepare_cached(&sql)?
            .query_row(params![seq, back.due_at, back.lone, back.attempts, back.error, self.now], record)?;
        if !back.lone {
            self.enter_turn(&job.kind, &job.tenant)?;
        }
        if back.due_at <= self.now {
            self.news.push(News::Arrived(job.kind.clone()));
        }
        Ok(job)
    }

    /// Puts a tenant at the end of the line, unless it stands in it already.
    pub(super) fn enter_turn(&self, kind: &str, tenant: &str) -> Result<()> {
        let sql = "INSERT INTO queue_turns (kind, tenant, turn) \
                   VALUES (?1, ?2, (SELECT coalesce(max(turn), 0) + 1 FROM queue_turns)) ON CONFLICT DO NOTHING";
        self.connection.prepare_cached(sql)?.execute([kind, tenant])?;
        Ok(())
    }

    /// Takes a tenant out of the line if none of its jobs of this kind waits any longer.
    pub(super) fn leave_turn(&self, kind: &str, tenant: &str) -> Result<()> {
        let sql = "DELETE FROM queue_turns WHERE kind = ?1 AND tenant = ?2 AND NOT EXISTS (SELECT 1 \
                   FROM queue_jobs WHERE status = 'pending' AND lone = 0 AND kind = ?1 AND tenant = ?2)";
        self.connection.prepare_cached(sql)?.execute([kind, tenant])?;
        Ok(())
    }
}
