//! Redis that forgets, is away, or is full.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use taja_queue::{Error, Queue};
use tokio::time::sleep;

use crate::{
    World,
    report::Row,
    scene::{LOOK, Scene, plain},
    service::Service,
};

/// Everything that Redis held is back after this.
const REBUILT_WITHIN: Duration = Duration::from_secs(60);
/// A push is answered within this, whatever the answer.
const ANSWER: Duration = Duration::from_secs(3);
/// Pushes are taken again so long after Redis is back.
const RESUMED_WITHIN: Duration = Duration::from_secs(5);

/// FLUSHALL while jobs are worked off.
pub async fn flush(world: &World) -> Result<Row> {
    let scene = Scene::open(world, "flush").await?;
    let pushed = scene.push(world.size(5_000, 500), Duration::from_millis(20)).await?;
    let _workers = (scene.worker()?, scene.worker()?);
    let half = pushed.len() as u64 / 2;
    while scene.effects.open_jobs().await? > half {
        sleep(LOOK).await;
    }
    let open = scene.effects.open_jobs().await?;
    scene.command(&["FLUSHALL"]).await?;
    let took = scene.drained(2 * REBUILT_WITHIN).await?;
    let mut row = scene.count(&pushed).await?.took(took);
    row.note(format!("{open} jobs were open"));
    row.expect(open > 0, "nothing was left to flush");
    row.expect(took <= REBUILT_WITHIN, format!("it took {} s", took.as_secs()));
    Ok(row)
}

/// Redis is away for a while; jobs wait, pushes are refused at once.
pub async fn outage(world: &World) -> Result<Row> {
    let mut scene = Scene::open(world, "outage").await?;
    let mut pushed = scene.push(world.size(500, 100), Duration::from_millis(100)).await?;
    let _worker = scene.worker()?;
    let service = Service::open(world, "outage_api", &scene.redis).await?;
    let api = service.start("api", "api").await?;
    let began = Instant::now();
    sleep(Duration::from_secs(1)).await;
    scene.redis.kill();
    let (mut refused, mut slowest) = (0, Duration::ZERO);
    let away = Duration::from_secs(world.size(60, 4));
    let back_at = Instant::now() + away;
    let mut row = Row::default();
    while Instant::now() < back_at {
        let asked = Instant::now();
        match scene.queue.push(plain(Duration::ZERO, 0)).await {
            Err(Error::Unavailable(_)) => refused += 1,
            Err(error) => return Err(error).context("push without Redis"),
            Ok(_) => row.expect(false, "a push was taken without Redis"),
        }
        let answer = api.search("coffee").await?;
        row.expect(
            answer.status().as_u16() == 503,
            format!("POST /search without Redis: {}", answer.status()),
        );
        row.expect(answer.headers().contains_key("retry-after"), "no Retry-After");
        slowest = slowest.max(asked.elapsed());
        sleep(LOOK).await;
    }
    scene.redis.restart().await?;
    let back = Instant::now();
    pushed.push(scene.push_surely(plain(Duration::ZERO, 0)).await?);
    let resumed = back.elapsed();
    while api.search("coffee").await?.status().as_u16() != 202 {
        if back.elapsed() > REBUILT_WITHIN {
            bail!("POST /search is not taken again");
        }
        sleep(LOOK).await;
    }
    let served = back.elapsed();
    scene.drained(REBUILT_WITHIN).await?;
    let complaints = row.complaints;
    row = Row { complaints, ..scene.count(&pushed).await?.took(began.elapsed()) };
    row.complaints.dedup();
    row.note(format!("{refused} pushes refused, the slowest answer {:.2} s", slowest.as_secs_f64()));
    row.note(format!(
        "taken again after {:.2} s, by HTTP after {:.2} s",
        resumed.as_secs_f64(),
        served.as_secs_f64()
    ));
    row.expect(world.quick || slowest <= 2 * ANSWER, "refusals take too long");
    row.expect(world.quick || served <= RESUMED_WITHIN, "it took too long to resume");
    Ok(row)
}

/// Redis reaches its `maxmemory`: what it cannot hold is refused, what was acknowledged is done.
pub async fn full(world: &World) -> Result<Row> {
    const BYTES: usize = 4096;
    let memory = ["--maxmemory", world.size("64mb", "4mb"), "--maxmemory-policy", "noeviction"];
    let scene = Scene::open_with(world, "full", &memory).await?;
    let began = Instant::now();
    let (mut pushed, mut refused) = (Vec::new(), Vec::new());
    while refused.len() < 20 {
        let job = plain(Duration::ZERO, BYTES);
        let id = job.id;
        match scene.queue.push(job).await {
            Ok(taken) => pushed.push(taken.job.id),
            Err(Error::Unavailable(_)) => refused.push(id),
            Err(error) => return Err(error).context("push into a full Redis"),
        }
        if pushed.len() > 200_000 {
            bail!("Redis never was full");
        }
    }
    let service = Service::open(world, "full_api", &scene.redis).await;
    let _workers = (scene.worker()?, scene.worker()?);
    scene.drained(Duration::from_secs(120)).await?;
    pushed.push(scene.push_surely(plain(Duration::ZERO, BYTES)).await?);
    scene.drained(Duration::from_secs(30)).await?;
    drop(service);
    let mut row = scene.count(&pushed).await?.took(began.elapsed());
    let statuses = scene.effects.statuses().await?;
    let entered = refused.iter().filter(|id| statuses.contains_key(&id.to_string())).count();
    row.note(format!("{} pushes refused", refused.len()));
    row.expect(entered == 0, format!("{entered} refused jobs have a record"));
    Ok(row)
}
