//! From push to result.

use serde_json::json;

use super::{Bench, LEASE, PAST_EVERY_BACKOFF, transient};
use crate::{Clock, Company, Durability, Error, NewJob, Status};

pub(super) async fn a_job_goes_from_push_to_result(bench: Bench) {
    for durability in [Durability::Disk, Durability::Process] {
        let new =
            NewJob::new("a", "acme", json!({ "text": "red\u{0}shoe \u{1f45f}" })).durability(durability);
        let pushed = bench.queue.push(new.clone()).await.unwrap();
        let job = &pushed.job;
        assert!(!pushed.existing);
        assert_eq!((job.id, job.status, job.attempts, job.progress), (new.id, Status::Pending, 0, -1));
        assert_eq!((job.created_at, job.started_at, job.finished_at), (bench.clock.now(), None, None));

        bench.clock.advance(LEASE / 3);
        let claim = bench.claim().await.unwrap();
        assert_eq!(*claim.job, bench.get(job).await);
        assert_eq!((claim.job.status, claim.job.attempts), (Status::Processing, 1));
        assert_eq!((claim.job.started_at, &claim.job.payload), (Some(bench.clock.now()), &new.payload));

        bench.queue.complete(&claim.token, json!([1.5, null]).into()).await.unwrap();
        let done = bench.get(job).await;
        assert_eq!((done.status, done.progress, done.error), (Status::Completed, 100, None));
        assert_eq!(
            (done.result, done.finished_at),
            (Some(json!([1.5, null]).into()), Some(bench.clock.now()))
        );
        assert!(bench.claim().await.is_none());
    }
}

pub(super) async fn a_job_that_succeeds_later_keeps_no_error(bench: Bench) {
    let job = bench.push("a", "acme").await;
    let claim = bench.claim().await.unwrap();
    bench.queue.fail(&claim.token, transient()).await.unwrap();
    assert_eq!(bench.get(&job).await.error, Some(transient()));
    bench.clock.advance(PAST_EVERY_BACKOFF);
    let claim = bench.claim().await.unwrap();
    bench.queue.complete(&claim.token, json!(null).into()).await.unwrap();
    let done = bench.get(&job).await;
    assert_eq!((done.error, done.attempts, done.result), (None, 2, Some(json!(null).into())));
}

pub(super) async fn pushing_an_id_twice_is_pushing_it_once(bench: Bench) {
    let new = NewJob::new("a", "acme", json!(1));
    bench.queue.push(new.clone()).await.unwrap();
    let claim = bench.claim().await.unwrap();
    let again = bench.queue.push(new).await.unwrap();
    assert!(again.existing);
    assert_eq!(again.job, *claim.job);
    assert!(bench.claim().await.is_none());
}

pub(super) async fn an_id_never_belongs_to_two_requests(bench: Bench) {
    let new = NewJob::new("a", "acme", json!(1));
    bench.queue.push(new.clone()).await.unwrap();
    for other in [
        NewJob { kind: "b".into(), ..new.clone() },
        NewJob { tenant: "evil".into(), ..new.clone() },
        NewJob { payload: json!(2), ..new.clone() },
        new.clone().idempotent("key", "digest"),
    ] {
        assert!(matches!(bench.queue.push(other).await, Err(Error::Conflict { .. })));
    }
}

pub(super) async fn a_repeated_request_finds_its_job(bench: Bench) {
    let request = || NewJob::new("a", "acme", json!(1)).idempotent("key", "digest");
    let first = bench.queue.push(request()).await.unwrap();
    let claim = bench.claim().await.unwrap();
    bench.queue.complete(&claim.token, json!("done").into()).await.unwrap();
    let second = bench.queue.push(request()).await.unwrap();
    assert!(!first.existing && second.existing);
    assert_eq!((second.job.id, second.job.result), (first.job.id, Some(json!("done").into())));
}

pub(super) async fn a_key_with_another_body_is_a_conflict(bench: Bench) {
    let request = NewJob::new("a", "acme", json!(1)).idempotent("key", "digest");
    bench.queue.push(request.clone()).await.unwrap();
    let other_body = NewJob::new("a", "acme", json!(1)).idempotent("key", "other digest");
    let other_kind = NewJob::new("b", "acme", json!(1)).idempotent("key", "digest");
    for other in [other_body, other_kind] {
        let refused = bench.queue.push(other).await;
        assert!(matches!(refused, Err(Error::Conflict { key }) if key == "key"));
    }
    bench.claim().await.unwrap();
    assert!(bench.claim().await.is_none());
}

pub(super) async fn tenants_do_not_share_keys(bench: Bench) {
    for tenant in ["acme", "other"] {
        let request = NewJob::new("a", tenant, json!(tenant)).idempotent("key", tenant);
        assert!(!bench.queue.push(request).await.unwrap().existing);
    }
}

pub(super) async fn a_worker_gets_only_its_kinds(bench: Bench) {
    bench.push("c", "acme").await;
    assert!(bench.claim().await.is_none());
    let none = bench.queue.claim("worker", &[], Company::Shared, LEASE).await.unwrap();
    assert!(none.is_none());
    assert!(bench.queue.claim("worker", &["c"], Company::Shared, LEASE).await.unwrap().is_some());
}

pub(super) async fn progress_is_seen_and_clamped(bench: Bench) {
    let job = bench.push("a", "acme").await;
    let claim = bench.claim().await.unwrap();
    for (said, kept) in [(40, 40), (127, 100), (-128, -1)] {
        bench.clock.advance(LEASE / 30);
        bench.queue.progress(&claim.token, said, "embedding").await.unwrap();
        let seen = bench.get(&job).await;
        assert_eq!((seen.progress, seen.message.as_str()), (kept, "embedding"));
        assert_eq!(seen.updated_at, bench.clock.now());
    }
}
