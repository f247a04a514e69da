//! Retries, the last attempt, and what comes after it.

use std::time::Duration;

use serde_json::json;

use super::{Bench, LEASE, PAST_EVERY_BACKOFF, permanent, transient};
use crate::{Backoff, Blame, Clock, Error, JobError, JobRecord, NewJob, Status, Verdict};

pub(super) async fn a_retry_waits_for_its_backoff(bench: Bench) {
    let job = bench.push("a", "acme").await;
    let claim = bench.claim().await.unwrap();
    let verdict = bench.queue.fail(&claim.token, transient()).await.unwrap();
    let delay = Backoff::default().delay(job.id, 1);
    let Verdict::Retry(at) = verdict else { panic!("not a retry: {verdict:?}") };
    let exact = bench.clock.now() + delay;
    assert!(at.duration_since(exact).unsigned_abs() <= Duration::from_micros(1));

    bench.clock.advance(delay.saturating_sub(Duration::from_millis(1)));
    assert!(delay < Duration::from_millis(2) || bench.claim().await.is_none());
    bench.clock.advance(Duration::from_millis(2));
    assert_eq!(bench.claim().await.unwrap().job.attempts, 2);
}

pub(super) async fn a_job_has_a_last_attempt(bench: Bench) {
    let new = NewJob::new("a", "acme", json!(1)).max_attempts(2);
    let job = bench.queue.push(new).await.unwrap().job;
    let first = bench.claim().await.unwrap();
    assert!(matches!(bench.queue.fail(&first.token, transient()).await, Ok(Verdict::Retry(_))));
    bench.clock.advance(PAST_EVERY_BACKOFF);
    let last = bench.claim().await.unwrap();
    assert_eq!(bench.queue.fail(&last.token, transient()).await.unwrap(), Verdict::Buried);
    bench.clock.advance(PAST_EVERY_BACKOFF);
    assert!(bench.claim().await.is_none());
    let dead = bench.get(&job).await;
    assert_eq!((dead.status, dead.error, dead.attempts), (Status::Failed, Some(transient()), 2));
}

pub(super) async fn a_permanent_failure_is_not_tried_again(bench: Bench) {
    let job = bury(&bench, "acme").await;
    bench.clock.advance(PAST_EVERY_BACKOFF);
    assert!(bench.claim().await.is_none());
    let dead = bench.get(&job).await;
    assert_eq!((dead.status, dead.error, dead.result), (Status::Failed, Some(permanent()), None));
    assert!(dead.finished_at.is_some());
}

/// Pushes a job and lets its workers die until nothing is left of it.
async fn kill_every_worker(bench: &Bench) -> JobRecord {
    let job = bench.push("a", "acme").await;
    assert_eq!(bench.claim().await.unwrap().job.id, job.id);
    for start in 2..=job.max_attempts {
        bench.lose_worker();
        assert_eq!(bench.claim_alone().await.unwrap().job.attempts, start);
    }
    bench.lose_worker();
    assert!(bench.claim_alone().await.is_none());
    bench.get(&job).await
}

pub(super) async fn a_job_that_kills_its_workers_is_buried(bench: Bench) {
    let dead = kill_every_worker(&bench).await;
    let error = dead.error.unwrap();
    assert_eq!((dead.status, dead.attempts), (Status::Failed, 3));
    assert_eq!((error.blame, error.code.as_str()), (Blame::Host, JobError::WORKER_LOST));
    assert!(bench.claim().await.is_none());
}

pub(super) async fn a_redriven_job_starts_afresh(bench: Bench) {
    let job = bury(&bench, "acme").await;
    let back = bench.queue.redrive("acme", job.id).await.unwrap().unwrap();
    assert_eq!((back.status, back.attempts, back.finished_at), (Status::Pending, 0, None));
    let claim = bench.claim().await.unwrap();
    assert_eq!((claim.job.id, claim.job.attempts), (job.id, 1));
    bench.queue.complete(&claim.token, json!(1).into()).await.unwrap();
    assert!(bench.queue.dead(None, 10).await.unwrap().is_empty());
}

pub(super) async fn a_redriven_killer_stays_alone(bench: Bench) {
    let dead = kill_every_worker(&bench).await;
    bench.queue.redrive("acme", dead.id).await.unwrap().unwrap();
    assert!(bench.claim().await.is_none());
    assert_eq!(bench.claim_alone().await.unwrap().job.attempts, 1);
}

pub(super) async fn only_the_dead_are_redriven(bench: Bench) {
    let job = bench.push("a", "acme").await;
    let refused = bench.queue.redrive("acme", job.id).await;
    assert!(matches!(refused, Err(Error::NotDead { status: Status::Pending, .. })));
}

pub(super) async fn the_grave_is_listed_latest_first(bench: Bench) {
    let (first, second) = (bury(&bench, "acme").await, bury(&bench, "other").await);
    let third = bury(&bench, "acme").await;
    let ids = |jobs: Vec<JobRecord>| jobs.into_iter().map(|job| job.id).collect::<Vec<_>>();
    assert_eq!(ids(bench.queue.dead(None, 10).await.unwrap()), [third.id, second.id, first.id]);
    assert_eq!(ids(bench.queue.dead(Some("acme"), 10).await.unwrap()), [third.id, first.id]);
    assert_eq!(ids(bench.queue.dead(Some("acme"), 1).await.unwrap()), [third.id]);
}

async fn bury(bench: &Bench, tenant: &str) -> JobRecord {
    let job = bench.push("a", tenant).await;
    let claim = bench.claim().await.unwrap();
    bench.clock.advance(LEASE / 10);
    assert_eq!(bench.queue.fail(&claim.token, permanent()).await.unwrap(), Verdict::Buried);
    job
}
