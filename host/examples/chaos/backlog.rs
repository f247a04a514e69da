//! Many jobs wait before the first worker starts.

use std::time::Duration;

use anyhow::Result;

use crate::{World, report::Row, scene::Scene};

pub async fn backlog(world: &World) -> Result<Row> {
    let mut scene = Scene::open(world, "backlog").await?;
    scene.places = 32;
    let pushed = scene.push(world.size(100_000, 1_000), Duration::ZERO).await?;
    let _workers = (scene.worker()?, scene.worker()?);
    let took = scene.drained(Duration::from_secs(world.size(600, 60))).await?;
    let mut row = scene.count(&pushed).await?.took(took);
    row.note(format!("{:.0} jobs/s, a transaction each", pushed.len() as f64 / took.as_secs_f64()));
    row.expect(row.redelivered == 0, "jobs started again for no reason");
    Ok(row)
}
