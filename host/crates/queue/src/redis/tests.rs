//! The contract on a real Redis, and what only Redis promises.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU32, Ordering},
};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::json;
use taja_testkit::RedisServer;
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    Blame, Handlers, JobContext, Lane, ManualClock, OpenJob, Worker, WorkerConfig, contract::MemoryLedger,
};

/// Longer than anything here may take.
const LONG: Duration = Duration::from_secs(60);

/// Nothing here waits for a look that comes so rarely.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// A server, a ledger, and queues over them.
struct Stage {
    server: RedisServer,
    ledger: Arc<MemoryLedger>,
}

impl Stage {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(options: &[&str]) -> Self {
        Self { server: RedisServer::start_with(options).await.unwrap(), ledger: Arc::default() }
    }

    /// The queue as another process has it.
    async fn open(&self) -> Arc<RedisQueue> {
        // No wait before a retry.
        let backoff = crate::Backoff { base: Duration::ZERO, cap: Duration::ZERO };
        self.open_with(RedisOptions { backoffs: backoff.into(), ..RedisOptions::default() }).await
    }

    async fn open_with(&self, options: RedisOptions) -> Arc<RedisQueue> {
        let ledger = Arc::clone(&self.ledger) as Arc<dyn Ledger>;
        Arc::new(RedisQueue::open(&self.server.url(), ledger, options).await.unwrap())
    }

    async fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let client = Client::open(self.server.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let (name, arguments) = words.split_first().unwrap();
        redis::cmd(name).arg(arguments).query_async(&mut connection).await.unwrap()
    }

    /// The queue's keys, without their prefix.
    async fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.command(&["KEYS", "taja:{jobs}:*"]).await;
        keys.sort();
        keys.iter().map(|key| key.replace("taja:{jobs}:", "")).collect()
    }

    /// Waits until so many queues hear the news.
    async fn heard_by(&self, queues: u64) {
        until(async || {
            let (_, heard): (String, u64) = self.command(&["PUBSUB", "NUMSUB", "taja:{jobs}:news"]).await;
            heard == queues
        })
        .await;
    }

    async fn count(&self, wanted: Status) -> u64 {
        let depth = self.ledger.depth().await.unwrap();
        depth.iter().filter(|depth| depth.status == wanted).map(|depth| depth.jobs).sum()
    }
}

/// Waits for a condition.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, wait).await.unwrap();
}

fn new(payload: serde_json::Value) -> NewJob {
    NewJob::new("a", "acme", payload)
}

async fn claim(queue: &RedisQueue, company: Company, lease: Duration) -> Option<Claim> {
    queue.claim("worker", &["a"], company, lease).await.unwrap()
}

fn start(
    queue: &Arc<RedisQueue>,
    handlers: Handlers,
    config: WorkerConfig,
) -> (CancellationToken, JoinHandle<()>) {
    let shutdown = CancellationToken::new();
    let worker = Worker::new(Arc::clone(queue) as Arc<dyn Queue>, handlers, config).unwrap();
    (shutdown.clone(), tokio::spawn(worker.run(shutdown)))
}

fn lane(concurrency: usize) -> WorkerConfig {
    WorkerConfig {
        poll: Duration::from_millis(50),
        lease: Duration::from_secs(1),
        ..WorkerConfig::new(vec![Lane::new("lane", ["a"], concurrency)])
    }
}

/// A handler whose effects are kept by the job's id, as every handler's have to be; and those effects.
fn effects() -> (Handlers, Arc<Mutex<HashSet<JobId>>>) {
    let done = Arc::new(Mutex::new(HashSet::new()));
    let effects = Arc::clone(&done);
    let handlers = Handlers::new().on("a", move |job: JobContext| {
        let done = Arc::clone(&done);
        async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            done.lock().insert(job.id());
            Ok(json!(null))
        }
    });
    (handlers, effects)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_keeps_the_contract() {
    let server = RedisServer::start().await.unwrap();
    let made = AtomicU32::new(0);
    crate::contract::suite(|clock: Arc<ManualClock>| {
        let name = format!("case-{}", made.fetch_add(1, Ordering::Relaxed));
        let (url, options) = (server.url(), RedisOptions { name, clock, ..RedisOptions::default() });
        async move {
            let ledger = Arc::new(MemoryLedger::default());
            Arc::new(RedisQueue::open(&url, ledger, options).await.unwrap()) as Arc<dyn Queue>
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losing_all_data_loses_no_job() {
    const JOBS: u64 = 400;
    let stage = Stage::new().await;
    let queue = stage.open().await;
    for n in 0..JOBS / 2 {
        queue.push(new(json!(n))).await.unwrap();
    }
    let (handlers, effects) = effects();
    let (shutdown, working) = start(&queue, handlers, lane(4));
    until(async || effects.lock().len() > 20).await;
    stage.command::<()>(&["FLUSHALL"]).await;
    for n in JOBS / 2..JOBS {
        queue.push(new(json!(n))).await.unwrap();
    }
    until(async || stage.count(Status::Completed).await == JOBS).await;
    assert_eq!(effects.lock().len() as u64, JOBS);
    shutdown.cancel();
    working.await.unwrap();
    until(async || stage.keys().await == ["epoch", "turn"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_no_job() {
    const JOBS: u64 = 400;
    let mut stage = Stage::new().await;
    let queue = stage.open().await;
    for n in 0..JOBS {
        queue.push(new(json!(n))).await.unwrap();
    }
    let (handlers, effects) = effects();
    let (shutdown, working) = start(&queue, handlers, lane(4));
    until(async || effects.lock().len() > 20).await;
    stage.server.kill();
    stage.server.restart().await.unwrap();
    until(async || stage.count(Status::Completed).await == JOBS).await;
    assert_eq!(effects.lock().len() as u64, JOBS);
    // What Redis had forgotten it had settled is found and removed.
    until(async || stage.keys().await == ["epoch", "turn"]).await;
    shutdown.cancel();
    working.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_ends_during_an_outage_is_settled_after_it() {
    let mut stage = Stage::with(&["--appendfsync", "always"]).await;
    let queue = stage.open().await;
    let (started, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (start_rings, finish_waits) = (Arc::clone(&started), Arc::clone(&finish));
    let handlers = Handlers::new().on("a", move |_| {
        let (started, finish) = (Arc::clone(&start_rings), Arc::clone(&finish_waits));
        async move {
            started.notify_one();
            finish.notified().await;
            Ok(json!("done"))
        }
    });
    let (shutdown, working) = start(&queue, handlers, WorkerConfig { lease: LONG, ..lane(1) });
    let job = queue.push(new(json!(1))).await.unwrap().job;
    started.notified().await;
    stage.server.kill();
    until(async || queue.core.link.since().is_err()).await;
    finish.notify_one();
    assert_eq!(queue.get("acme", job.id).await.unwrap().unwrap().status, Status::Pending);
    stage.server.restart().await.unwrap();
    let done = queue.wait("acme", job.id, LONG).await.unwrap().unwrap();
    assert_eq!((done.status, done.attempts, done.result), (Status::Completed, 1, Some(json!("done").into())));
    shutdown.cancel();
    working.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_a_push_is_refused_and_leaves_nothing() {
    let mut stage = Stage::new().await;
    let queue = stage.open().await;
    let before = queue.push(new(json!(1))).await.unwrap().job;
    stage.server.kill();
    until(async || queue.core.link.since().is_err()).await;
    let refused = queue.push(new(json!(2))).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert!(matches!(queue.about().await, Err(Error::Unavailable(_))));
    assert_eq!(stage.count(Status::Pending).await, 1);
    assert_eq!(queue.get("acme", before.id).await.unwrap(), Some(before));
    assert_eq!(queue.list("acme", JobFilter::default()).await.unwrap().len(), 1);
    assert_eq!(queue.depth().await.unwrap()[0].jobs, 1);
    stage.server.restart().await.unwrap();
    until(async || queue.push(new(json!(3))).await.is_ok()).await;
    assert!(queue.about().await.unwrap().starts_with("redis "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_without_an_answer_is_refused_and_its_record_stays_true() {
    let stage = Stage::new().await;
    let queue = stage.open().await;
    stage.server.freeze().unwrap();
    let refused = queue.push(new(json!(1))).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    stage.server.thaw().unwrap();
    // Nobody knows whether Redis took it. It is in the ledger, so it runs; and once.
    let mut claims = Vec::new();
    until(async || {
        claims.extend(queue.claim("worker", &["a"], Company::Shared, LONG).await.ok().flatten());
        !claims.is_empty()
    })
    .await;
    assert_eq!(stage.count(Status::Pending).await, 1);
    queue.complete(&claims[0].token, json!(null).into()).await.unwrap();
    queue.reconcile().await.unwrap();
    assert_eq!(claim(&queue, Company::Shared, LONG).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_its_memory_full_redis_takes_nothing_in_and_lets_everything_out() {
    let stage = Stage::with(&["--maxmemory", "6mb", "--maxmemory-policy", "noeviction"]).await;
    let queue = stage.open().await;
    let large = || new(json!("x".repeat(20_000)));
    let mut accepted = Vec::new();
    let refusal = loop {
        match queue.push(large()).await {
            Ok(pushed) => accepted.push(pushed.job.id),
            Err(refusal) => break refusal,
        }
    };
    assert!(matches!(refusal, Error::Unavailable(_)), "{refusal:?}");
    assert_eq!(stage.count(Status::Pending).await, accepted.len() as u64);
    let first = claim(&queue, Company::Shared, LONG).await.unwrap();
    queue.renew(&first.token, LONG).await.unwrap();
    queue.fail(&first.token, JobError::transient(Blame::Host, "full", "full")).await.unwrap();
    let mut completed = HashSet::new();
    while let Some(claim) = claim(&queue, Company::Shared, LONG).await {
        queue.complete(&claim.token, json!(null).into()).await.unwrap();
        completed.insert(claim.job.id);
    }
    assert_eq!(completed, accepted.into_iter().collect());
    queue.push(large()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_worker_in_another_process_cannot_commit() {
    let stage = Stage::new().await;
    let (stalled, healthy) = (stage.open().await, stage.open().await);
    let job = stalled.push(new(json!(1))).await.unwrap().job;
    let stale = claim(&stalled, Company::Shared, Duration::from_millis(30)).await.unwrap();
    let mut fresh = None;
    until(async || {
        fresh = claim(&healthy, Company::Alone, LONG).await;
        fresh.is_some()
    })
    .await;
    let refused = stalled.complete(&stale.token, json!("stale").into()).await;
    assert!(matches!(refused, Err(Error::LeaseLost(_))), "{refused:?}");
    healthy.complete(&fresh.unwrap().token, json!("fresh").into()).await.unwrap();
    let refused = stalled.complete(&stale.token, json!("stale").into()).await;
    assert!(matches!(refused, Err(Error::LeaseLost(_))), "{refused:?}");
    assert_eq!(stalled.get("acme", job.id).await.unwrap().unwrap().result, Some(json!("fresh").into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_cross_from_process_to_process() {
    let stage = Stage::new().await;
    let (api, worker) = (stage.open().await, stage.open().await);
    stage.heard_by(2).await;
    let handlers = Handlers::new().on("a", |job: JobContext| async move {
        if job.payload() == "endless" {
            job.progress(40, "waiting");
            job.cancellation().cancelled().await;
            return Err(JobError::permanent(Blame::Client, "cancelled", "called off"));
        }
        Ok(json!("done"))
    });
    // Only the news can tell anyone anything.
    let config = WorkerConfig { poll: NEVER, lease: NEVER, ..lane(1) };
    let (shutdown, working) = start(&worker, handlers, config);
    for n in 0..3 {
        let job = new(json!(n));
        let mut watch = api.signals().watch(job.id);
        api.push(job).await.unwrap();
        let done = tokio::time::timeout(LONG, watch.finished()).await.unwrap();
        assert_eq!(done.result, Some(json!("done").into()));
    }
    let endless = new(json!("endless"));
    let mut watch = api.signals().watch(endless.id);
    api.push(endless.clone()).await.unwrap();
    tokio::time::timeout(LONG, watch.moved()).await.unwrap();
    assert_eq!(api.get("acme", endless.id).await.unwrap().unwrap().message, "waiting");
    api.cancel("acme", endless.id).await.unwrap();
    let cancelled = tokio::time::timeout(LONG, watch.finished()).await.unwrap();
    assert_eq!(cancelled.status, Status::Cancelled);
    shutdown.cancel();
    working.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_when_nothing_is_to_do() {
    let stage = Stage::new().await;
    let clock = Arc::new(ManualClock::at(Timestamp::now()));
    let queue =
        stage.open_with(RedisOptions { clock: Arc::clone(&clock) as _, ..RedisOptions::default() }).await;
    for (kind, tenant) in [("a", "x"), ("a", "y"), ("a:b", "c"), ("a", "b:c"), ("b", "x"), ("b", "x")] {
        queue.push(NewJob::new(kind, tenant, json!({}))).await.unwrap();
    }
    let called_off = queue.push(NewJob::new("b", "z", json!({}))).await.unwrap().job;
    queue.cancel("z", called_off.id).await.unwrap();
    let claim = async |company| queue.claim("worker", &["a", "b", "a:b"], company, LONG).await.unwrap();
    let (lost, failed) = (claim(Company::Shared).await.unwrap(), claim(Company::Shared).await.unwrap());
    let released = claim(Company::Shared).await.unwrap();
    queue.fail(&failed.token, JobError::transient(Blame::Host, "later", "later")).await.unwrap();
    queue.release(&released.token).await.unwrap();
    clock.advance(LONG);
    let alone = claim(Company::Alone).await.unwrap();
    assert_eq!(alone.job.id, lost.job.id);
    queue.complete(&alone.token, json!(null).into()).await.unwrap();
    clock.advance(NEVER);
    while let Some(claim) = claim(Company::Shared).await {
        queue.complete(&claim.token, json!(null).into()).await.unwrap();
    }
    assert_eq!(stage.count(Status::Completed).await, 6);
    until(async || stage.keys().await == ["epoch", "turn"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_delivered_shows_as_pending_in_its_stream() {
    let stage = Stage::new().await;
    let queue = stage.open().await;
    for n in 0..3 {
        queue.push(new(json!(n))).await.unwrap();
    }
    let held = claim(&queue, Company::Shared, LONG).await.unwrap();
    let stream = "taja:{jobs}:ready:1:a:acme";
    let pending = async || {
        let (out, _, _, _): (u64, redis::Value, redis::Value, redis::Value) =
            stage.command(&["XPENDING", stream, "workers"]).await;
        (out, stage.command::<u64>(&["XLEN", stream]).await)
    };
    assert_eq!(pending().await, (1, 3));
    queue.complete(&held.token, json!(null).into()).await.unwrap();
    assert_eq!(pending().await, (0, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_was_entered_and_never_enqueued_is_found() {
    let stage = Stage::new().await;
    let queue = stage.open().await;
    until(async || stage.keys().await == ["epoch"]).await;
    let stranded = new(json!(1));
    let an_hour_ago = Timestamp::now() - Duration::from_secs(3600);
    stage.ledger.enter(std::slice::from_ref(&stranded), an_hour_ago).await.remove(0).unwrap();
    stage.ledger.enter(&[new(json!("its push is under way"))], Timestamp::now()).await.remove(0).unwrap();
    assert_eq!(queue.reconcile().await.unwrap(), 1);
    assert_eq!(queue.reconcile().await.unwrap(), 0);
    assert_eq!(claim(&queue, Company::Shared, LONG).await.unwrap().job.id, stranded.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_deleted_is_put_back() {
    let stage = Stage::new().await;
    let clock = Arc::new(ManualClock::at(Timestamp::now()));
    let queue =
        stage.open_with(RedisOptions { clock: Arc::clone(&clock) as _, ..RedisOptions::default() }).await;
    until(async || stage.keys().await == ["epoch"]).await;
    let job = queue.push(new(json!(1))).await.unwrap().job;
    clock.advance(LONG);
    let stream = "taja:{jobs}:ready:1:a:acme";
    for (deletion, back) in [
        (vec!["DEL", stream], 1),
        (vec!["DEL", "taja:{jobs}:line:a"], 1),
        (vec!["XGROUP", "DESTROY", stream, "workers"], 0),
        (vec!["XTRIM", stream, "MAXLEN", "0"], 1),
    ] {
        stage.command::<redis::Value>(&deletion).await;
        assert_eq!(queue.reconcile().await.unwrap(), back, "{deletion:?}");
        let back = claim(&queue, Company::Shared, LONG).await.unwrap();
        assert_eq!(back.job.id, job.id, "{deletion:?}");
        assert_eq!(claim(&queue, Company::Shared, LONG).await, None);
        queue.release(&back.token).await.unwrap();
    }
    let held = claim(&queue, Company::Shared, LONG).await.unwrap();
    stage.command::<()>(&["XGROUP", "DESTROY", stream, "workers"]).await;
    let next = queue.push(new(json!(2))).await.unwrap().job;
    assert_eq!(claim(&queue, Company::Shared, LONG).await.unwrap().job.id, next.id);
    queue.complete(&held.token, json!(null).into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_was_closed_and_not_removed_does_not_start_again() {
    let stage = Stage::new().await;
    let clock = Arc::new(ManualClock::at(Timestamp::now()));
    let queue =
        stage.open_with(RedisOptions { clock: Arc::clone(&clock) as _, ..RedisOptions::default() }).await;
    let job = queue.push(new(json!(1))).await.unwrap().job;
    let held = claim(&queue, Company::Shared, LONG).await.unwrap();
    let done = JobRecord {
        status: Status::Completed,
        finished_at: Some(clock.now()),
        ..JobRecord::clone(&held.job)
    };
    stage.ledger.close(&[Ending { job: done.clone(), token: Some(7) }]).await.remove(0).unwrap();
    clock.advance(LONG);
    assert_eq!(claim(&queue, Company::Alone, LONG).await, None);
    assert_eq!(queue.get("acme", job.id).await.unwrap(), Some(done));
    until(async || stage.keys().await == ["epoch", "turn"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_worker_is_remembered_when_all_data_is_lost() {
    let stage = Stage::new().await;
    let clock = Arc::new(ManualClock::at(Timestamp::now()));
    let queue =
        stage.open_with(RedisOptions { clock: Arc::clone(&clock) as _, ..RedisOptions::default() }).await;
    let suspect = queue.push(new(json!(1))).await.unwrap().job;
    claim(&queue, Company::Shared, LONG).await.unwrap();
    clock.advance(LONG);
    assert_eq!(claim(&queue, Company::Shared, LONG).await, None);
    stage.command::<()>(&["FLUSHALL"]).await;
    let open: Vec<OpenJob> = stage.ledger.open_jobs(None, 9).await.unwrap();
    assert_eq!((open[0].lone, open[0].job.attempts), (true, 1));
    until(async || queue.lone_job_due(&["a"]).await.unwrap()).await;
    assert_eq!(claim(&queue, Company::Shared, LONG).await, None);
    let again = claim(&queue, Company::Alone, LONG).await.unwrap();
    assert_eq!((again.job.id, again.job.attempts), (suspect.id, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_and_waiting_jobs_are_listed_apart() {
    let stage = Stage::new().await;
    let queue = stage.open().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.insert(0, queue.push(new(json!(n))).await.unwrap().job.id);
    }
    queue.push(NewJob::new("a", "other", json!({}))).await.unwrap();
    for _ in 0..4 {
        claim(&queue, Company::Shared, LONG).await.unwrap();
    }
    let list = async |status, before, limit| {
        let filter = JobFilter { status: Some(status), before, limit, kind: None };
        let jobs = queue.list("acme", filter).await.unwrap();
        assert!(jobs.iter().all(|job| job.status == status));
        jobs.into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    // The other tenant's job took one of the turns.
    assert_eq!(list(Status::Processing, None, 9).await, ids[2..]);
    assert_eq!(list(Status::Processing, Some(ids[2]), 1).await, ids[3..4]);
    assert_eq!(list(Status::Pending, None, 1).await, ids[..1]);
    assert_eq!(list(Status::Pending, Some(ids[0]), 9).await, ids[1..2]);
}

#[tokio::test]
async fn a_queue_needs_a_sound_name_and_a_server() {
    let ledger = || Arc::new(MemoryLedger::default());
    for name in ["", "a}b", "a b"] {
        let options = RedisOptions { name: name.to_owned(), ..RedisOptions::default() };
        let refused = RedisQueue::open("redis://127.0.0.1:1/", ledger(), options).await;
        assert!(matches!(refused, Err(Error::Storage(_))), "{name}");
    }
    let server = RedisServer::start().await.unwrap();
    let without_tls = server.url().replace("redis://", "rediss://");
    for url in ["redis://127.0.0.1:1/", &without_tls] {
        let refused = RedisQueue::open(url, ledger(), RedisOptions::default()).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{url}");
    }
}
