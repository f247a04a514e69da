//! A worker's process: this program once more, over the same servers.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use taja_mongo::{Mongo, MongoLedger, MongoOptions};
use taja_queue::{Blame, Handlers, JobContext, JobError, Lane, RedisOptions, RedisQueue, WorkerConfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::effects::Effects;

/// A job that takes its time, then has its effect.
pub const PLAIN: &str = "plain";
/// A job that takes its process down.
pub const POISON: &str = "poison";

/// What a plain job is given.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plain {
    /// How long it takes, in milliseconds.
    pub takes_ms: u64,
    /// Makes it as long as it has to be.
    pub padding: String,
}

#[derive(Debug, Clone, Args)]
pub struct Worker {
    #[arg(long)]
    pub redis: String,
    #[arg(long)]
    pub mongo: String,
    #[arg(long)]
    pub database: String,
    #[arg(long)]
    pub name: String,
    /// Jobs at once
    #[arg(long)]
    pub places: usize,
    #[arg(long)]
    pub lease_ms: u64,
}

impl Worker {
    pub async fn run(self) -> Result<()> {
        if let Ok(filter) = std::env::var("TAJA_LOG") {
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
        }
        let queue = Arc::new(open(&self.redis, &self.mongo, &self.database).await?);
        let effects = Effects::open(&self.mongo, &self.database).await?;
        let by: Arc<str> = self.name.as_str().into();
        let handlers = Handlers::new()
            .on(PLAIN, move |job| plain(job, effects.clone(), Arc::clone(&by)))
            .on(POISON, poison);
        let config = WorkerConfig {
            lease: Duration::from_millis(self.lease_ms),
            ..WorkerConfig::new(vec![Lane::new("chaos", [PLAIN, POISON], self.places)])
        };
        let stop = CancellationToken::new();
        let worker = taja_queue::Worker::new(queue, handlers, config)?;
        let working = tokio::spawn(worker.run(stop.clone()));
        signal(SignalKind::terminate())?.recv().await;
        stop.cancel();
        Ok(working.await?)
    }
}

async fn poison(_: JobContext) -> Result<Value, JobError> {
    std::process::abort()
}

/// The queue that everyone in a fault shares.
pub async fn open(redis: &str, mongo: &str, database: &str) -> Result<RedisQueue> {
    let mongo = Mongo::connect(&MongoOptions::new(mongo, database)).await?;
    let ledger = Arc::new(MongoLedger::open(&mongo).await?);
    let options = RedisOptions { name: database.to_owned(), ..RedisOptions::default() };
    Ok(RedisQueue::open(redis, ledger, options).await?)
}

async fn plain(job: JobContext, effects: Effects, by: Arc<str>) -> Result<serde_json::Value, JobError> {
    let Plain { takes_ms, .. } = job.parse()?;
    let failed =
        |error: mongodb::error::Error| JobError::transient(Blame::Dependency, "mongodb", error.to_string());
    effects.started(job.id(), &by).await.map_err(failed)?;
    tokio::time::sleep(Duration::from_millis(takes_ms)).await;
    effects.take(job.id(), &by).await.map_err(failed)?;
    Ok(json!({ "by": &*by }))
}
