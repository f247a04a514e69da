//! A whole house under steady load, each of its processes killed and started again in turn.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::Result;
use futures::future::join_all;
use parking_lot::Mutex;
use taja_testkit::{MongoServer, RedisServer, cloudinary::Fault};
use tokio::{sync::RwLock, time::sleep};

use crate::{
    World,
    report::Row,
    service::{Server, Service, accepted, picture},
};

/// Between two kills.
const CALM: Duration = Duration::from_secs(2);
/// How long the killed one stays dead.
const DEAD: Duration = Duration::from_secs(1);
/// Clients that add, and clients that search.
const CLIENTS: usize = 2;
/// Between two requests of a client.
const PAUSE: Duration = Duration::from_millis(400);

/// What the clients were promised.
#[derive(Default)]
struct Promised {
    /// Products by job.
    added: Mutex<HashMap<String, String>>,
    searches: Mutex<Vec<String>>,
    refused: AtomicU64,
    enough: AtomicBool,
}

/// The processes that requests can go to; one is missing while it is dead.
type Doors = [RwLock<Option<Server>>; 2];

pub async fn house(world: &World) -> Result<Row> {
    // A MongoDB of its own, because it is killed.
    let mut own = World::start(world.quick).await?;
    let mut redis = RedisServer::start().await?;
    let service = Service::open(&own, "house", &redis).await?;
    let (one, other) = tokio::try_join!(service.start("api", "api-1"), service.start("api", "api-2"))?;
    let workers = tokio::try_join!(service.start("worker", "worker-1"), service.start("worker", "worker-2"))?;
    let doors: Doors = [RwLock::new(Some(one)), RwLock::new(Some(other))];
    let (promised, began) = (Promised::default(), Instant::now());
    let load = join_all((0..CLIENTS).flat_map(|client| {
        let (add, search) = (add(client, &doors, &promised), search(client, &doors, &promised));
        [futures::future::Either::Left(add), futures::future::Either::Right(search)]
    }));
    let rounds = world.size(3, 1);
    let strike = async {
        let mut workers = [workers.0, workers.1];
        for _ in 0..rounds {
            workers = strike_round(&service, &doors, workers, &mut redis, &mut own.mongo).await?;
        }
        promised.enough.store(true, Ordering::Relaxed);
        anyhow::Ok(workers)
    };
    let (struck, _) = tokio::join!(
        async { strike.await.inspect_err(|_| promised.enough.store(true, Ordering::Relaxed)) },
        load
    );
    let _workers = struck?;
    let mut row = judge(&service, &doors, promised).await?;
    row.note(format!("each of seven processes struck {rounds} times"));
    Ok(row.took(began.elapsed()))
}

async fn strike_round(
    service: &Service,
    doors: &Doors,
    workers: [Server; 2],
    redis: &mut RedisServer,
    mongo: &mut MongoServer,
) -> Result<[Server; 2]> {
    for door in doors {
        sleep(CALM).await;
        let server = door.write().await.take();
        if let Some(server) = server {
            eprintln!("  {} is killed", server.name);
            let again = service.restart(server, DEAD).await?;
            *door.write().await = Some(again);
        }
    }
    let mut again = Vec::new();
    for worker in workers {
        sleep(CALM).await;
        eprintln!("  {} is killed", worker.name);
        again.push(service.restart(worker, DEAD).await?);
    }
    sleep(CALM).await;
    eprintln!("  redis is killed");
    redis.kill();
    sleep(DEAD).await;
    redis.restart().await?;
    sleep(CALM).await;
    eprintln!("  mongod is killed");
    mongo.kill();
    sleep(DEAD).await;
    mongo.restart().await?;
    sleep(CALM).await;
    eprintln!("  cloudinary fails");
    service.cloudinary.fault_until_cleared(Fault::status(503));
    sleep(DEAD).await;
    service.cloudinary.clear_faults();
    sleep(CALM).await;
    again.try_into().map_err(|_| anyhow::anyhow!("two workers"))
}

async fn add(client: usize, doors: &Doors, promised: &Promised) {
    for turn in 0.. {
        if promised.enough.load(Ordering::Relaxed) {
            return;
        }
        let name = format!("Thing {turn} of client {client}");
        let Ok(picture) = picture() else { return };
        let door = doors[turn % doors.len()].read().await;
        let answer = match door.as_ref() {
            Some(server) => match server.add(&name, picture).await {
                Ok(answer) => accepted(answer).await,
                Err(error) => Err(error),
            },
            None => Err(anyhow::anyhow!("it is dead")),
        };
        drop(door);
        match answer {
            Ok(id) => drop(promised.added.lock().insert(id, name)),
            Err(_) => drop(promised.refused.fetch_add(1, Ordering::Relaxed)),
        }
        sleep(PAUSE).await;
    }
}

async fn search(client: usize, doors: &Doors, promised: &Promised) {
    for turn in 0.. {
        if promised.enough.load(Ordering::Relaxed) {
            return;
        }
        let words = format!("thing {turn} of client {client}");
        let door = doors[turn % doors.len()].read().await;
        let answer = match door.as_ref() {
            Some(server) => match server.search(&words).await {
                Ok(answer) => accepted(answer).await,
                Err(error) => Err(error),
            },
            None => Err(anyhow::anyhow!("it is dead")),
        };
        drop(door);
        match answer {
            Ok(id) => promised.searches.lock().push(id),
            Err(_) => drop(promised.refused.fetch_add(1, Ordering::Relaxed)),
        }
        sleep(PAUSE).await;
    }
}

/// Every 202 has to lead to a job that ended well, and every product to one record with its picture.
async fn judge(service: &Service, doors: &Doors, promised: Promised) -> Result<Row> {
    let door = doors[0].read().await;
    let server = door.as_ref().ok_or_else(|| anyhow::anyhow!("no process is left"))?;
    let (added, searches) = (promised.added.into_inner(), promised.searches.into_inner());
    let mut row = Row { jobs: (added.len() + searches.len()) as u64, ..Row::default() };
    for id in &searches {
        let job = server.ended("/search", id).await?;
        if job["status"] != "completed" {
            row.lost += 1;
            row.expect(false, format!("{job}"));
        }
    }
    for (id, name) in &added {
        let job = server.ended("/add_product", id).await?;
        if job["result"]["status"] != "success" {
            row.lost += 1;
            row.expect(false, format!("{name}: {job}"));
        }
    }
    service.swept().await?;
    let mut stored: HashMap<String, u64> = HashMap::new();
    for (name, _) in service.products().await? {
        *stored.entry(name).or_default() += 1;
    }
    row.lost += added.values().filter(|name| !stored.contains_key(*name)).count() as u64;
    row.doubled = stored.values().map(|count| count - 1).sum();
    row.complaints.extend(service.misfits().await?);
    row.complaints.truncate(5);
    let refused = promised.refused.into_inner();
    row.note(format!(
        "{} products and {} searches accepted, {refused} requests refused or cut",
        added.len(),
        searches.len()
    ));
    Ok(row)
}
