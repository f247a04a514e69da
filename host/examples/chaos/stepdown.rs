//! The primary of MongoDB steps down while jobs are pushed.

use std::{
    future::ready,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::sleep;

use crate::{
    World,
    report::Row,
    scene::{Scene, plain},
};

const AT_ONCE: usize = 64;
/// How long the primary stays down, seconds.
const DOWN: u32 = 1;
const UP: Duration = Duration::from_secs(2);

pub async fn step_down(world: &World) -> Result<Row> {
    let scene = Scene::open(world, "step_down").await?;
    let jobs = world.size(10_000, 1_000);
    let (began, pushing, down, refused) =
        (Instant::now(), AtomicBool::new(true), AtomicUsize::new(0), AtomicUsize::new(0));
    let push = async {
        // As many as there are to be, and on until the primary was down once.
        let enough = |pushed: &usize| ready(*pushed < jobs || down.load(Ordering::Relaxed) == 0);
        let pushes = stream::iter(0..).take_while(enough).map(|_| async {
            let job = plain(Duration::ZERO, 200);
            loop {
                // A refused one is pushed again under its own id: whatever its first push did counts once.
                match taja_queue::Queue::push(&scene.queue, job.clone()).await {
                    Ok(pushed) => return anyhow::Ok(pushed.job.id),
                    Err(error) if error.is_retryable() => refused.fetch_add(1, Ordering::Relaxed),
                    Err(error) => return Err(error.into()),
                };
                sleep(Duration::from_millis(20)).await;
            }
        });
        let pushed: Result<Vec<_>> = pushes.buffer_unordered(AT_ONCE).try_collect().await;
        pushing.store(false, Ordering::Relaxed);
        pushed
    };
    let step_down = async {
        sleep(UP / 8).await;
        while pushing.load(Ordering::Relaxed) {
            world.mongo.step_down(DOWN).await?;
            down.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_secs(DOWN.into()) + UP).await;
        }
        anyhow::Ok(())
    };
    let (pushed, stepped) = tokio::join!(push, step_down);
    let pushed = pushed?;
    stepped?;
    let written = began.elapsed();
    let statuses = scene.effects.statuses().await?;
    let missing = pushed.iter().filter(|id| !statuses.contains_key(&id.to_string())).count();
    let _workers = (scene.worker()?, scene.worker()?);
    scene.drained(Duration::from_secs(120)).await?;
    let mut row = scene.count(&pushed).await?.took(began.elapsed());
    let down = down.into_inner();
    row.note(format!(
        "{down} times down in {:.0} s, {} pushes refused and repeated",
        written.as_secs_f64(),
        refused.into_inner()
    ));
    row.expect(down > 0, "the primary never stepped down");
    row.expect(missing == 0, format!("{missing} acknowledged jobs have no record"));
    Ok(row)
}
