//! Waiting for a job's end.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::Bench;
use crate::{JobId, Status};

/// Longer than any test may take.
const LONG: Duration = Duration::from_secs(60);

pub(super) async fn a_waiter_gets_the_finished_job(bench: Bench) {
    let job = bench.push("a", "acme").await;
    let claim = bench.claim().await.unwrap();
    let queue = Arc::clone(&bench.queue);
    let complete = async { queue.complete(&claim.token, json!("found").into()).await };
    let (waited, completed) = tokio::join!(bench.queue.wait("acme", job.id, LONG), complete);
    completed.unwrap();
    assert_eq!(waited.unwrap(), Some(bench.get(&job).await));
    let late = bench.queue.wait("acme", job.id, LONG).await.unwrap().unwrap();
    assert_eq!(late.result, Some(json!("found").into()));
}

pub(super) async fn a_waiter_is_answered_when_its_time_is_up(bench: Bench) {
    let job = bench.push("a", "acme").await;
    for timeout in [Duration::ZERO, Duration::from_millis(5)] {
        let waited = bench.queue.wait("acme", job.id, timeout).await.unwrap().unwrap();
        assert_eq!(waited.status, Status::Pending);
    }
}

pub(super) async fn a_waiter_for_nothing_is_told_so(bench: Bench) {
    assert_eq!(bench.queue.wait("acme", JobId::new(), LONG).await.unwrap(), None);
}

pub(super) async fn whoever_watches_hears_a_job_move(bench: Bench) {
    let job = bench.push("a", "acme").await;
    let claim = bench.claim().await.unwrap();
    let mut watch = bench.queue.signals().watch(job.id);
    bench.queue.progress(&claim.token, 40, "embedding").await.unwrap();
    // The ring came before anybody waited.
    tokio::time::timeout(LONG, watch.moved()).await.unwrap();
    assert_eq!(bench.get(&job).await.progress, 40);
    bench.queue.complete(&claim.token, json!(1).into()).await.unwrap();
    tokio::time::timeout(LONG, watch.moved()).await.unwrap();
    assert!(bench.get(&job).await.status.is_terminal());
}
