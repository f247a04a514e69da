//! Rankings one after the other, and as many as two threads can make.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use taja_catalog::{TenantId, policy::Pins};

use crate::{
    CALLS, COUNTED, Outcome, aim, quantiles, report,
    room::{Room, candidates},
};

/// Calls per second that two threads are to make.
const THROUGHPUT: f64 = 40_000.0;

/// One call after the other; `wanted` is what the median of 100 products is to stay under.
pub async fn one_by_one(room: &Room, wanted: Duration) -> Outcome<()> {
    let tenant: TenantId = "bench".parse()?;
    let (context, team) = (room.context(&tenant), room.sandbox.team(&tenant, &Pins::default()).await?);
    for products in [100, 1000] {
        let mut calls = Vec::with_capacity(CALLS);
        for call in 0..CALLS + CALLS / 10 {
            let candidates = candidates(products);
            let began = Instant::now();
            let (answer, stats) = team.rank_measured(&context, candidates).await;
            let took = began.elapsed();
            answer?;
            if call >= CALLS / 10 {
                calls.push((took, stats.map(|stats| stats.instantiation).unwrap_or_default()));
            }
        }
        let (median, p99) = quantiles(calls.iter().map(|call| call.0).collect());
        let (instance, _) = quantiles(calls.iter().map(|call| call.1).collect());
        let reached = match products {
            100 => aim(&format!("median under {wanted:?}"), median < wanted),
            _ => String::new(),
        };
        report(&format!(
            "  rank {products} products, {} matches: median {median:?}, p99 {p99:?}, of which instance {instance:?} {reached}",
            2 * products
        ));
    }
    Ok(())
}

/// As many calls as two threads can make, with a job's lineup each.
pub async fn on_two_threads(room: &Room) -> Outcome<()> {
    let over = Arc::new(AtomicBool::new(false));
    let tenant: TenantId = "bench".parse()?;
    let counting: Vec<_> = (0..2)
        .map(|_| {
            let (sandbox, tenant, over) = (room.sandbox.clone(), tenant.clone(), over.clone());
            let context = room.context(&tenant);
            tokio::spawn(async move {
                let mut calls = 0_u32;
                while !over.load(Relaxed) {
                    let team = sandbox.team(&tenant, &Pins::default()).await?;
                    team.rank_measured(&context, candidates(100)).await.0?;
                    calls += 1;
                }
                Outcome::Ok(calls)
            })
        })
        .collect();
    tokio::time::sleep(COUNTED).await;
    over.store(true, Relaxed);
    let mut calls = 0;
    for task in counting {
        calls += task.await??;
    }
    let rate = f64::from(calls) / COUNTED.as_secs_f64();
    let reached = aim(&format!("over {THROUGHPUT}"), rate > THROUGHPUT);
    report(&format!("  rank 100 products on 2 threads: {rate:.0} calls/s {reached}"));
    Ok(())
}
