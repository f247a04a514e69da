//! A thousand shops, each with a version of its own.

use std::time::Instant;

use taja_catalog::{TenantId, policy::Pins};

use crate::{
    CALLS, Outcome, quantiles, report,
    room::{Room, candidates, version},
};

/// Shops with a ranker of their own.
const SHOPS: usize = 1000;

/// What they cost: memory, and a call of any of them.
pub async fn with_their_own(room: &Room) -> Outcome<()> {
    let before = resident();
    let began = Instant::now();
    let mut tenants = Vec::with_capacity(SHOPS);
    for shop in 0..SHOPS {
        let tenant: TenantId = format!("shop-{shop}").parse()?;
        room.serve(None, &tenant, version(&room.component, shop)?, None).await?;
        tenants.push(tenant);
    }
    let loaded = began.elapsed();
    let held = resident().saturating_sub(before);
    let mut times = Vec::with_capacity(CALLS);
    for call in 0..CALLS + SHOPS {
        let tenant = &tenants[call * 7919 % SHOPS];
        let context = room.context(tenant);
        let candidates = candidates(100);
        let began = Instant::now();
        let team = room.sandbox.team(tenant, &Pins::default()).await?;
        team.rank_measured(&context, candidates).await.0?;
        if call >= SHOPS {
            times.push(began.elapsed());
        }
    }
    let (median, p99) = quantiles(times);
    report(&format!(
        "{SHOPS} shops with rankers of their own: {:.1} MiB ({} KiB each), taken in within {loaded:.1?}; a call of 100 products: median {median:?}, p99 {p99:?}",
        held as f64 / (1 << 20) as f64,
        held / 1024 / SHOPS as u64
    ));
    Ok(())
}

/// Bytes of memory that this process holds, as the kernel counts them.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0) * 1024
}
