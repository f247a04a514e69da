//! Breaks things on purpose, against real processes and servers, and counts what was lost or done twice.
//!
//! `just chaos [--quick] [--json] [FAULT...]` prints a row for each fault; exit status 1 if one was not borne.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its table and its progress are what it is run for"
)]

mod backlog;
mod crashes;
mod effects;
mod house;
mod outages;
mod part;
mod pauses;
mod process;
mod products;
mod report;
mod scene;
mod service;
mod stepdown;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use mongodb::bson::doc;
use taja_testkit::MongoServer;

use crate::report::{Report, Row};

#[derive(Parser)]
#[command(name = "chaos", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// Which faults; all unless named
    #[arg(value_enum)]
    faults: Vec<Fault>,
    /// Small numbers and short outages
    #[arg(long)]
    quick: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Part {
    /// Work off jobs until killed or told to stop
    #[command(hide = true)]
    Worker(part::Worker),
}

/// What is done to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Fault {
    /// Workers and Redis are killed again and again
    Kills,
    /// Many jobs wait before the first worker starts
    Backlog,
    /// Redis loses everything
    Flush,
    /// A worker is frozen for twice its lease
    Freeze,
    /// A job kills every process that runs it
    Poison,
    /// A worker is told to stop under load
    Stop,
    /// Redis is away
    Outage,
    /// Redis is full
    Full,
    /// The worker is killed at each step of adding a product
    Steps,
    /// The same picture is uploaded many times at once
    Twins,
    /// The primary of MongoDB steps down while jobs are pushed
    StepDown,
    /// Every process of a house under load is killed in turn
    House,
}

/// What the faults share.
struct World {
    mongo: MongoServer,
    quick: bool,
}

/// A worker that is killed in the middle of a transaction leaves it open, and what it wrote is closed to its successor
/// until the server gives the transaction up: after a minute by default, after so many seconds when it has to be quick.
const TRANSACTIONS_END_AFTER: i32 = 3;

impl World {
    async fn start(quick: bool) -> Result<Self> {
        let mongo = MongoServer::start().await?;
        if quick {
            let limit = doc! { "setParameter": 1, "transactionLifetimeLimitSeconds": TRANSACTIONS_END_AFTER };
            mongo.admin(limit).await?;
        }
        Ok(Self { mongo, quick })
    }

    /// How much of something: so much in earnest, so much when it has to be quick. Times are only held against their
    /// limits in earnest; what is quick also runs on machines that have other things to do.
    fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

impl Fault {
    async fn happen(self, world: &World) -> Result<Row> {
        match self {
            Self::Kills => crashes::kills(world).await,
            Self::Backlog => backlog::backlog(world).await,
            Self::Flush => outages::flush(world).await,
            Self::Freeze => pauses::freeze(world).await,
            Self::Poison => crashes::poison(world).await,
            Self::Stop => pauses::stop(world).await,
            Self::Outage => outages::outage(world).await,
            Self::Full => outages::full(world).await,
            Self::Steps => products::steps(world).await,
            Self::Twins => products::twins(world).await,
            Self::StepDown => stepdown::step_down(world).await,
            Self::House => house::house(world).await,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Runtime::new().context("runtime");
    let ended = runtime.and_then(|runtime| match arguments.part {
        Some(Part::Worker(worker)) => runtime.block_on(worker.run()).map(|()| true),
        None => runtime.block_on(until_interrupted(run(&arguments))),
    });
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Everything that was started ends with its handle, so an interruption only has to drop them.
async fn until_interrupted(run: impl Future<Output = Result<bool>>) -> Result<bool> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        ended = run => ended,
        _ = interrupt.recv() => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("told to stop"),
    }
}

async fn run(arguments: &Arguments) -> Result<bool> {
    let all = <Fault as clap::ValueEnum>::value_variants();
    let faults = if arguments.faults.is_empty() { all } else { &arguments.faults };
    let world = World::start(arguments.quick).await?;
    let mut report = Report::default();
    for fault in faults {
        eprintln!("{fault:?} ...");
        report.add(*fault, fault.happen(&world).await);
    }
    println!("{}", if arguments.json { report.json()? } else { report.table() });
    Ok(report.is_good())
}
