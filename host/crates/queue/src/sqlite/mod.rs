//! The queue in an SQLite file, which other connections and other processes may use at the same time.
//!
//! One thread writes. It takes all operations that wait, runs them in one transaction, and answers after the commit
//! ([`writer`]). The ones that promised to survive a power cut are answered after the next flush of the log, which a
//! second thread makes while the first goes on. A third keeps the log short ([`checkpoint`]).
//!
//! Every other connection to the file must leave `journal_mode` at WAL and `synchronous` at NORMAL or above.

mod checkpoint;
mod claim;
mod desk;
mod govern;
mod push;
mod read;
mod row;
mod settle;
mod writer;

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use rusqlite::{Connection, config::DbConfig};

use self::{desk::Desk, writer::Writer};
use crate::{
    Backoffs, Claim, Clock, Company, Depth, Durability, Error, JobError, JobFilter, JobId, JobRecord,
    JsonText, NewJob, Pushed, Queue, Result, Signals, Standing, Status, SystemClock, Token, Verdict,
};

/// The layout of `schema.sql`; a file with a newer one is refused.
const SCHEMA_VERSION: i64 = 2;

/// What a file of the first version lacks.
const SINCE_VERSION_1: &str = "ALTER TABLE queue_jobs ADD COLUMN telling INTEGER NOT NULL DEFAULT 0; UPDATE queue_schema SET version = 2";

/// Made once the column is there. It holds a job from its end until its end is told.
const UNTOLD: &str = "CREATE INDEX IF NOT EXISTS queue_jobs_untold ON queue_jobs (finished_at) \
                      WHERE telling = 1 AND finished_at IS NOT NULL";

/// How many jobs one transaction forgets, so that a large purge keeps nobody waiting.
const PURGE_STEP: u32 = 500;

/// How the queue behaves.
#[derive(Clone)]
pub struct SqliteOptions {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// How long a failed job waits.
    pub backoffs: Backoffs,
    /// How long to wait for another connection's transaction before an operation is refused as unavailable.
    pub busy_timeout: Duration,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            backoffs: Backoffs::default(),
            busy_timeout: Duration::from_secs(5),
        }
    }
}

impl std::fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteOptions").field("backoffs", &self.backoffs).finish_non_exhaustive()
    }
}

/// A queue in an SQLite file.
///
/// Dropping it waits for the operations under way. It needs a multi-threaded runtime only in so far as its callers do.
pub struct SqliteQueue {
    writer: Writer,
    reader: Arc<Mutex<Connection>>,
    signals: Arc<Signals>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for SqliteQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteQueue").finish_non_exhaustive()
    }
}

impl SqliteQueue {
    /// Opens the queue in this file and makes its tables if need be. Blocks for a moment.
    ///
    /// # Errors
    /// If the file cannot be opened, or was laid out by a newer version.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Self> {
        let write = connect(path, options.busy_timeout)?;
        prepare(&write)?;
        let reader = connect(path, options.busy_timeout)?;
        reader.pragma_update(None, "query_only", true)?;
        let signals = Arc::new(Signals::default());
        let clock = Arc::clone(&options.clock);
        let writer = Writer::start(write, path, Arc::clone(&signals), options)?;
        Ok(Self { writer, reader: Arc::new(Mutex::new(reader)), signals, clock })
    }

    async fn write<T, F>(&self, durability: Durability, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Desk<'_>) -> Result<T> + Send + 'static,
    {
        self.writer.run(durability, work).await
    }

    async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let reader = Arc::clone(&self.reader);
        let done = tokio::task::spawn_blocking(move || work(&reader.lock())).await;
        done.unwrap_or_else(|lost| Err(Error::storage(lost)))
    }
}

fn connect(path: &Path, busy_timeout: Duration) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(busy_timeout)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // The log is not flushed at each commit but by the writer's flusher, before the answer to what asked for it.
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.set_prepared_statement_cache_capacity(64);
    // Plans do not depend on what is bound, so a statement is not prepared again for every new time of day: a quarter of
    // the clerk's work.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    connection.execute_batch(include_str!("schema.sql"))?;
    connection.execute(
        "INSERT INTO queue_schema (version) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM queue_schema)",
        [SCHEMA_VERSION],
    )?;
    let version: i64 = connection.query_row("SELECT max(version) FROM queue_schema", [], |row| row.get(0))?;
    if version > SCHEMA_VERSION {
        connection.execute_batch("ROLLBACK")?;
        let newer = format!("the queue's tables have version {version}, newer than {SCHEMA_VERSION}");
        return Err(Error::storage(std::io::Error::other(newer)));
    }
    if version < SCHEMA_VERSION {
        connection.execute_batch(SINCE_VERSION_1)?;
    }
    connection.execute_batch(UNTOLD)?;
    connection.execute_batch("COMMIT")?;
    Ok(())
}

/// The kinds as SQL sees them: a JSON list.
fn kind_list(kinds: &[&str]) -> Vec<String> {
    kinds.iter().map(|&kind| kind.to_owned()).collect()
}

#[async_trait]
impl Queue for SqliteQueue {
    async fn push(&self, job: NewJob) -> Result<Pushed> {
        let payload = job.payload.to_string();
        self.write(job.durability, move |desk| push::push(desk, &job, &payload)).await
    }

    async fn claim_several(
        &self,
        worker: &str,
        kinds: &[&str],
        company: Company,
        lease: Duration,
        most: usize,
        passed_over: &[String],
    ) -> Result<Vec<Claim>> {
        let (worker, kinds, passed_over) = (worker.to_owned(), kind_list(kinds), passed_over.to_owned());
        let claim = move |desk: &mut Desk<'_>| {
            claim::claim(desk, &worker, &kinds, company, lease, most, &passed_over)
        };
        self.write(Durability::Process, claim).await
    }

    async fn lone_job_due(&self, kinds: &[&str]) -> Result<bool> {
        let (kinds, now) = (kind_list(kinds), self.clock.now_us());
        self.read(move |connection| Ok(claim::next_lone(connection, &kinds, now)?.is_some())).await
    }

    async fn renew(&self, token: &Token, lease: Duration) -> Result<Standing> {
        let token = token.clone();
        self.write(Durability::Process, move |desk| settle::renew(desk, &token, lease)).await
    }

    async fn progress(&self, token: &Token, percent: i8, message: &str) -> Result<()> {
        let (token, message) = (token.clone(), message.to_owned());
        self.write(Durability::Process, move |desk| settle::progress(desk, &token, percent, &message)).await
    }

    async fn got_on(&self, token: &Token) -> Result<()> {
        let token = token.clone();
        self.write(Durability::Process, move |desk| settle::got_on(desk, &token)).await
    }

    async fn complete(&self, token: &Token, result: JsonText) -> Result<()> {
        let token = token.clone();
        self.write(token.durability, move |desk| settle::complete(desk, &token, result)).await
    }

    async fn fail(&self, token: &Token, error: JobError) -> Result<Verdict> {
        let token = token.clone();
        self.write(token.durability, move |desk| settle::fail(desk, &token, &error)).await
    }

    async fn release(&self, token: &Token) -> Result<()> {
        let token = token.clone();
        self.write(Durability::Process, move |desk| settle::release(desk, &token)).await
    }

    async fn cancelled(&self, token: &Token) -> Result<bool> {
        let token = token.clone();
        self.read(move |connection| settle::cancelled(connection, &token)).await
    }

    async fn get(&self, tenant: &str, id: JobId) -> Result<Option<JobRecord>> {
        let tenant = tenant.to_owned();
        self.read(move |connection| read::get(connection, &tenant, id)).await
    }

    async fn status_of(&self, id: JobId) -> Result<Option<Status>> {
        self.read(move |connection| read::status_of(connection, id)).await
    }

    async fn list(&self, tenant: &str, filter: JobFilter) -> Result<Vec<JobRecord>> {
        let tenant = tenant.to_owned();
        self.read(move |connection| read::list(connection, &tenant, &filter)).await
    }

    async fn cancel(&self, tenant: &str, id: JobId) -> Result<Option<JobRecord>> {
        let tenant = tenant.to_owned();
        self.write(Durability::Disk, move |desk| govern::cancel(desk, &tenant, id)).await
    }

    async fn dead(&self, tenant: Option<&str>, limit: u32) -> Result<Vec<JobRecord>> {
        let tenant = tenant.map(str::to_owned);
        self.read(move |connection| read::dead(connection, tenant.as_deref(), limit)).await
    }

    async fn redrive(&self, tenant: &str, id: JobId) -> Result<Option<JobRecord>> {
        let tenant = tenant.to_owned();
        self.write(Durability::Disk, move |desk| govern::redrive(desk, &tenant, id)).await
    }

    async fn depth(&self) -> Result<Vec<Depth>> {
        self.read(read::depth).await
    }

    async fn about(&self) -> Result<String> {
        self.read(|connection| {
            Ok(connection.query_row("SELECT 'sqlite ' || sqlite_version()", [], |row| row.get(0))?)
        })
        .await
    }

    async fn untold(&self, limit: u32) -> Result<Vec<JobRecord>> {
        self.read(move |connection| read::untold(connection, limit)).await
    }

    async fn told(&self, job: &JobRecord) -> Result<()> {
        let Some(finished_at) = job.finished_at.map(Timestamp::as_microsecond) else { return Ok(()) };
        let id = job.id;
        self.write(Durability::Process, move |desk| govern::told(desk, id, finished_at)).await
    }

    async fn purge(&self, statuses: &[Status], older_than: Duration) -> Result<u64> {
        let mut purged = 0;
        for &status in statuses.iter().filter(|status| status.is_terminal()) {
            loop {
                let step = move |desk: &mut Desk<'_>| govern::purge(desk, status, older_than, PURGE_STEP);
                let gone = self.write(Durability::Process, step).await?;
                purged += u64::from(gone);
                if gone < PURGE_STEP {
                    break;
                }
            }
        }
        Ok(purged)
    }

    fn signals(&self) -> &Signals {
        &self.signals
    }
}

#[cfg(test)]
mod tests;
