//! What owners and operators see and change.

use std::time::Duration;

use serde_json::json;

use super::{Bench, LEASE, permanent, transient};
use crate::{Clock, Depth, JobFilter, JobId, Status, Verdict};

pub(super) async fn a_foreign_tenant_sees_and_changes_nothing(bench: Bench) {
    let job = bench.push("a", "acme").await;
    let queue = &bench.queue;
    assert_eq!(queue.get("evil", job.id).await.unwrap(), None);
    assert_eq!(queue.cancel("evil", job.id).await.unwrap(), None);
    assert_eq!(queue.redrive("evil", job.id).await.unwrap(), None);
    assert_eq!(queue.wait("evil", job.id, Duration::ZERO).await.unwrap(), None);
    assert_eq!(queue.list("evil", JobFilter::default()).await.unwrap(), []);
    let behind = JobFilter { before: Some(job.id), ..JobFilter::default() };
    bench.push("a", "evil").await;
    assert_eq!(queue.list("evil", behind).await.unwrap(), []);
    assert_eq!(queue.get("acme", JobId::new()).await.unwrap(), None);
    assert_eq!(bench.get(&job).await, job);
}

pub(super) async fn upkeep_knows_where_every_job_stands(bench: Bench) {
    let job = bench.push("a", "acme").await;
    assert_eq!(bench.queue.status_of(JobId::new()).await.unwrap(), None);
    assert_eq!(bench.queue.status_of(job.id).await.unwrap(), Some(Status::Pending));
    bench.queue.cancel("acme", job.id).await.unwrap();
    assert_eq!(bench.queue.status_of(job.id).await.unwrap(), Some(Status::Cancelled));
}

pub(super) async fn a_pending_job_is_cancelled_at_once(bench: Bench) {
    let job = bench.push("a", "acme").await;
    let cancelled = bench.queue.cancel("acme", job.id).await.unwrap().unwrap();
    assert_eq!((cancelled.status, cancelled.finished_at), (Status::Cancelled, Some(bench.clock.now())));
    assert!(bench.claim().await.is_none());
    assert_eq!(bench.get(&job).await, cancelled);
}

pub(super) async fn a_running_job_is_told_of_its_cancellation(bench: Bench) {
    let job = bench.push("a", "acme").await;
    let claim = bench.claim().await.unwrap();
    let mut watch = bench.queue.signals().watch(job.id);
    assert!(!bench.queue.cancelled(&claim.token).await.unwrap());
    let asked = bench.queue.cancel("acme", job.id).await.unwrap().unwrap();
    assert_eq!((asked.status, asked.cancel_asked), (Status::Processing, true));
    watch.cancel_asked().await;
    assert!(bench.queue.cancelled(&claim.token).await.unwrap());
    assert!(bench.queue.renew(&claim.token, LEASE).await.unwrap().cancel_asked);
    // It got there first all the same: what is done is done.
    bench.queue.complete(&claim.token, json!(1).into()).await.unwrap();
    assert_eq!(bench.get(&job).await.status, Status::Completed);
}

pub(super) async fn a_cancelled_job_that_fails_is_cancelled(bench: Bench) {
    let (failing, released) = (bench.push("a", "acme").await, bench.push("a", "acme").await);
    let (first, second) = (bench.claim().await.unwrap(), bench.claim().await.unwrap());
    for job in [&failing, &released] {
        bench.queue.cancel("acme", job.id).await.unwrap();
    }
    assert_eq!(bench.queue.fail(&first.token, transient()).await.unwrap(), Verdict::Cancelled);
    bench.queue.release(&second.token).await.unwrap();
    for job in [&failing, &released] {
        let cancelled = bench.get(job).await;
        assert_eq!((cancelled.status, cancelled.error), (Status::Cancelled, None));
    }
}

pub(super) async fn a_cancelled_job_whose_worker_dies_is_cancelled(bench: Bench) {
    let job = bench.push("a", "acme").await;
    bench.claim().await.unwrap();
    bench.queue.cancel("acme", job.id).await.unwrap();
    bench.lose_worker();
    assert!(bench.claim_alone().await.is_none());
    assert_eq!(bench.get(&job).await.status, Status::Cancelled);
}

pub(super) async fn a_job_that_finished_stays_finished(bench: Bench) {
    let job = bench.push("a", "acme").await;
    let claim = bench.claim().await.unwrap();
    bench.queue.complete(&claim.token, json!(1).into()).await.unwrap();
    let done = bench.get(&job).await;
    assert_eq!(bench.queue.cancel("acme", job.id).await.unwrap(), Some(done));
}

pub(super) async fn jobs_are_listed_newest_first_page_by_page(bench: Bench) {
    let mut ids = Vec::new();
    for kind in ["a", "b", "a", "b", "a"] {
        ids.insert(0, bench.push(kind, "acme").await.id);
    }
    bench.push("a", "other").await;
    let list = async |filter: JobFilter| {
        let jobs = bench.queue.list("acme", filter).await.unwrap();
        jobs.into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    let first = list(JobFilter { limit: 3, ..JobFilter::default() }).await;
    let rest = list(JobFilter { before: first.last().copied(), ..JobFilter::default() }).await;
    assert_eq!([first, rest].concat(), ids);
    assert_eq!(list(JobFilter { kind: Some("b".into()), ..JobFilter::default() }).await, [ids[1], ids[3]]);
    bench.queue.cancel("acme", ids[2]).await.unwrap();
    let cancelled = JobFilter { status: Some(Status::Cancelled), ..JobFilter::default() };
    assert_eq!(list(cancelled).await, [ids[2]]);
}

pub(super) async fn depth_counts_every_status(bench: Bench) {
    for _ in 0..6 {
        bench.push("a", "acme").await;
    }
    bench.push("b", "other").await;
    let mut claims = Vec::new();
    for _ in 0..7 {
        claims.push(bench.claim().await.unwrap());
    }
    claims.retain(|claim| claim.job.kind == "a");
    bench.queue.complete(&claims[0].token, json!(1).into()).await.unwrap();
    bench.queue.fail(&claims[1].token, permanent()).await.unwrap();
    bench.queue.release(&claims[2].token).await.unwrap();
    bench.queue.cancel("acme", claims[3].job.id).await.unwrap();
    bench.queue.release(&claims[3].token).await.unwrap();
    let mut depth = bench.queue.depth().await.unwrap();
    depth.sort_by(|x, y| (&x.kind, x.status).cmp(&(&y.kind, y.status)));
    let expected = [
        ("a", Status::Pending, 1),
        ("a", Status::Processing, 2),
        ("a", Status::Completed, 1),
        ("a", Status::Failed, 1),
        ("a", Status::Cancelled, 1),
        ("b", Status::Processing, 1),
    ];
    assert_eq!(depth, expected.map(|(kind, status, jobs)| Depth { kind: kind.into(), status, jobs }));
}

pub(super) async fn purging_forgets_only_old_finished_jobs(bench: Bench) {
    let old = bench.push("a", "acme").await;
    bench.queue.cancel("acme", old.id).await.unwrap();
    let dead = bench.push("a", "acme").await;
    let claim = bench.claim().await.unwrap();
    bench.queue.fail(&claim.token, permanent()).await.unwrap();
    let waiting = bench.push("b", "acme").await;
    bench.clock.advance(Duration::from_secs(3600));
    let fresh = bench.push("a", "acme").await;
    bench.queue.cancel("acme", fresh.id).await.unwrap();

    let lifetime = Duration::from_secs(1800);
    let every = [Status::Completed, Status::Cancelled, Status::Pending, Status::Processing];
    assert_eq!(bench.queue.purge(&every, lifetime).await.unwrap(), 1);
    assert_eq!(bench.queue.get("acme", old.id).await.unwrap(), None);
    for kept in [&dead, &waiting, &fresh] {
        bench.get(kept).await;
    }
    assert_eq!(bench.queue.purge(&[Status::Failed], lifetime).await.unwrap(), 1);
    assert_eq!(bench.queue.get("acme", dead.id).await.unwrap(), None);
}
