//! Workers that stop: frozen for longer than their lease, or told to end while they are busy.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use taja_queue::Queue;
use tokio::time::{sleep, timeout};

use crate::{
    World,
    effects::result_by,
    report::Row,
    scene::{LOOK, Scene, TENANT},
};

/// A process that is told to stop has so long.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);
/// A new process has work after this.
const AT_WORK_WITHIN: Duration = Duration::from_secs(2);

/// A worker is frozen in mid-job until another one has done its jobs, then goes on where it was.
pub async fn freeze(world: &World) -> Result<Row> {
    let scene = Scene::open(world, "freeze").await?;
    let (name, worker) = scene.worker()?;
    let pushed = scene.push(world.size(200, 40), scene.lease / 4).await?;
    let began = Instant::now();
    at_work(&scene, &name).await?;
    worker.freeze()?;
    let held = Instant::now();
    let _other = scene.worker()?;
    scene.drained(Duration::from_secs(60)).await?;
    sleep((2 * scene.lease).saturating_sub(held.elapsed())).await;
    let mut results = Vec::new();
    for &job in &pushed {
        results.push(scene.queue.get(TENANT, job).await?.context("the job is gone")?);
    }
    worker.thaw()?;
    // It ends once everything that it had begun is over.
    let status = worker.stop(STOPPED_WITHIN).await?;
    let mut row = scene.count(&pushed).await?.took(began.elapsed());
    row.expect(status.success(), "the thawed worker failed");
    let starters = scene.effects.starters().await?;
    let taken_over = |id: &String| starters.get(id).is_some_and(|by| by.len() > 1 && by[0] == name);
    let mut stale = 0;
    for before in &results {
        let after = scene.queue.get(TENANT, before.id).await?.context("the job is gone")?;
        row.expect(after == *before, format!("job {} changed after its end", before.id));
        if taken_over(&before.id.to_string()) {
            stale += 1;
            row.expect(result_by(&after)? != name, "a stale result was kept");
        }
    }
    row.note(format!("frozen {:.1} s, {stale} stale results refused", held.elapsed().as_secs_f64()));
    row.expect(stale > 0, "the frozen worker held nothing");
    Ok(row)
}

/// A busy worker gets SIGTERM; a new one takes over.
pub async fn stop(world: &World) -> Result<Row> {
    let scene = Scene::open(world, "stop").await?;
    let (name, worker) = scene.worker()?;
    let pushed = scene.push(world.size(500, 100), Duration::from_millis(200)).await?;
    let began = Instant::now();
    at_work(&scene, &name).await?;
    let told = Instant::now();
    let status = worker.stop(2 * STOPPED_WITHIN).await?;
    let stopped = told.elapsed();
    let left = scene.effects.open_jobs().await?;
    let started = Instant::now();
    let (next, _next) = scene.worker()?;
    at_work(&scene, &next).await?;
    let at_work = started.elapsed();
    scene.drained(Duration::from_secs(120)).await?;
    let mut row = scene.count(&pushed).await?.took(began.elapsed());
    row.note(format!(
        "stopped in {:.2} s with {left} jobs to go, the next at work in {:.2} s",
        stopped.as_secs_f64(),
        at_work.as_secs_f64()
    ));
    row.expect(status.success(), "the worker failed");
    row.expect(left > 0, "there was no load");
    row.expect(stopped <= STOPPED_WITHIN, "it did not stop in time");
    row.expect(world.quick || at_work <= AT_WORK_WITHIN, "the next one was slow to start");
    Ok(row)
}

/// Waits until a worker has started a job.
async fn at_work(scene: &Scene, name: &str) -> Result<()> {
    let at_work = async {
        while !scene.effects.starters().await?.values().flatten().any(|by| by == name) {
            sleep(LOOK).await;
        }
        Ok(())
    };
    timeout(Duration::from_secs(60), at_work).await.context("the worker takes no job")?
}
