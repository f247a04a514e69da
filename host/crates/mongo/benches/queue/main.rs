//! The queues beside Celery: jobs per second through one core, and how long a job waits for an idle worker.
//!
//! The worker's process has one core for itself, the servers have the others. A round fills the queue with the worker
//! off, then measures from the first job's start until the last one is settled; the median of the rounds counts.

#![expect(clippy::print_stdout, reason = "a benchmark's output is its table")]

mod celery;
mod cores;
mod taja;

use std::time::Duration;

use anyhow::{Context, Result};
use taja_testkit::{MongoServer, RedisServer};

use crate::{
    celery::Celery,
    cores::Cores,
    taja::{Part, Taja},
};

const ROUNDS: usize = 3;
/// Jobs in progress at once.
const CONCURRENCY: usize = 8;

/// What one contender did.
struct Row {
    name: String,
    /// Jobs per second of each round.
    rates: Vec<f64>,
    /// How long a job waited for an idle worker.
    pickups: Vec<Duration>,
}

impl Row {
    fn rate(&self) -> f64 {
        let mut rates = self.rates.clone();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied().unwrap_or_default()
    }

    fn pickup_ms(&self, percent: usize) -> f64 {
        let mut times = self.pickups.clone();
        times.sort();
        times
            .get(times.len().saturating_sub(1) * percent / 100)
            .map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }
}

fn main() -> Result<()> {
    if let Some(part) = Part::of_this_process() {
        return taja::play(&part);
    }
    let cores = Cores::of_this_machine()?;
    // Everything that is started from here on runs beside the worker, unless it is one.
    cores.beside()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(compare(&cores))
}

async fn compare(cores: &Cores) -> Result<()> {
    println!("{cores}; {CONCURRENCY} jobs at once, {ROUNDS} rounds");
    println!("{:<44} {:>8} {:>14} {:>10} {:>10}", "", "jobs/s", "rounds", "p50 ms", "p99 ms");
    let redis = RedisServer::start().await?;
    let mut celery = Vec::new();
    for contender in Celery::all() {
        let row = contender.run(&redis.url(), cores).await.with_context(|| contender.name())?;
        print(&row);
        celery.push(row);
    }
    drop(redis);
    let (redis, mongo) = (RedisServer::start().await?, MongoServer::start().await?);
    let mut ours = Vec::new();
    for contender in Taja::all(&redis.url(), &mongo.uri()) {
        let row = contender.run(cores).await.context(contender.name())?;
        print(&row);
        ours.push(row);
    }
    println!("\nTo Celery's best in each column:");
    let best = |of: fn(&Row) -> f64, better: fn(f64, f64) -> f64| {
        celery.iter().map(of).reduce(better).unwrap_or(f64::NAN)
    };
    let (rate, p99) = (best(Row::rate, f64::max), best(|row| row.pickup_ms(99), f64::min));
    for row in &ours {
        println!("{:<44} {:>7.1}x {:>36.2}x", row.name, row.rate() / rate, p99 / row.pickup_ms(99));
    }
    Ok(())
}

fn print(row: &Row) {
    let rounds: Vec<String> = row.rates.iter().map(|rate| format!("{rate:.0}")).collect();
    println!(
        "{:<44} {:>8.0} {:>14} {:>10.2} {:>10.2}",
        row.name,
        row.rate(),
        rounds.join("/"),
        row.pickup_ms(50),
        row.pickup_ms(99)
    );
}
