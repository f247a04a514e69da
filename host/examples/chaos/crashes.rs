//! Processes that die without a word: workers and Redis by SIGKILL, and workers by a job that aborts them.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::json;
use taja_queue::{JobError, Queue};
use tokio::time::{interval, sleep};

use crate::{
    World,
    part::POISON,
    report::Row,
    scene::{LOOK, Scene, TENANT, of_kind, plain},
};

const WORKERS: usize = 2;
const KILL_EVERY: Duration = Duration::from_secs(2);
const REDIS_KILLS: u32 = 3;
/// How long Redis stays dead.
const REDIS_DEAD: Duration = Duration::from_millis(300);
/// Jobs are worked off while a worker is killed every two seconds, and Redis three times.
pub async fn kills(world: &World) -> Result<Row> {
    let jobs = world.size(10_000, 600);
    let takes = Duration::from_millis(world.size(40, 150));
    let calm = drain_calmly(&Scene::open(world, "calm").await?, jobs, takes).await?;
    let mut scene = Scene::open(world, "kills").await?;
    let pushed = scene.push(jobs, takes).await?;
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        workers.push(scene.worker()?.1);
    }
    let began = Instant::now();
    // Redis dies after each quarter of the time that the jobs need at least.
    let mut redis_kills = (1..=REDIS_KILLS).map(|kill| calm * kill / (REDIS_KILLS + 1)).peekable();
    let (mut kills, mut clock) = (0, interval(KILL_EVERY));
    clock.tick().await;
    while scene.effects.open_jobs().await? > 0 {
        tokio::select! {
            _ = clock.tick() => {
                workers.remove(0).kill().await?;
                workers.push(scene.worker()?.1);
                kills += 1;
            }
            () = sleep(LOOK) => {}
        }
        if redis_kills.next_if(|at| began.elapsed() > *at).is_some() {
            scene.redis.kill();
            sleep(REDIS_DEAD).await;
            scene.redis.restart().await?;
        }
        if began.elapsed() > calm * 10 + Duration::from_secs(60) {
            let open = scene.effects.open_jobs().await?;
            bail!(
                "{open} jobs are open after {} s; without faults it took {} s",
                began.elapsed().as_secs(),
                calm.as_secs()
            );
        }
    }
    let took = began.elapsed();
    let mut row = scene.count(&pushed).await?.took(took);
    let ratio = took.as_secs_f64() / calm.as_secs_f64();
    row.note(format!("{kills} workers and {REDIS_KILLS} times Redis killed, {ratio:.2} x the time without"));
    row.expect(redis_kills.next().is_none(), "too fast for all kills of Redis");
    // What a kill costs is a lease, whatever the number of jobs: a short run is hit harder.
    row.expect(world.quick || ratio <= 2.0, format!("{ratio:.2} x the time without faults"));
    Ok(row)
}

async fn drain_calmly(scene: &Scene, jobs: usize, takes: Duration) -> Result<Duration> {
    scene.push(jobs, takes).await?;
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        workers.push(scene.worker()?);
    }
    scene.drained(Duration::from_secs(300)).await
}

/// A job aborts every process that runs it; the others are innocent.
pub async fn poison(world: &World) -> Result<Row> {
    const STARTS: u32 = 3;
    let scene = Scene::open(world, "poison").await?;
    let poison = scene.push_surely(of_kind(POISON, json!({})).max_attempts(STARTS)).await?;
    let innocent = || plain(Duration::from_millis(10), 0).max_attempts(STARTS);
    let mut pushed = scene.push_all(world.size(1_000, 200), innocent).await?;
    pushed.push(poison);
    let (mut deaths, began) = (0, Instant::now());
    let mut worker = scene.worker()?.1;
    while scene.effects.open_jobs().await? > 0 {
        if worker.has_ended()? {
            deaths += 1;
            worker = scene.worker()?.1;
        }
        if began.elapsed() > Duration::from_secs(120) {
            bail!("{} jobs are open after {deaths} deaths", scene.effects.open_jobs().await?);
        }
        sleep(LOOK).await;
    }
    let mut row = scene.count_doomed(&pushed, &[poison]).await?.took(began.elapsed());
    let dead = scene.queue.dead(None, 10).await?;
    row.note(format!("{deaths} processes died, {} jobs in the grave", dead.len()));
    row.expect(deaths == STARTS, format!("{deaths} processes died, not {STARTS}"));
    row.expect(dead.iter().all(|job| job.id == poison), "innocents are in the grave");
    let told = scene.queue.get(TENANT, poison).await?.and_then(|job| job.error);
    row.expect(
        told.is_some_and(|error| error.code == JobError::WORKER_LOST),
        "it does not say that it lost its worker",
    );
    Ok(row)
}
