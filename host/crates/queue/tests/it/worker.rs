//! What a worker does with jobs.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use serde_json::{Value, json};
use taja_queue::{
    Blame, Error, Handlers, JobContext, JobError, JsonText, Lane, NewJob, Queue, Share, Status, Worker,
    WorkerConfig,
};
use tokio::sync::{Barrier, Semaphore, mpsc};

use crate::stage::{LONG, Stage, assert_ended, lane, lanes};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_handled_and_answered() {
    let stage = Stage::new();
    let echo = |job: JobContext| async move {
        let text: String = job.parse()?;
        Ok(json!([job.tenant(), job.kind(), job.attempt(), text]))
    };
    let worker = stage.start(Handlers::new().on("echo", echo), lane(["echo"], 2));
    let good = stage.push_job(NewJob::new("echo", "acme", json!("shoe"))).await;
    assert_eq!(stage.end(&good).await.result, Some(json!(["acme", "echo", 1, "shoe"]).into()));
    let bad = stage.push_job(NewJob::new("echo", "acme", json!(7))).await;
    let bad = stage.end(&bad).await;
    assert_ended(&bad, Status::Failed, 1);
    assert_eq!(bad.error.unwrap().code, JobError::BAD_PAYLOAD);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_panics_fails_its_own_job_only() {
    let stage = Stage::new();
    let handlers = Handlers::new()
        .on("panics", |job: JobContext| async move {
            assert_ne!(job.kind(), "panics", "out of luck");
            Ok(Value::Null)
        })
        .on("works", |_| async { Ok(Value::Null) });
    let worker = stage.start(handlers, lane(["panics", "works"], 2));
    let (panics, works) = (stage.push("panics").await, stage.push("works").await);
    let dead = stage.end(&panics).await;
    assert_ended(&dead, Status::Failed, 3);
    let error = dead.error.unwrap();
    assert_eq!((error.blame, error.code.as_str()), (Blame::Host, JobError::PANIC));
    assert!(error.message.contains("out of luck"));
    assert_ended(&stage.end(&works).await, Status::Completed, 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transient_failure_is_tried_again() {
    let stage = Stage::new();
    let moody = |job: JobContext| async move {
        match job.attempt() {
            1 => Err(JobError::transient(Blame::Dependency, "timeout", "no answer")),
            _ => Ok(json!(job.is_last_attempt())),
        }
    };
    let worker = stage.start(Handlers::new().on("moody", moody), lane(["moody"], 1));
    let done = stage.end(&stage.push("moody").await).await;
    assert_ended(&done, Status::Completed, 2);
    assert_eq!(done.result, Some(json!(false).into()));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_bulk_lane_keeps_no_search_waiting() {
    let stage = Stage::new();
    let free = Arc::new(Semaphore::new(0));
    let wait = Arc::clone(&free);
    let handlers = Handlers::new().on("search", |_| async { Ok(json!("hits")) }).on("import", move |_| {
        let wait = Arc::clone(&wait);
        async move {
            wait.acquire().await.unwrap().forget();
            Ok(Value::Null)
        }
    });
    let two = vec![Lane::new("interactive", ["search"], 1), Lane::new("bulk", ["import"], 1)];
    let worker = stage.start(handlers, lanes(two));
    let imports = [stage.push("import").await, stage.push("import").await];
    for _ in 0..3 {
        assert_ended(&stage.end(&stage.push("search").await).await, Status::Completed, 1);
    }
    assert!(!stage.get(&imports[1]).await.status.is_terminal());
    free.add_permits(2);
    for import in &imports {
        assert_ended(&stage.end(import).await, Status::Completed, 1);
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_fills_its_places_and_no_more() {
    let stage = Stage::new();
    // Nobody passes before three are there; a fourth would be counted.
    let (barrier, running, most) =
        (Arc::new(Barrier::new(3)), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let seen = Arc::clone(&most);
    let crowd = move |_| {
        let (barrier, running, most) = (Arc::clone(&barrier), Arc::clone(&running), Arc::clone(&most));
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            barrier.wait().await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(Value::Null)
        }
    };
    let worker = stage.start(Handlers::new().on("crowd", crowd), lane(["crowd"], 3));
    let mut jobs = Vec::new();
    for _ in 0..9 {
        jobs.push(stage.push("crowd").await);
    }
    for job in &jobs {
        assert_ended(&stage.end(job).await, Status::Completed, 1);
    }
    assert_eq!(seen.load(Ordering::SeqCst), 3);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_whose_jobs_wait_leaves_places_to_others() {
    let stage = Stage::new();
    let free = Arc::new(Semaphore::new(0));
    let (started, mut starts) = mpsc::unbounded_channel();
    let wait = Arc::clone(&free);
    let call = move |job: JobContext| {
        let (wait, started) = (Arc::clone(&wait), started.clone());
        async move {
            if job.tenant() == "slow" {
                started.send(()).unwrap();
                wait.acquire().await.unwrap().forget();
            }
            Ok(Value::Null)
        }
    };
    let lane = Lane::new("calls", ["call"], 4).sharing(Share::AsManyAsItLeaves);
    let worker = stage.start(Handlers::new().on("call", call), lanes(vec![lane]));
    let mut slow = Vec::new();
    for _ in 0..5 {
        slow.push(stage.push_job(NewJob::new("call", "slow", json!({}))).await);
    }
    for _ in 0..2 {
        starts.recv().await.unwrap();
    }
    for tenant in ["quick", "other", "quick"] {
        let quick = stage.push_job(NewJob::new("call", tenant, json!({}))).await;
        assert_ended(&stage.end(&quick).await, Status::Completed, 1);
    }
    assert!(starts.try_recv().is_err(), "two of four are all that it may have");
    for _ in 0..3 {
        free.add_permits(1);
        starts.recv().await.unwrap();
    }
    free.add_permits(2);
    for job in &slow {
        assert_ended(&stage.end(job).await, Status::Completed, 1);
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_is_seen_while_the_job_runs_and_the_latest_wins() {
    let stage = Stage::new();
    let talk = |job: JobContext| async move {
        for percent in 0..=42 {
            job.progress(percent, format!("step {percent}"));
        }
        job.cancellation().cancelled().await;
        Err::<JsonText, _>(JobError::permanent(Blame::Client, "cancelled", "called off"))
    };
    let worker = stage.start(Handlers::new().on("talk", talk), lane(["talk"], 1));
    let job = stage.push("talk").await;
    let told = async {
        while stage.get(&job).await.message != "step 42" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, told).await.unwrap();
    assert_eq!(stage.get(&job).await.progress, 42);
    stage.queue.cancel("acme", job.id).await.unwrap();
    let cancelled = stage.end(&job).await;
    assert_ended(&cancelled, Status::Cancelled, 1);
    assert_eq!(cancelled.error, None);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_from_another_process_arrives_with_the_renewal() {
    let stage = Stage::new();
    let stubborn = |job: JobContext| async move {
        job.cancellation().cancelled().await;
        assert!(job.cancelled());
        Err::<JsonText, _>(JobError::transient(Blame::Client, "cancelled", "called off"))
    };
    let config = WorkerConfig { lease: std::time::Duration::from_millis(300), ..lane(["stubborn"], 1) };
    let worker = stage.start(Handlers::new().on("stubborn", stubborn), config);
    let job = stage.push("stubborn").await;
    stage.elsewhere().cancel("acme", job.id).await.unwrap();
    assert_eq!(stage.end(&job).await.status, Status::Cancelled);
    worker.stop().await;
}

#[tokio::test]
async fn a_lane_without_a_handler_is_refused() {
    let stage = Stage::new();
    let refused = Worker::new(Arc::clone(&stage.queue), Handlers::new(), lane(["search"], 1));
    assert!(matches!(refused, Err(Error::NoHandler { kind, .. }) if kind == "search"));
}
