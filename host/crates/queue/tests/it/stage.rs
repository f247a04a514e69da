//! A queue in a folder of its own, and workers over it.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::json;
use taja_queue::{
    Backoff, Clock, Handlers, JobRecord, Lane, ManualClock, NewJob, Queue, SqliteOptions, SqliteQueue,
    Status, SystemClock, Worker, WorkerConfig,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than anything here may take.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) struct Stage {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) folder: TempDir,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// A stage whose clock stands still.
    pub(crate) fn frozen() -> (Self, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp::now()));
        (Self::with_clock(Arc::clone(&clock) as Arc<dyn Clock>), clock)
    }

    fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let folder = TempDir::new().unwrap();
        // No wait before a retry.
        let backoff = Backoff { base: Duration::ZERO, cap: Duration::ZERO };
        let options = SqliteOptions { clock, backoffs: backoff.into(), ..SqliteOptions::default() };
        let queue = Arc::new(SqliteQueue::open(&folder.path().join("jobs.db"), options).unwrap());
        Self { queue, folder }
    }

    /// The same jobs through another queue, as another process has it.
    pub(crate) fn elsewhere(&self) -> SqliteQueue {
        SqliteQueue::open(&self.folder.path().join("jobs.db"), SqliteOptions::default()).unwrap()
    }

    pub(crate) async fn push(&self, kind: &str) -> JobRecord {
        self.push_job(NewJob::new(kind, "acme", json!({}))).await
    }

    pub(crate) async fn push_job(&self, job: NewJob) -> JobRecord {
        self.queue.push(job).await.unwrap().job
    }

    pub(crate) async fn get(&self, job: &JobRecord) -> JobRecord {
        self.queue.get(&job.tenant, job.id).await.unwrap().unwrap()
    }

    /// The job at its end.
    pub(crate) async fn end(&self, job: &JobRecord) -> JobRecord {
        let ended = self.queue.wait(&job.tenant, job.id, LONG).await.unwrap().unwrap();
        assert!(ended.status.is_terminal(), "{ended:?}");
        ended
    }

    pub(crate) fn start(&self, handlers: Handlers, config: WorkerConfig) -> Running {
        let shutdown = CancellationToken::new();
        let worker = Worker::new(Arc::clone(&self.queue), handlers, config).unwrap();
        Running { task: tokio::spawn(worker.run(shutdown.clone())), shutdown }
    }
}

pub(crate) struct Running {
    pub(crate) shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Shuts the worker down and waits for it.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.stopped().await;
    }

    /// Waits for the worker.
    pub(crate) async fn stopped(self) {
        tokio::time::timeout(LONG, self.task).await.unwrap().unwrap();
    }
}

/// One lane for these kinds, looked at often.
pub(crate) fn lane<const N: usize>(kinds: [&str; N], concurrency: usize) -> WorkerConfig {
    lanes(vec![Lane::new("lane", kinds, concurrency)])
}

pub(crate) fn lanes(lanes: Vec<Lane>) -> WorkerConfig {
    WorkerConfig { poll: Duration::from_millis(5), ..WorkerConfig::new(lanes) }
}

pub(crate) fn assert_ended(job: &JobRecord, status: Status, attempts: u32) {
    assert_eq!((job.status, job.attempts), (status, attempts), "{job:?}");
}
