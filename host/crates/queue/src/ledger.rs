//! Where the records of jobs are kept for good, for a queue whose channel may lose what it holds.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{Depth, JobFilter, JobId, JobRecord, NewJob, Pushed, Result, Status};

/// How a job ended, and by whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// The job as it is from now on; its status is terminal.
    pub job: JobRecord,
    /// The number of the token it was settled with; none if no worker settled it.
    pub token: Option<i64>,
}

/// A job that has not ended, with all that is needed to deliver it again.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenJob {
    /// The job, as of its push or its latest failed attempt; its status is pending.
    pub job: JobRecord,
    /// When it is due.
    pub due_at: Timestamp,
    /// Whether it may only run by itself.
    pub lone: bool,
}

/// The truth about jobs: that they were pushed, which failures they had, how they ended.
///
/// It knows nothing of leases and of work that goes on: a job is *open* (pending) until it is closed. The first close
/// wins. Everything it acknowledged survives whatever the store promises to survive.
#[async_trait]
pub trait Ledger: std::fmt::Debug + Send + Sync + 'static {
    /// Enters jobs as open, due at once. A job whose id, or whose tenant's idempotency key, is there already is answered
    /// as [`crate::Queue::push`] says. One answer for each, in order; one round trip for all.
    async fn enter(&self, jobs: &[NewJob], now: Timestamp) -> Vec<Result<Pushed>>;

    /// Strikes out open jobs that were never delivered; nothing happens to ended ones.
    async fn withdraw(&self, jobs: &[JobId]) -> Result<()>;

    /// Records ends. For each, whether the job is now ended by this very ending: it was open, or had been closed with
    /// the same token before. A job that is not there is not ended. One round trip for all.
    async fn close(&self, endings: &[Ending]) -> Vec<Result<bool>>;

    /// Notes the attempts, the error and the next start of a job that is open still.
    async fn note(&self, job: &OpenJob) -> Result<()>;

    /// Takes a failed job out of the grave: open, due at `now`, without attempts; lone if it was buried for the loss of
    /// its workers ([`crate::JobError::WORKER_LOST`]).
    ///
    /// # Errors
    /// [`crate::Error::NotDead`] if it is there and not failed.
    async fn reopen(&self, tenant: &str, id: JobId, now: Timestamp) -> Result<Option<OpenJob>>;

    /// A tenant's job.
    async fn get(&self, tenant: &str, id: JobId) -> Result<Option<JobRecord>>;

    /// Where a job stands, whosever it is; an open one is pending.
    async fn status_of(&self, id: JobId) -> Result<Option<Status>>;

    /// A tenant's jobs, newest first. [`Status::Pending`] and [`Status::Processing`] both mean open ones.
    async fn list(&self, tenant: &str, filter: &JobFilter) -> Result<Vec<JobRecord>>;

    /// The jobs in the grave, latest first, of one tenant or of all.
    async fn dead(&self, tenant: Option<&str>, limit: u32) -> Result<Vec<JobRecord>>;

    /// How many jobs there are of each kind and status; open ones as pending.
    async fn depth(&self) -> Result<Vec<Depth>>;

    /// Ended jobs that were entered with [`NewJob::tell`] and are not told; a job that is reopened has to be told again.
    async fn untold(&self, limit: u32) -> Result<Vec<JobRecord>>;

    /// Notes that this end of a job was told.
    async fn told(&self, job: &JobRecord) -> Result<()>;

    /// Forgets jobs of these terminal statuses that finished before a moment and are told if they have to be; answers how
    /// many.
    async fn purge(&self, statuses: &[Status], finished_before: Timestamp) -> Result<u64>;

    /// Open jobs of every tenant in the order of their ids, after the given one.
    async fn open_jobs(&self, after: Option<JobId>, limit: u32) -> Result<Vec<OpenJob>>;
}
