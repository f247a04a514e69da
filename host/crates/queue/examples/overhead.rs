//! Measures what the queue adds to a job: `cargo run --release -p taja-queue --example overhead [folder]`.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement that is read on a terminal")]

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use taja_queue::{
    Company, Durability, Handlers, Lane, NewJob, Queue, SqliteOptions, SqliteQueue, Worker, WorkerConfig,
};
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() {
    let root = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(root).unwrap();
    let queue: Arc<dyn Queue> =
        Arc::new(SqliteQueue::open(&folder.path().join("jobs.db"), SqliteOptions::default()).unwrap());
    let shutdown = CancellationToken::new();
    let handlers =
        Handlers::new().on("search", |_| async { Ok(result()) }).on("import", |_| async { Ok(Value::Null) });
    let lanes = vec![Lane::new("interactive", ["search"], 8), Lane::new("bulk", ["import"], 4)];
    let worker = Worker::new(Arc::clone(&queue), handlers, WorkerConfig::new(lanes)).unwrap();
    let working = tokio::spawn(worker.run(shutdown.clone()));

    one_by_one(&queue, Durability::Process, 2000).await;
    one_by_one(&queue, Durability::Disk, 300).await;
    for clients in [8, 64] {
        together(&queue, Durability::Process, clients, 4000).await;
        together(&queue, Durability::Disk, clients, 2000).await;
    }
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
