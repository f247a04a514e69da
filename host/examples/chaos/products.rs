//! Adding products while their worker dies, and the same picture many times at once.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use mongodb::bson::doc;
use taja_testkit::{RedisServer, cloudinary::Fault};
use tokio::time::{sleep, timeout};

use crate::{
    World,
    report::Row,
    scene::LOOK,
    service::{Server, Service, accepted, picture},
};

const ADD: &str = "/add_product";
/// A worker gets to its trap within this.
const TRAPPED_WITHIN: Duration = Duration::from_secs(60);

/// Where a worker is stopped to be killed.
#[derive(Debug, Clone, Copy)]
enum Trap {
    /// Before this command on this collection is carried out.
    Mongo { step: &'static str, command: &'static str, collection: Option<&'static str> },
    /// Before the picture is hosted.
    Upload,
    /// After it is hosted, without the worker's knowing.
    Hosted,
}

const STEPS: &[Trap] = &[
    Trap::Mongo { step: "at the intent", command: "update", collection: Some("intents") },
    Trap::Upload,
    Trap::Hosted,
    Trap::Mongo { step: "at the record", command: "insert", collection: Some("receipts") },
    COMMIT,
    Trap::Mongo { step: "after the commit", command: "update", collection: Some("jobs") },
];
const COMMIT: Trap = Trap::Mongo { step: "at the commit", command: "commitTransaction", collection: None };

impl Trap {
    fn step(self) -> &'static str {
        match self {
            Self::Mongo { step, .. } => step,
            Self::Upload => "before the upload",
            Self::Hosted => "after the upload",
        }
    }

    /// Sets it; answers when a worker is in it.
    async fn set(self, world: &World, service: &Service) -> Result<Set> {
        match self {
            Self::Mongo { command, collection, .. } => {
                let mut data = doc! {
                    "failCommands": [command], "blockConnection": true, "blockTimeMS": 5_000, "appName": "taja",
                };
                if let Some(collection) = collection {
                    data.insert("namespace", format!("{}.{collection}", service.database.name()));
                }
                let set = doc! { "configureFailPoint": "failCommand", "mode": { "times": 1 }, "data": data };
                let answer = world.mongo.admin(set).await?;
                let entered = answer.get_i32("count").map(i64::from).or_else(|_| answer.get_i64("count"))?;
                Ok(Set::Mongo { entered })
            }
            Self::Upload => {
                service.cloudinary.fault_until_cleared(Fault::silence());
                Ok(Set::Cloudinary { requests: service.cloudinary.requests().len() + 1 })
            }
            Self::Hosted => {
                service.cloudinary.fault_next(1, Fault::LoseReply);
                service.cloudinary.fault_until_cleared(Fault::silence());
                Ok(Set::Cloudinary { requests: service.cloudinary.requests().len() + 2 })
            }
        }
    }
}

/// A trap that is set.
enum Set {
    Mongo { entered: i64 },
    Cloudinary { requests: usize },
}

impl Set {
    /// Waits until a worker is in it.
    async fn sprung(&self, world: &World, service: &Service) -> Result<()> {
        match self {
            Self::Mongo { entered } => {
                let within_ms = i64::try_from(TRAPPED_WITHIN.as_millis())?;
                let wait = doc! {
                    "waitForFailPoint": "failCommand", "timesEntered": entered + 1, "maxTimeMS": within_ms,
                };
                world.mongo.admin(wait).await.context("no worker came to the trap")?;
            }
            Self::Cloudinary { requests } => {
                let seen = async {
                    while service.cloudinary.requests().len() < *requests {
                        sleep(LOOK).await;
                    }
                };
                timeout(TRAPPED_WITHIN, seen).await.context("no worker came to the trap")?;
            }
        }
        Ok(())
    }

    async fn clear(self, world: &World, service: &Service) -> Result<()> {
        world.mongo.admin(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await?;
        service.cloudinary.clear_faults();
        Ok(())
    }
}

/// The worker is killed at each step of adding a product, and once at the same step until the job is buried.
pub async fn steps(world: &World) -> Result<Row> {
    const ATTEMPTS: u32 = 3;
    let redis = RedisServer::start().await?;
    let service = Service::open(world, "steps", &redis).await?;
    let (api, mut worker) = tokio::try_join!(service.start("api", "api"), service.start("worker", "worker"))?;
    let (began, mut row) = (Instant::now(), Row::default());
    for trap in STEPS {
        let name = format!("Thing {}", trap.step());
        eprintln!("  killed {}", trap.step());
        let step = Instant::now();
        let set = trap.set(world, &service).await?;
        let id = accepted(api.add(&name, picture()?).await?).await?;
        killed_in(worker, set, world, &service).await.with_context(|| trap.step())?;
        worker = service.start("worker", "worker").await?;
        let job = api.ended(ADD, &id).await?;
        row.jobs += 1;
        let good = job["result"]["status"] == "success";
        row.lost += u64::from(!good);
        row.expect(good, format!("killed {}: {job}", trap.step()));
        row.redelivered += 1;
        row.note(format!("killed {}: done after {:.1} s", trap.step(), step.elapsed().as_secs_f64()));
    }
    eprintln!("  killed at the commit until it is buried");
    let mut set = COMMIT.set(world, &service).await?;
    let buried = accepted(api.add("Thing that is buried", picture()?).await?).await?;
    for _ in 1..ATTEMPTS {
        // The next trap is set before there is anyone to walk past it.
        killed_in(worker, set, world, &service).await?;
        set = COMMIT.set(world, &service).await?;
        worker = service.start("worker", "worker").await?;
    }
    killed_in(worker, set, world, &service).await?;
    let _worker = service.start("worker", "worker").await?;
    let job = api.ended(ADD, &buried).await?;
    row.expect(job["status"] == "failed", format!("not buried: {job}"));
    service.swept().await?;
    let products = service.products().await?;
    let names: HashSet<&String> = products.iter().map(|(name, _)| name).collect();
    row.doubled = (products.len() - names.len()) as u64;
    row.expect(products.len() == STEPS.len(), format!("{} products", products.len()));
    let images = service.image_records().await?;
    row.expect(images == STEPS.len(), format!("{images} image records"));
    row.complaints.extend(service.misfits().await?);
    row.note("every record has its picture, every picture its record");
    Ok(row.took(began.elapsed()))
}

/// Kills the worker once it is in the trap, then takes the trap away.
async fn killed_in(worker: Server, set: Set, world: &World, service: &Service) -> Result<()> {
    set.sprung(world, service).await?;
    worker.process.kill().await?;
    set.clear(world, service).await
}

/// The same bytes, uploaded many times at once through two processes.
pub async fn twins(world: &World) -> Result<Row> {
    let redis = RedisServer::start().await?;
    let service = Service::open(world, "twins", &redis).await?;
    let (one, other) = tokio::try_join!(service.start("api", "api-1"), service.start("api", "api-2"))?;
    let _workers =
        tokio::try_join!(service.start("worker", "worker-1"), service.start("worker", "worker-2"))?;
    let (began, bytes, uploads) = (Instant::now(), picture()?, world.size(100, 20));
    let results = try_join_all((0..uploads).map(|turn| {
        let (server, bytes) = (if turn % 2 == 0 { &one } else { &other }, bytes.clone());
        async move {
            let id = accepted(server.add("Twin", bytes).await?).await?;
            let job = server.ended(ADD, &id).await?;
            ensure!(job["status"] == "completed", "{job}");
            Ok(job["result"].clone())
        }
    }))
    .await?;
    let ids: HashSet<String> = results.iter().map(|result| result["product_id"].to_string()).collect();
    let created = results.iter().filter(|result| result["status"] == "success").count();
    service.swept().await?;
    let (images, assets) = (service.image_records().await?, service.cloudinary.assets().len());
    let mut row = Row { jobs: uploads as u64, doubled: created.saturating_sub(1) as u64, ..Row::default() };
    row.note(format!("{} product id, {images} image record, {assets} hosted picture", ids.len()));
    row.expect(ids.len() == 1 && created == 1, format!("{} product ids, {created} created", ids.len()));
    row.expect(images == 1, format!("{images} image records"));
    row.expect(assets == 1, format!("{assets} hosted pictures"));
    row.complaints.extend(service.misfits().await?);
    Ok(row.took(began.elapsed()))
}
