//! The scene of a fault at the queue: a Redis and a database of its own, jobs, and workers to be struck.

use std::{
    process::Stdio,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use taja_queue::{Error, JobId, NewJob, Queue, RedisQueue};
use taja_testkit::RedisServer;
use tokio::process::Command;

use crate::{
    World,
    effects::{Effects, Endings},
    part::{self, PLAIN, Plain},
    process::Process,
    report::Row,
};

pub const TENANT: &str = "shop";
/// Pushes on their way at once.
const PUSHES: usize = 64;
/// Between two looks.
pub const LOOK: Duration = Duration::from_millis(50);
/// Between two tries of a push.
const AGAIN: Duration = Duration::from_millis(100);

pub struct Scene {
    pub redis: RedisServer,
    pub queue: RedisQueue,
    pub effects: Effects,
    endings: Endings,
    mongo: String,
    database: String,
    pub lease: Duration,
    /// Jobs at once in each worker.
    pub places: usize,
    workers: AtomicU32,
}

impl Scene {
    pub async fn open(world: &World, database: &str) -> Result<Self> {
        Self::open_with(world, database, &[]).await
    }

    /// With options for Redis.
    pub async fn open_with(world: &World, database: &str, options: &[&str]) -> Result<Self> {
        let redis = RedisServer::start_with(options).await?;
        let mongo = world.mongo.uri();
        let effects = Effects::open(&mongo, database).await?;
        effects.prepare().await?;
        let queue = part::open(&redis.url(), &mongo, database).await?;
        let endings = effects.endings().await?;
        let lease = Duration::from_secs(world.size(3, 1));
        let (database, workers) = (database.to_owned(), AtomicU32::new(0));
        Ok(Self { redis, queue, effects, endings, mongo, database, lease, places: 8, workers })
    }

    /// Starts a worker; its name is among those that the effects mention.
    pub fn worker(&self) -> Result<(String, Process)> {
        let name = format!("worker-{}", self.workers.fetch_add(1, Ordering::Relaxed) + 1);
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["worker", "--redis", &self.redis.url(), "--mongo", &self.mongo]);
        command.args(["--database", &self.database, "--name", &name]);
        command.args(["--places", &self.places.to_string()]);
        command.args(["--lease-ms", &self.lease.as_millis().to_string()]);
        command.stdin(Stdio::null());
        Ok((name, Process::start(command)?))
    }

    /// Pushes jobs that take so long, each until it is acknowledged.
    pub async fn push(&self, jobs: usize, takes: Duration) -> Result<Vec<JobId>> {
        self.push_all(jobs, || plain(takes, 0)).await
    }

    /// Pushes so many jobs.
    pub async fn push_all(&self, jobs: usize, job: impl Fn() -> NewJob) -> Result<Vec<JobId>> {
        let pushes = stream::iter(0..jobs).map(|_| self.push_surely(job()));
        pushes.buffer_unordered(PUSHES).try_collect().await
    }

    /// Pushes a job until that is acknowledged.
    pub async fn push_surely(&self, job: NewJob) -> Result<JobId> {
        loop {
            match self.queue.push(job.clone()).await {
                Ok(pushed) => return Ok(pushed.job.id),
                Err(Error::Unavailable(_)) => tokio::time::sleep(AGAIN).await,
                Err(error) => return Err(error).context("push"),
            }
        }
    }

    /// Waits until no job is open; answers how long that took.
    pub async fn drained(&self, within: Duration) -> Result<Duration> {
        let (began, mut told) = (Instant::now(), Instant::now());
        loop {
            let open = self.effects.open_jobs().await?;
            if open == 0 {
                return Ok(began.elapsed());
            }
            if began.elapsed() > within {
                let (ready, held) = self.redis_depth().await;
                bail!("{open} jobs are open after {} s ({ready}; {held})", within.as_secs());
            }
            if told.elapsed() > Duration::from_secs(2) {
                told = Instant::now();
                eprintln!("  {open} jobs to go");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn redis_depth(&self) -> (String, String) {
        let depth = self.queue.depth().await;
        let held = self.queue.list(TENANT, taja_queue::JobFilter { limit: 3, ..Default::default() }).await;
        (format!("{depth:?}"), format!("{held:?}"))
    }

    pub async fn count(&self, jobs: &[JobId]) -> Result<Row> {
        self.effects.count(&self.endings, jobs, &[]).await
    }

    /// The same, where some have to fail.
    pub async fn count_doomed(&self, jobs: &[JobId], doomed: &[JobId]) -> Result<Row> {
        self.effects.count(&self.endings, jobs, doomed).await
    }

    /// Runs a command on Redis.
    pub async fn command(&self, words: &[&str]) -> Result<()> {
        let mut connection =
            redis::Client::open(self.redis.url())?.get_multiplexed_async_connection().await?;
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        Ok(command.query_async(&mut connection).await?)
    }
}

/// A job that takes so long and carries so many bytes.
pub fn plain(takes: Duration, bytes: usize) -> NewJob {
    let takes_ms = u64::try_from(takes.as_millis()).unwrap_or(u64::MAX);
    let payload = json!(Plain { takes_ms, padding: "x".repeat(bytes) });
    of_kind(PLAIN, payload)
}

pub fn of_kind(kind: &str, payload: Value) -> NewJob {
    NewJob::new(kind, TENANT, payload).max_attempts(10)
}
