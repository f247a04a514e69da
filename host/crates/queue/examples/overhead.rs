//! Measures what the queue adds to a job: `cargo run --release -p taja-queue --features contract --example overhead [place]`,
//! where the place is a folder, or the address of a Redis (over a ledger in memory).

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement that is read on a terminal")]

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use taja_queue::{
    Company, Durability, Handlers, Lane, NewJob, Queue, RedisOptions, RedisQueue, SqliteOptions, SqliteQueue,
    Worker, WorkerConfig, contract::MemoryLedger,
};
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() {
    let place = std::env::args().nth(1);
    let redis = place.as_deref().filter(|place| place.starts_with("redis"));
    let root = redis.xor(place.as_deref()).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(root).unwrap();
    let queue: Arc<dyn Queue> = match redis {
        Some(url) => {
            let name = format!("overhead-{}", std::process::id());
            let options = RedisOptions { name, ..RedisOptions::default() };
            Arc::new(RedisQueue::open(url, Arc::new(MemoryLedger::default()), options).await.unwrap())
        }
        None => {
            Arc::new(SqliteQueue::open(&folder.path().join("jobs.db"), SqliteOptions::default()).unwrap())
        }
    };
    let shutdown = CancellationToken::new();
    let empty = |_| async { Ok(Value::Null) };
    let handlers =
        Handlers::new().on("search", |_| async { Ok(result()) }).on("import", empty).on("empty", empty);
    let lanes = vec![
        Lane::new("interactive", ["search"], 8),
        Lane::new("bulk", ["import"], 4),
        Lane::new("empty", ["empty"], 32),
    ];
    let worker = Worker::new(Arc::clone(&queue), handlers, WorkerConfig::new(lanes)).unwrap();
    let working = tokio::spawn(worker.run(shutdown.clone()));

    one_by_one(&queue, Durability::Process, 2000).await;
    one_by_one(&queue, Durability::Disk, 300).await;
    for clients in [8, 64] {
        together(&queue, Durability::Process, clients, 4000).await;
        together(&queue, Durability::Disk, clients, 2000).await;
    }
    through(&queue, 20_000).await;
    beside_imports(&queue).await;
    shutdown.cancel();
    working.await.unwrap();
    backlog(&queue).await;
}

/// A page of search results.
fn result() -> Value {
    json!((0..50).map(|n| json!({ "id": n, "title": "a red shoe", "score": 0.5 })).collect::<Vec<_>>())
}

async fn search(queue: &Arc<dyn Queue>, durability: Durability) -> Duration {
    let began = Instant::now();
    let job = NewJob::new("search", "acme", json!({ "text": "red shoe" })).durability(durability);
    let id = queue.push(job).await.unwrap().job.id;
    let done = queue.wait("acme", id, LONG).await.unwrap().unwrap();
    assert!(done.result.is_some());
    began.elapsed()
}

async fn one_by_one(queue: &Arc<dyn Queue>, durability: Durability, jobs: usize) {
    let mut times = Vec::new();
    for _ in 0..jobs {
        times.push(search(queue, durability).await);
    }
    report(&format!("push -> claim -> complete -> wait, one by one, {durability:?}"), times);
}

async fn together(queue: &Arc<dyn Queue>, durability: Durability, clients: usize, jobs: usize) {
    let began = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|_| {
            let queue = Arc::clone(queue);
            tokio::spawn(async move {
                let mut times = Vec::new();
                for _ in 0..jobs / clients {
                    times.push(search(&queue, durability).await);
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    let rate = times.len() as f64 / began.elapsed().as_secs_f64();
    report(&format!("{clients} clients, {durability:?}, {rate:.0} jobs/s"), times);
}

/// Empty jobs, from the first push to the last end.
async fn through(queue: &Arc<dyn Queue>, jobs: usize) {
    const PUSHERS: usize = 32;
    let began = Instant::now();
    let pushers: Vec<_> = (0..PUSHERS)
        .map(|n| {
            let queue = Arc::clone(queue);
            tokio::spawn(async move {
                for _ in 0..jobs / PUSHERS {
                    queue.push(NewJob::new("empty", format!("tenant {n}"), Value::Null)).await.unwrap();
                }
            })
        })
        .collect();
    for pusher in pushers {
        pusher.await.unwrap();
    }
    let pushed = began.elapsed();
    let open =
        |depths: Vec<taja_queue::Depth>| depths.iter().any(|d| d.kind == "empty" && !d.status.is_terminal());
    while open(queue.depth().await.unwrap()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let all = began.elapsed();
    let rate = |time: Duration| jobs as f64 / time.as_secs_f64();
    println!("{jobs} empty jobs: {:.0} pushed/s, {:.0} pushed, run and completed/s", rate(pushed), rate(all));
}

async fn beside_imports(queue: &Arc<dyn Queue>) {
    let stop = CancellationToken::new();
    let importers: Vec<_> = (0..8)
        .map(|_| {
            let (queue, stop) = (Arc::clone(queue), stop.clone());
            tokio::spawn(async move {
                while !stop.is_cancelled() {
                    queue.push(NewJob::new("import", "bulk", json!({}))).await.unwrap();
                }
            })
        })
        .collect();
    let mut times = Vec::new();
    for _ in 0..1000 {
        times.push(search(queue, Durability::Process).await);
    }
    stop.cancel();
    for importer in importers {
        importer.await.unwrap();
    }
    report("searches one by one beside 8 durable importers, Process", times);
}

async fn backlog(queue: &Arc<dyn Queue>) {
    let began = Instant::now();
    for thousand in 0..100 {
        let pushes = (0..1000).map(|n| {
            let tenant = format!("tenant {}", (thousand * 1000 + n) % 997);
            let job = NewJob::new("backlog", tenant, json!({ "n": n })).durability(Durability::Process);
            let queue = Arc::clone(queue);
            tokio::spawn(async move { queue.push(job).await.unwrap() })
        });
        for push in pushes.collect::<Vec<_>>() {
            push.await.unwrap();
        }
    }
    println!("100,000 pushes, 997 tenants: {:.1} s", began.elapsed().as_secs_f64());
    let mut times = Vec::new();
    for _ in 0..2000 {
        let began = Instant::now();
        queue.claim("bench", &["backlog", "other"], Company::Shared, LONG).await.unwrap().unwrap();
        times.push(began.elapsed());
    }
    report("claim out of a backlog of 100,000", times);
    let began = Instant::now();
    queue.depth().await.unwrap();
    println!("depth over 100,000: {:.1} ms", began.elapsed().as_secs_f64() * 1e3);
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "{what}: p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
        at(50),
        at(95),
        at(99),
        at(100)
    );
}
