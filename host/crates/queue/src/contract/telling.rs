//! Telling how jobs ended.

use std::time::Duration;

use serde_json::json;

use super::{Bench, LEASE, permanent};
use crate::{JobId, JobRecord, NewJob, Status};

/// Far more than any case makes.
const ALL: u32 = 100;

impl Bench {
    async fn push_to_tell(&self, tenant: &str) -> JobRecord {
        self.queue.push(NewJob::new("a", tenant, json!(1)).tell()).await.unwrap().job
    }

    async fn untold(&self) -> Vec<JobId> {
        let mut untold: Vec<_> =
            self.queue.untold(ALL).await.unwrap().into_iter().map(|job| job.id).collect();
        untold.sort();
        untold
    }
}

pub(super) async fn every_end_that_has_to_be_told_is_untold_until_it_is(bench: Bench) {
    let silent = bench.push("a", "acme").await;
    let claim = bench.claim().await.unwrap();
    bench.queue.complete(&claim.token, json!(1).into()).await.unwrap();
    assert_eq!(claim.job.id, silent.id);

    let called_off = bench.push_to_tell("acme").await;
    assert!(bench.untold().await.is_empty(), "it has not ended");
    bench.queue.cancel("acme", called_off.id).await.unwrap();
    let done = bench.push_to_tell("other").await;
    let claim = bench.claim().await.unwrap();
    bench.queue.complete(&claim.token, json!({ "n": 2 }).into()).await.unwrap();
    let dead = bench.push_to_tell("acme").await;
    let claim = bench.claim().await.unwrap();
    bench.queue.fail(&claim.token, permanent()).await.unwrap();
    let new = NewJob::new("a", "acme", json!(1)).max_attempts(1).tell();
    let lost = bench.queue.push(new).await.unwrap().job;
    bench.claim().await.unwrap();
    bench.lose_worker();
    assert!(bench.claim_alone().await.is_none());

    assert_eq!(bench.untold().await, [called_off.id, done.id, dead.id, lost.id]);
    tokio::time::timeout(LEASE, bench.queue.signals().untold()).await.expect("it rang");
    assert_eq!(bench.queue.untold(2).await.unwrap().len(), 2);
    for job in bench.queue.untold(ALL).await.unwrap() {
        assert_eq!(job, bench.get(&job).await);
        bench.queue.told(&job).await.unwrap();
        bench.queue.told(&job).await.unwrap();
    }
    assert!(bench.untold().await.is_empty());
}

pub(super) async fn a_redriven_job_has_another_end_to_tell(bench: Bench) {
    let job = bench.push_to_tell("acme").await;
    let claim = bench.claim().await.unwrap();
    bench.queue.fail(&claim.token, permanent()).await.unwrap();
    let first_end = bench.get(&job).await;
    bench.queue.told(&first_end).await.unwrap();

    bench.queue.redrive("acme", job.id).await.unwrap();
    assert!(bench.untold().await.is_empty());
    bench.clock.advance(LEASE / 10);
    let claim = bench.claim().await.unwrap();
    bench.queue.complete(&claim.token, json!(1).into()).await.unwrap();
    bench.queue.told(&first_end).await.unwrap();
    assert_eq!(bench.untold().await, [job.id], "who tells the end before says nothing of this one");
}

pub(super) async fn what_is_untold_is_not_forgotten(bench: Bench) {
    let job = bench.push_to_tell("acme").await;
    bench.queue.cancel("acme", job.id).await.unwrap();
    bench.clock.advance(Duration::from_secs(3600));
    assert_eq!(bench.queue.purge(&[Status::Cancelled], Duration::from_secs(1)).await.unwrap(), 0);
    bench.queue.told(&bench.get(&job).await).await.unwrap();
    assert_eq!(bench.queue.purge(&[Status::Cancelled], Duration::from_secs(1)).await.unwrap(), 1);
}
