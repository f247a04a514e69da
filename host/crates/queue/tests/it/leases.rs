//! How a worker keeps its leases, loses them, and treats jobs whose worker was lost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::{Value, json};
use taja_queue::{Blame, Company, Handlers, JobContext, JobError, Lane, NewJob, Status, WorkerConfig};
use tokio::sync::{Barrier, Notify, mpsc, oneshot};

use crate::stage::{LONG, Stage, assert_ended, lane, lanes};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_longer_than_its_lease_is_not_started_again() {
    let stage = Stage::new();
    let (starts, mut started) = mpsc::unbounded_channel();
    let finish = Arc::new(Notify::new());
    let end = Arc::clone(&finish);
    let slow = move |_| {
        let (starts, end) = (starts.clone(), Arc::clone(&end));
        async move {
            starts.send(()).unwrap();
            end.notified().await;
            Ok(Value::Null)
        }
    };
    let lease = Duration::from_millis(200);
    let worker = stage.start(Handlers::new().on("slow", slow), WorkerConfig { lease, ..lane(["slow"], 2) });
    let job = stage.push("slow").await;
    started.recv().await.unwrap();
    // Anyone may take it who finds its lease run out; the same worker looks every few milliseconds.
    assert!(tokio::time::timeout(lease * 4, started.recv()).await.is_err());
    finish.notify_one();
    assert_ended(&stage.end(&job).await, Status::Completed, 1);
    worker.stop().await;
}

/// Sends when it is dropped.
struct Dropped(Option<oneshot::Sender<()>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            let _ = sender.send(());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_whose_lease_is_lost_is_dropped_and_commits_nothing() {
    let (stage, clock) = Stage::frozen();
    let (dropped, was_dropped) = oneshot::channel();
    let guard = Arc::new(Mutex::new(Some(Dropped(Some(dropped)))));
    let started = Arc::new(Notify::new());
    let start = Arc::clone(&started);
    let endless = move |_| {
        let (guard, start) = (guard.lock().take(), Arc::clone(&start));
        async move {
            start.notify_one();
            std::future::pending::<()>().await;
            drop(guard);
            Ok(json!("stale"))
        }
    };
    let lease = Duration::from_millis(60);
    let config = WorkerConfig { lease, poll: LONG, ..lane(["endless"], 1) };
    let worker = stage.start(Handlers::new().on("endless", endless), config);
    let job = stage.push("endless").await;
    started.notified().await;
    let thief = loop {
        clock.advance(lease);
        let stolen = stage.queue.claim("thief", &["endless"], Company::Alone, LONG).await.unwrap();
        if let Some(stolen) = stolen {
            break stolen;
        }
    };
    tokio::time::timeout(LONG, was_dropped).await.unwrap().unwrap();
    assert_ended(&stage.get(&job).await, Status::Processing, 2);
    stage.queue.complete(&thief.token, json!("thief").into()).await.unwrap();
    assert_eq!(stage.get(&job).await.result, Some(json!("thief").into()));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_lost_its_worker_runs_with_every_lane_empty() {
    let (stage, clock) = Stage::frozen();
    let suspect = stage.push("suspect").await;
    stage.queue.claim("dead", &["suspect"], Company::Shared, LONG).await.unwrap().unwrap();
    clock.advance(LONG);

    let running = Arc::new(AtomicU32::new(0));
    let (counted, company) = (Arc::clone(&running), Arc::clone(&running));
    let queue = Arc::clone(&stage.queue);
    let handlers = Handlers::new()
        .on("search", move |_| {
            let running = Arc::clone(&counted);
            async move {
                running.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(Value::Null)
            }
        })
        .on("suspect", move |job: JobContext| {
            let (running, queue) = (Arc::clone(&company), Arc::clone(&queue));
            async move {
                // New work arrives meanwhile, and waits.
                let new = NewJob::new("search", job.tenant(), Value::Null);
                let pushed = queue.push(new).await.unwrap().job;
                let waited = queue.wait("acme", pushed.id, Duration::from_millis(50)).await.unwrap().unwrap();
                Ok(json!([running.load(Ordering::SeqCst), waited.status]))
            }
        });
    for _ in 0..20 {
        stage.push("search").await;
    }
    let two = vec![Lane::new("interactive", ["search"], 4), Lane::new("bulk", ["suspect"], 2)];
    let worker = stage.start(handlers, lanes(two));
    let done = stage.end(&suspect).await;
    assert_ended(&done, Status::Completed, 2);
    assert_eq!(done.result, Some(json!([0, "pending"]).into()));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_run_beside_a_job_that_got_on_and_what_is_lost_then_counts_anew() {
    let (stage, clock) = Stage::frozen();
    let suspects = [stage.push("suspect").await, stage.push("suspect").await];
    for _ in &suspects {
        stage.queue.claim("dead", &["suspect"], Company::Shared, LONG).await.unwrap().unwrap();
    }
    clock.advance(LONG);

    // Each ends only when the other has begun, and something else has ended.
    let (begun, starts) = (Arc::new(Barrier::new(2)), Arc::new(AtomicU32::new(0)));
    let queue = Arc::clone(&stage.queue);
    let handlers =
        Handlers::new().on("search", |_| async { Ok(Value::Null) }).on("suspect", move |job: JobContext| {
            let (begun, starts, queue) = (Arc::clone(&begun), Arc::clone(&starts), Arc::clone(&queue));
            async move {
                job.got_on();
                begun.wait().await;
                let pushed = queue.push(NewJob::new("search", job.tenant(), Value::Null)).await.unwrap().job;
                let searched = queue.wait("acme", pushed.id, LONG).await.unwrap().unwrap();
                if starts.fetch_add(1, Ordering::SeqCst) < 2 {
                    return Err(JobError::transient(Blame::Dependency, "timeout", "no answer"));
                }
                Ok(json!(searched.status))
            }
        });
    let two = vec![Lane::new("interactive", ["search"], 4), Lane::new("bulk", ["suspect"], 2)];
    let worker = stage.start(handlers, lanes(two));
    for suspect in suspects {
        let done = stage.end(&suspect).await;
        // It was started three times, of which the first, which was lost, is not held against it any more.
        assert!(done.status == Status::Completed && done.attempts < 3, "{done:?}");
        assert_eq!(done.result, Some(json!("completed").into()));
    }
    worker.stop().await;
}
