//! Who holds a job, and who no longer does.

use serde_json::json;

use super::{Bench, LEASE, PAST_EVERY_BACKOFF, permanent, transient};
use crate::{Error, Queue, Status, Token};

pub(super) async fn nobody_claims_a_leased_job(bench: Bench) {
    bench.push("a", "acme").await;
    bench.claim().await.unwrap();
    bench.clock.advance(LEASE - LEASE / 100);
    assert!(bench.claim().await.is_none());
    assert!(bench.claim_alone().await.is_none());
}

pub(super) async fn a_renewed_lease_holds(bench: Bench) {
    bench.push("a", "acme").await;
    let claim = bench.claim().await.unwrap();
    for _ in 0..5 {
        bench.clock.advance(LEASE / 2);
        assert!(!bench.queue.renew(&claim.token, LEASE).await.unwrap().cancel_asked);
        assert!(bench.claim_alone().await.is_none());
    }
    bench.queue.complete(&claim.token, json!(1).into()).await.unwrap();
}

/// Every operation that takes a token refuses this one.
async fn refuses(queue: &dyn Queue, token: &Token) {
    let lost =
        |error: Option<Error>| assert!(matches!(error, Some(Error::LeaseLost(id)) if id == token.job()));
    lost(queue.renew(token, LEASE).await.err());
    lost(queue.progress(token, 1, "").await.err());
    lost(queue.got_on(token).await.err());
    lost(queue.complete(token, json!("stale").into()).await.err());
    lost(queue.fail(token, permanent()).await.err());
    lost(queue.release(token).await.err());
    lost(queue.cancelled(token).await.err());
}

pub(super) async fn a_stale_worker_cannot_commit(bench: Bench) {
    let job = bench.push("a", "acme").await;
    let stale = bench.claim().await.unwrap();
    bench.lose_worker();
    let fresh = bench.claim_alone().await.unwrap();
    let before = bench.get(&job).await;
    refuses(&*bench.queue, &stale.token).await;
    assert_eq!(bench.get(&job).await, before);
    bench.queue.complete(&fresh.token, json!("fresh").into()).await.unwrap();
    refuses(&*bench.queue, &stale.token).await;
    assert_eq!(bench.get(&job).await.result, Some(json!("fresh").into()));
}

pub(super) async fn an_expired_lease_nobody_took_still_completes(bench: Bench) {
    let job = bench.push("a", "acme").await;
    let claim = bench.claim().await.unwrap();
    bench.clock.advance(LEASE * 3);
    bench.queue.complete(&claim.token, json!(1).into()).await.unwrap();
    assert_eq!(bench.get(&job).await.status, Status::Completed);
}

pub(super) async fn completing_twice_with_one_token_is_one_completion(bench: Bench) {
    let job = bench.push("a", "acme").await;
    let claim = bench.claim().await.unwrap();
    bench.queue.complete(&claim.token, json!("first").into()).await.unwrap();
    let before = bench.get(&job).await;
    bench.clock.advance(LEASE);
    bench.queue.complete(&claim.token, json!("second").into()).await.unwrap();
    assert_eq!(bench.get(&job).await, before);
}

pub(super) async fn a_settled_job_cannot_be_failed(bench: Bench) {
    let job = bench.push("a", "acme").await;
    let claim = bench.claim().await.unwrap();
    bench.queue.complete(&claim.token, json!(1).into()).await.unwrap();
    let refused = bench.queue.fail(&claim.token, permanent()).await;
    assert!(matches!(refused, Err(Error::LeaseLost(_))));
    assert_eq!(bench.get(&job).await.status, Status::Completed);
}

pub(super) async fn a_released_job_is_not_counted(bench: Bench) {
    let job = bench.push("a", "acme").await;
    for _ in 0..10 {
        let claim = bench.claim().await.unwrap();
        assert_eq!(claim.job.attempts, 1);
        bench.queue.release(&claim.token).await.unwrap();
        refuses(&*bench.queue, &claim.token).await;
    }
    let back = bench.get(&job).await;
    assert_eq!((back.status, back.attempts), (Status::Pending, 0));
}

pub(super) async fn a_job_that_lost_its_worker_is_only_for_a_lone_worker(bench: Bench) {
    let suspect = bench.push("a", "acme").await;
    bench.claim().await.unwrap();
    bench.lose_worker();
    let innocent = bench.push("a", "acme").await;
    assert_eq!(bench.claim().await.unwrap().job.id, innocent.id);
    assert!(bench.claim().await.is_none());
    assert!(bench.queue.lone_job_due(&["a"]).await.unwrap());
    assert!(!bench.queue.lone_job_due(&["b"]).await.unwrap());
    let again = bench.claim_alone().await.unwrap();
    assert_eq!((again.job.id, again.job.attempts), (suspect.id, 2));
    assert!(!bench.queue.lone_job_due(&["a"]).await.unwrap());
}

pub(super) async fn a_lone_job_stays_lone_when_released(bench: Bench) {
    bench.push("a", "acme").await;
    bench.claim().await.unwrap();
    bench.lose_worker();
    let alone = bench.claim_alone().await.unwrap();
    bench.queue.release(&alone.token).await.unwrap();
    assert!(bench.claim().await.is_none());
    assert_eq!(bench.claim_alone().await.unwrap().job.attempts, 2);
}

pub(super) async fn a_lone_job_that_fails_by_itself_may_join_the_others(bench: Bench) {
    bench.push("a", "acme").await;
    bench.claim().await.unwrap();
    bench.lose_worker();
    let alone = bench.claim_alone().await.unwrap();
    bench.queue.fail(&alone.token, transient()).await.unwrap();
    bench.clock.advance(PAST_EVERY_BACKOFF);
    assert_eq!(bench.claim().await.unwrap().job.attempts, 3);
}

pub(super) async fn a_job_that_got_on_is_as_good_as_new(bench: Bench) {
    let job = bench.push("a", "acme").await;
    bench.claim().await.unwrap();
    // More often than it may be started without.
    for _ in 0..2 * job.max_attempts {
        bench.lose_worker();
        let again = bench.claim_alone().await.unwrap();
        assert_eq!(again.job.attempts, 2);
        for _ in 0..2 {
            bench.queue.got_on(&again.token).await.unwrap();
        }
        assert_eq!(bench.get(&job).await.attempts, 1);
    }
    bench.lose_worker();
    let alone = bench.claim_alone().await.unwrap();
    bench.queue.got_on(&alone.token).await.unwrap();
    bench.queue.release(&alone.token).await.unwrap();
    assert_eq!(bench.claim().await.unwrap().job.attempts, 1);
    bench.lose_worker();
    let last = bench.claim_alone().await.unwrap();
    bench.queue.got_on(&last.token).await.unwrap();
    bench.queue.complete(&last.token, json!(1).into()).await.unwrap();
    assert_eq!(bench.get(&job).await.attempts, 1);
}
