//! The port: what every backend of the queue can do.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Durability, JobError, JobId, JobRecord, JsonText, NewJob, Result, Signals, Status};

/// How often a waiter looks by itself; the ring of another process may not be heard.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The answer to a push.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    /// The job, as it stands now.
    pub job: JobRecord,
    /// Whether an earlier push had made it already.
    pub existing: bool,
}

/// Proof of being the job's present worker. Each claim makes a newer one, and only the newest is good.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// The job as it was handed out.
    pub(crate) claimed: Arc<JobRecord>,
    pub(crate) number: i64,
    pub(crate) durability: Durability,
}

impl Token {
    /// The job it is for.
    #[must_use]
    pub fn job(&self) -> JobId {
        self.claimed.id
    }
}

/// A job leased to a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The job; its attempts include this one.
    pub job: Arc<JobRecord>,
    /// What the worker shows when it settles the job.
    pub token: Token,
}

/// In which company a job may run.
///
/// A job that lost its worker may be what killed it. Such a job is *lone*: it is only given to a worker that runs
/// nothing else meanwhile, so that it can bury no innocent neighbour, until it got on ([`Queue::got_on`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Company {
    /// Beside others: every job but lone ones.
    Shared,
    /// By itself: only lone jobs.
    Alone,
}

/// What a worker learns when it renews its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether the job's cancellation was asked for.
    pub cancel_asked: bool,
}

/// What became of a job that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It starts again, not before this moment.
    Retry(Timestamp),
    /// It lies in the grave.
    Buried,
    /// Its cancellation had been asked for, so it counts as cancelled.
    Cancelled,
}

/// How many jobs of one kind have one status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Depth {
    /// The kind.
    pub kind: String,
    /// The status.
    pub status: Status,
    /// How many.
    pub jobs: u64,
}

/// Which jobs to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFilter {
    /// Only jobs of this kind.
    pub kind: Option<String>,
    /// Only jobs of this status.
    pub status: Option<Status>,
    /// Only jobs pushed before this one: the last of the page before.
    pub before: Option<JobId>,
    /// At most so many.
    pub limit: u32,
}

impl Default for JobFilter {
    fn default() -> Self {
        Self { kind: None, status: None, before: None, limit: 50 }
    }
}

/// A durable job queue.
///
/// Attempts are counted when a job is claimed, not when it fails: a job that takes its process down is counted too,
/// and is buried with [`JobError::WORKER_LOST`] when it has used all its starts.
///
/// Any operation whose future is dropped may or may not have happened. A dropped [`Queue::claim`] can leave a job
/// leased to nobody until the lease ends.
#[async_trait]
pub trait Queue: std::fmt::Debug + Send + Sync + 'static {
    /// Adds a job, or finds the one that the same request made before.
    ///
    /// # Errors
    /// [`crate::Error::Conflict`] if its idempotency key (or its id) belongs to another request.
    async fn push(&self, job: NewJob) -> Result<Pushed>;

    /// Leases up to so many due jobs of these kinds, one after the other; fewer when no more are due. The tenant served
    /// least recently comes first, and of its jobs the one that has been due the longest. Tenants that are passed over
    /// keep their turn; among lone jobs nobody is.
    async fn claim_several(
        &self,
        worker: &str,
        kinds: &[&str],
        company: Company,
        lease: Duration,
        most: usize,
        passed_over: &[String],
    ) -> Result<Vec<Claim>>;

    /// Leases the next one.
    async fn claim(
        &self,
        worker: &str,
        kinds: &[&str],
        company: Company,
        lease: Duration,
    ) -> Result<Option<Claim>> {
        Ok(self.claim_several(worker, kinds, company, lease, 1, &[]).await?.pop())
    }

    /// Whether a lone job of these kinds is due (see [`Company`]).
    async fn lone_job_due(&self, kinds: &[&str]) -> Result<bool>;

    /// Extends the lease to this long from now.
    ///
    /// # Errors
    /// [`crate::Error::LeaseLost`] if the token is stale; so for every operation that takes one.
    async fn renew(&self, token: &Token, lease: Duration) -> Result<Standing>;

    /// Notes how far the job is: percent (clamped to -1..=100, -1 is unknown) and a message.
    async fn progress(&self, token: &Token, percent: i8, message: &str) -> Result<()>;

    /// Notes that the job got past everything that was under way when its last worker was lost, and need not do it again:
    /// its attempts are counted anew, this being the first, and it is lone no longer. Doing it again changes nothing.
    async fn got_on(&self, token: &Token) -> Result<()>;

    /// Settles the job with its result. Doing it again with the same token changes nothing and succeeds.
    async fn complete(&self, token: &Token, result: JsonText) -> Result<()>;

    /// Ends this attempt: a retry after a backoff if that is worthwhile and attempts are left, else the grave.
    async fn fail(&self, token: &Token, error: JobError) -> Result<Verdict>;

    /// Gives the job back as if it had not been claimed, for a worker that shuts down.
    async fn release(&self, token: &Token) -> Result<()>;

    /// Whether the job's cancellation was asked for.
    async fn cancelled(&self, token: &Token) -> Result<bool>;

    /// A tenant's job; another tenant's is none.
    async fn get(&self, tenant: &str, id: JobId) -> Result<Option<JobRecord>>;

    /// Where a job stands, whosever it is: for the service's own upkeep, never for a caller.
    async fn status_of(&self, id: JobId) -> Result<Option<Status>>;

    /// A tenant's jobs, newest first.
    async fn list(&self, tenant: &str, filter: JobFilter) -> Result<Vec<JobRecord>>;

    /// Calls a job off: at once while it is pending; while it runs its worker is told, and decides. A terminal job
    /// stays as it is.
    async fn cancel(&self, tenant: &str, id: JobId) -> Result<Option<JobRecord>>;

    /// The jobs in the grave, latest first, of one tenant or of all.
    async fn dead(&self, tenant: Option<&str>, limit: u32) -> Result<Vec<JobRecord>>;

    /// Takes a job out of the grave, with all its attempts before it.
    ///
    /// # Errors
    /// [`crate::Error::NotDead`] if it is not in the grave.
    async fn redrive(&self, tenant: &str, id: JobId) -> Result<Option<JobRecord>>;

    /// How many jobs there are of each kind and status.
    async fn depth(&self) -> Result<Vec<Depth>>;

    /// Finished jobs that were pushed with [`NewJob::tell`] and whose end is not known to be told, whosever they are,
    /// in no particular order. That an end has to be told is written with the end itself, by whatever it came about,
    /// so nothing that happens to a process can lose it.
    async fn untold(&self, limit: u32) -> Result<Vec<JobRecord>>;

    /// Notes that the end of this job, as recorded, was told. One that was redriven meanwhile has another end to tell.
    async fn told(&self, job: &JobRecord) -> Result<()>;

    /// Forgets jobs of these terminal statuses that finished longer ago than this and have nothing to be told; answers
    /// how many.
    async fn purge(&self, statuses: &[Status], older_than: Duration) -> Result<u64>;

    /// What it runs on, such as `redis 7.2.4`, found out by a round trip: an error when it does not serve.
    async fn about(&self) -> Result<String>;

    /// What rings when something happens in this process, and, where the backend passes news on, in others.
    fn signals(&self) -> &Signals;

    /// Waits until a tenant's job is terminal or the time is up, and answers it as it then stands.
    async fn wait(&self, tenant: &str, id: JobId, timeout: Duration) -> Result<Option<JobRecord>> {
        let deadline = tokio::time::Instant::now() + timeout;
        let mut watch = self.signals().watch(id);
        loop {
            let Some(job) = self.get(tenant, id).await? else { return Ok(None) };
            let now = tokio::time::Instant::now();
            if job.status.is_terminal() || now >= deadline {
                return Ok(Some(job));
            }
            let look = deadline.min(now + LOOK_AGAIN);
            if let Ok(finished) = tokio::time::timeout_at(look, watch.finished()).await {
                return Ok(Some((*finished).clone()));
            }
        }
    }
}
