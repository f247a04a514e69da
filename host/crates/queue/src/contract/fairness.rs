//! In which order jobs are served.

use std::time::Duration;

use serde_json::json;

use super::{Bench, LEASE, transient};
use crate::Company;

/// Claims until nothing is left; answers whose jobs they were.
async fn served(bench: &Bench) -> String {
    let mut tenants = String::new();
    while let Some(claim) = bench.claim().await {
        tenants.push_str(&claim.job.tenant);
    }
    tenants
}

async fn push_all(bench: &Bench, kind: &str, tenants: &str) {
    for tenant in tenants.chars() {
        bench.push(kind, &tenant.to_string()).await;
    }
}

pub(super) async fn tenants_take_turns(bench: Bench) {
    push_all(&bench, "a", "xxxxxyyz").await;
    assert_eq!(served(&bench).await, "xyzxyxxx");
}

pub(super) async fn a_tenant_with_one_job_at_a_time_gets_no_more_than_its_share(bench: Bench) {
    push_all(&bench, "a", "xxxxy").await;
    let mut tenants = String::new();
    for _ in 0..6 {
        let tenant = bench.claim().await.unwrap().job.tenant.clone();
        if tenant == "y" {
            bench.push("a", "y").await;
        }
        tenants.push_str(&tenant);
    }
    assert_eq!(tenants, "xyxyxy");
}

pub(super) async fn a_tenant_has_one_turn_for_all_kinds_of_a_worker(bench: Bench) {
    push_all(&bench, "a", "xxy").await;
    push_all(&bench, "b", "xxy").await;
    assert_eq!(served(&bench).await, "xyxyxx");
}

pub(super) async fn a_tenants_oldest_job_comes_first(bench: Bench) {
    let mut pushed = Vec::new();
    for kind in ["a", "b", "b", "a", "a"] {
        pushed.push(bench.push(kind, "acme").await.id);
        bench.clock.advance(Duration::from_millis(1));
    }
    let mut claimed = Vec::new();
    while let Some(claim) = bench.claim().await {
        claimed.push(claim.job.id);
    }
    assert_eq!(claimed, pushed);
}

pub(super) async fn jobs_in_backoff_hold_up_nobody(bench: Bench) {
    push_all(&bench, "a", "xxx").await;
    while let Some(claim) = bench.claim().await {
        bench.queue.fail(&claim.token, transient()).await.unwrap();
    }
    push_all(&bench, "b", "yx").await;
    assert_eq!(served(&bench).await, "yx");
    bench.clock.advance(LEASE);
    let back = bench.queue.claim("worker", &["a"], Company::Shared, LEASE).await.unwrap().unwrap();
    bench.queue.complete(&back.token, json!(null).into()).await.unwrap();
}

pub(super) async fn tenants_that_are_passed_over_keep_their_turn(bench: Bench) {
    push_all(&bench, "a", "xxyyzz").await;
    push_all(&bench, "b", "xz").await;
    let claim = async |most: usize, passed_over: &[&str]| {
        let passed_over: Vec<_> = passed_over.iter().map(ToString::to_string).collect();
        let queue = &bench.queue;
        let claims = queue.claim_several("worker", &["a", "b"], Company::Shared, LEASE, most, &passed_over);
        let claims = claims.await.unwrap();
        claims.iter().map(|claim| claim.job.tenant.as_str()).collect::<String>()
    };
    assert_eq!(claim(2, &["x", "nobody"]).await, "yz");
    assert_eq!(claim(9, &["x", "z"]).await, "y");
    assert_eq!(claim(9, &["z", "y", "x"]).await, "");
    assert_eq!(claim(2, &[]).await, "xz");
    assert_eq!(claim(9, &[]).await, "xzx");
}
