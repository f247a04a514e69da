//! Our queues. The worker is this program once more, in a process of its own.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use taja_mongo::{Mongo, MongoLedger, MongoOptions};
use taja_queue::{
    Durability, Handlers, JobContext, Lane, Ledger, NewJob, Queue, RedisOptions, RedisQueue, SqliteOptions,
    SqliteQueue, Status, Worker, WorkerConfig, contract::MemoryLedger,
};
use tokio_util::sync::CancellationToken;

use crate::{CONCURRENCY, ROUNDS, Row, cores::Cores};

const JOBS: usize = 20_000;
const PICKUPS: usize = 200;
/// Between two jobs, so that the worker is idle when one arrives.
const PAUSE: Duration = Duration::from_millis(20);
/// Pushes on their way at once while the queue is filled.
const PUSHES: usize = 256;
const WITHIN: Duration = Duration::from_secs(30);
/// Names the part that a process of this program plays.
const PART: &str = "TAJA_QUEUE_BENCH_PART";
const KIND: &str = "bench";
const TENANT: &str = "acme";

/// What the jobs go through.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Backend {
    /// Redis over records in MongoDB.
    Mongo { redis: String, mongo: String },
    /// Redis over records in the worker's memory: the channel by itself.
    Memory { redis: String },
    /// A file.
    Sqlite(Durability),
}

/// What a worker's process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Task {
    /// Fills the queue, works it off, prints the jobs per second; so for each round.
    Drain,
    /// Works until it is killed.
    Work,
    /// Pushes into an idle queue and prints how long each job waited, ns.
    Pickup,
}

/// The part of a worker's process.
#[derive(Debug, Serialize, Deserialize)]
pub struct Part {
    backend: Backend,
    task: Task,
}

impl Part {
    /// None for the process that was started by hand.
    pub fn of_this_process() -> Option<Self> {
        serde_json::from_str(&std::env::var(PART).ok()?).ok()
    }
}

/// One of our queues.
pub struct Taja {
    name: &'static str,
    backend: Backend,
}

impl Taja {
    pub fn all(redis: &str, mongo: &str) -> Vec<Self> {
        let redis = || redis.to_owned();
        let with = |name, backend| Self { name, backend };
        vec![
            with("Taja, Redis and MongoDB", Backend::Mongo { redis: redis(), mongo: mongo.to_owned() }),
            with("Taja, Redis and records in memory", Backend::Memory { redis: redis() }),
            with("Taja, SQLite, survives a power cut", Backend::Sqlite(Durability::Disk)),
            with("Taja, SQLite, survives the process", Backend::Sqlite(Durability::Process)),
        ]
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub async fn run(&self, cores: &Cores) -> Result<Row> {
        let rates = read(self.start(Task::Drain, cores)?)?;
        let pickups = match &self.backend {
            // Pushed by another process, as between an API and a worker.
            Backend::Mongo { .. } => {
                let mut worker = self.start(Task::Work, cores)?;
                let waited = pickups(&*open(&self.backend, None).await?, Durability::Disk).await;
                worker.kill()?;
                worker.wait()?;
                waited?
            }
            _ => read(self.start(Task::Pickup, cores)?)?,
        };
        let pickups = pickups.into_iter().map(Duration::from_nanos).collect();
        Ok(Row { name: self.name.to_owned(), rates, pickups })
    }

    fn start(&self, task: Task, cores: &Cores) -> Result<Child> {
        let part = serde_json::to_string(&Part { backend: self.backend.clone(), task })?;
        let mut command = Command::new(std::env::current_exe()?);
        command.env(PART, part).stdin(Stdio::null()).stdout(Stdio::piped());
        cores.start_worker(|| command.spawn())
    }
}

/// What a worker's process prints: one number on each line.
fn read<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    mut worker: Child,
) -> Result<Vec<T>> {
    let lines = BufReader::new(worker.stdout.take().context("it prints")?).lines();
    let numbers = lines.map(|line| Ok(line?.parse()?)).collect();
    ensure!(worker.wait()?.success(), "the worker failed");
    numbers
}

/// Plays the part of a worker's process.
pub fn play(part: &Part) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let folder = tempfile::tempdir()?;
        let queue = open(&part.backend, Some(folder.path())).await?;
        match part.task {
            Task::Drain => {
                for _ in 0..ROUNDS {
                    println!("{}", drain(&queue, part.backend.durability()).await?);
                }
            }
            Task::Work => {
                let handlers = Handlers::new().on(KIND, |job: JobContext| async move { Ok(waited(&job)) });
                worker(&queue, handlers)?.run(CancellationToken::new()).await;
            }
            Task::Pickup => {
                let handlers = Handlers::new().on(KIND, |job: JobContext| async move { Ok(waited(&job)) });
                let stop = CancellationToken::new();
                let working = tokio::spawn(worker(&queue, handlers)?.run(stop.clone()));
                for waited in pickups(&*queue, part.backend.durability()).await? {
                    println!("{waited}");
                }
                stop.cancel();
                working.await?;
            }
        }
        Ok(())
    })
}

impl Backend {
    fn durability(&self) -> Durability {
        match self {
            Self::Sqlite(durability) => *durability,
            _ => Durability::Disk,
        }
    }
}

async fn open(backend: &Backend, folder: Option<&std::path::Path>) -> Result<Arc<dyn Queue>> {
    let (redis, ledger): (_, Arc<dyn Ledger>) = match backend {
        Backend::Mongo { redis, mongo } => {
            let mongo = Mongo::connect(&MongoOptions::new(mongo, "bench")).await?;
            (redis, Arc::new(MongoLedger::open(&mongo).await?))
        }
        Backend::Memory { redis } => (redis, Arc::new(MemoryLedger::default())),
        Backend::Sqlite(_) => {
            let folder = folder.context("only the worker has a file")?;
            return Ok(Arc::new(SqliteQueue::open(&folder.join("jobs.db"), SqliteOptions::default())?));
        }
    };
    let name = if matches!(backend, Backend::Mongo { .. }) { "mongo" } else { "memory" };
    let options = RedisOptions { name: name.to_owned(), ..RedisOptions::default() };
    Ok(Arc::new(RedisQueue::open(redis, ledger, options).await?))
}

fn worker(queue: &Arc<dyn Queue>, handlers: Handlers) -> Result<Worker> {
    let config = WorkerConfig::new(vec![Lane::new("bench", [KIND], CONCURRENCY)]);
    Ok(Worker::new(Arc::clone(queue), handlers, config)?)
}

/// About 300 bytes.
fn job() -> NewJob {
    NewJob::new(KIND, TENANT, json!({ "tenant": TENANT, "sent_ns": now_ns(), "text": "x".repeat(220) }))
}

/// Nanoseconds of the machine's monotonic clock, the same in every process.
fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or_default() * 1_000_000_000
        + u64::try_from(now.tv_nsec).unwrap_or_default()
}

fn waited(job: &JobContext) -> Value {
    let sent = job.payload()["sent_ns"].as_u64().unwrap_or_default();
    json!({ "waited_ns": now_ns() - sent })
}

/// Fills the queue and works it off; answers the jobs per second.
async fn drain(queue: &Arc<dyn Queue>, durability: Durability) -> Result<f64> {
    let pushes = stream::iter(0..JOBS).map(|_| queue.push(job().durability(durability)));
    pushes.buffer_unordered(PUSHES).try_for_each(|_| async { Ok(()) }).await?;
    let stop = CancellationToken::new();
    let (started, first) = (Arc::new(AtomicUsize::new(0)), Arc::new(std::sync::OnceLock::new()));
    let handlers = {
        let (started, first, stop) = (Arc::clone(&started), Arc::clone(&first), stop.clone());
        Handlers::new().on(KIND, move |job: JobContext| {
            first.get_or_init(Instant::now);
            if started.fetch_add(1, Ordering::Relaxed) + 1 == JOBS {
                stop.cancel();
            }
            async move { Ok(waited(&job)) }
        })
    };
    // It ends when the last job is settled.
    tokio::time::timeout(4 * WITHIN, worker(queue, handlers)?.run(stop)).await?;
    let seconds = first.get().context("no job ran")?.elapsed().as_secs_f64();
    let open =
        queue.depth().await?.into_iter().any(|depth| depth.kind == KIND && !depth.status.is_terminal());
    ensure!(!open, "jobs are left");
    Ok(JOBS as f64 / seconds)
}

/// Pushes jobs one by one; answers how long each waited for the idle worker, ns.
async fn pickups(queue: &dyn Queue, durability: Durability) -> Result<Vec<u64>> {
    let mut times = Vec::with_capacity(PICKUPS);
    for _ in 0..PICKUPS {
        let id = queue.push(job().durability(durability)).await?.job.id;
        let done = queue.wait(TENANT, id, WITHIN).await?.context("the job is gone")?;
        if done.status != Status::Completed {
            bail!("a job is {}", done.status);
        }
        times.push(
            done.result
                .and_then(|result| result.read::<Value>().ok()?["waited_ns"].as_u64())
                .context("no time")?,
        );
        tokio::time::sleep(PAUSE).await;
    }
    Ok(times)
}
