//! How a worker leaves.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use taja_queue::{Company, Handlers, Status, WorkerConfig};
use tokio::sync::Notify;

use crate::stage::{LONG, Stage, assert_ended, lane};

/// A handler that says when it starts and ends when it is told to.
fn patient() -> (Handlers, Arc<Notify>, Arc<Notify>) {
    let (started, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (start, end) = (Arc::clone(&started), Arc::clone(&finish));
    let handlers = Handlers::new().on("patient", move |_| {
        let (start, end) = (Arc::clone(&start), Arc::clone(&end));
        async move {
            start.notify_one();
            end.notified().await;
            Ok(Value::Null)
        }
    });
    (handlers, started, finish)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_leaves_finishes_what_runs_and_takes_nothing_new() {
    let stage = Stage::new();
    let (handlers, started, finish) = patient();
    let worker = stage.start(handlers, lane(["patient"], 1));
    let (runs, waits) = (stage.push("patient").await, stage.push("patient").await);
    started.notified().await;
    worker.shutdown.cancel();
    finish.notify_one();
    worker.stopped().await;
    let (ran, waited) = (stage.get(&runs).await, stage.get(&waits).await);
    assert_ended(&ran, Status::Completed, 1);
    assert_ended(&waited, Status::Pending, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_must_leave_gives_its_jobs_back_uncounted() {
    let stage = Stage::new();
    let (handlers, started, _never) = patient();
    let config = WorkerConfig { drain: Duration::ZERO, ..lane(["patient"], 1) };
    let worker = stage.start(handlers, config);
    let job = stage.push("patient").await;
    started.notified().await;
    worker.stop().await;
    assert_ended(&stage.get(&job).await, Status::Pending, 0);
    let next = stage.queue.claim("next", &["patient"], Company::Shared, LONG).await.unwrap();
    assert_eq!(next.unwrap().job.id, job.id);
}
