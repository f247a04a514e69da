//! A shop's rankings, alone and beside shops whose rankers do their worst.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use taja_catalog::{TenantId, policy::Pins};
use taja_sandbox::{Limits, manifest};

use crate::{
    Outcome, aim, component, quantiles, report,
    room::{Room, candidates},
};

/// How many of them call at one time: as many as there are threads.
const CALLERS: usize = 2;
/// How often a neighbour is measured alone and beside them, and for how long at a time.
const TURNS: usize = 30;
const TURN: Duration = Duration::from_millis(500);
/// How much a neighbour's p99 may rise.
const MAX_RATIO: f64 = 1.2;

/// The worst that a ranker does, and what its manifest asks for.
fn worst() -> [(&'static str, &'static str, String); 3] {
    let Limits { cpu, wall, memory_bytes, .. } = Limits::OPERATORS;
    let most = format!(
        "[limits]\ncpu_ms = {}\nwall_ms = {}\nmemory_mib = {}\n",
        cpu.as_millis(),
        wall.as_millis(),
        memory_bytes >> 20
    );
    [
        ("spinners", "spin", String::new()),
        ("memory bombs", "bomb", String::new()),
        ("spinners that ask for the largest limits", "spin", most),
    ]
}

/// A shop's calls, alone and then beside each kind of another shop's.
pub async fn beside_others(room: &Room) -> Outcome<()> {
    for (number, (what, task, limits)) in worst().into_iter().enumerate() {
        let about = format!("name = \"bad-{number}\"\nversion = \"1.0.0\"\nkind = \"rank\"\n{limits}");
        let component = manifest::embed(&component::fixture("rank"), &about)?;
        let bad: TenantId = format!("bad-{number}").parse()?;
        room.serve(Some(&bad), &bad, component, Some(json!({ "do": task }))).await?;
        let stopped = Arc::new(AtomicUsize::new(0));
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        // In turns: machines change their pace.
        for _ in 0..TURNS {
            alone.extend(paced(room).await?);
            let callers: Vec<_> = (0..CALLERS).map(|_| misbehave(room, &bad, &stopped)).collect();
            beside.extend(paced(room).await?);
            // Dropped in the middle of a call, as a client that hangs up drops it.
            callers.iter().for_each(tokio::task::JoinHandle::abort);
        }
        let ((alone_median, alone), (beside_median, beside)) = (quantiles(alone), quantiles(beside));
        let ratio = beside.as_secs_f64() / alone.as_secs_f64();
        let reached = aim(&format!("p99 within {MAX_RATIO}x"), ratio <= MAX_RATIO);
        report(&format!(
            "a neighbour of {CALLERS} {what}, stopped {} times: median {alone_median:?} -> {beside_median:?}, p99 {alone:?} -> {beside:?} ({ratio:.2}x) {reached}",
            stopped.load(Relaxed)
        ));
    }
    Ok(())
}

/// Calls of a bad shop, one after the other, until it is aborted.
fn misbehave(
    room: &Room,
    bad: &TenantId,
    stopped: &Arc<AtomicUsize>,
) -> tokio::task::JoinHandle<Outcome<()>> {
    let (sandbox, context, stopped) = (room.sandbox.clone(), room.context(bad), stopped.clone());
    tokio::spawn(async move {
        let team = sandbox.team(&context.tenant, &Pins::default()).await?;
        loop {
            let failed = team.rank_measured(&context, candidates(10)).await.0.is_err();
            stopped.fetch_add(usize::from(failed), Relaxed);
        }
    })
}

/// Calls of a shop at an even pace, as they come from people.
async fn paced(room: &Room) -> Outcome<Vec<Duration>> {
    let tenant: TenantId = "bench".parse()?;
    let (context, team) = (room.context(&tenant), room.sandbox.team(&tenant, &Pins::default()).await?);
    let mut times = Vec::new();
    let began = Instant::now();
    while began.elapsed() < TURN {
        let candidates = candidates(100);
        let call = Instant::now();
        team.rank_measured(&context, candidates).await.0?;
        times.push(call.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(times)
}
