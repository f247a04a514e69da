//! A durable job queue that knows neither products nor plugins: job, lease, retry, grave, worker.
//!
//! A job is pushed, claimed under a lease, and settled exactly once: whoever claims it gets a fencing [`Token`],
//! and only the holder of the newest token can settle. A job may *start* more than once (a worker can die at any
//! moment), so handlers derive their effects from the job's id and repeat them harmlessly.
//!
//! ```
//! # use std::{sync::Arc, time::Duration};
//! # use taja_queue::{Handlers, JobContext, Lane, NewJob, Queue, SqliteQueue, Status, Worker, WorkerConfig};
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let queue: Arc<dyn Queue> = Arc::new(SqliteQueue::open(&folder.path().join("jobs.db"), Default::default())?);
//! let handlers = Handlers::new().on("greet", |job: JobContext| async move { Ok(job.payload().clone()) });
//! let lanes = vec![Lane::new("interactive", ["greet"], 4)];
//! let worker = Worker::new(Arc::clone(&queue), handlers, WorkerConfig::new(lanes))?;
//! let shutdown = tokio_util::sync::CancellationToken::new();
//! let running = tokio::spawn(worker.run(shutdown.clone()));
//!
//! let pushed = queue.push(NewJob::new("greet", "acme", serde_json::json!({ "name": "Ada" }))).await?;
//! let job = queue.wait("acme", pushed.job.id, Duration::from_secs(5)).await?;
//! assert_eq!(job.map(|job| job.status), Some(Status::Completed));
//!
//! shutdown.cancel();
//! running.await?;
//! # Ok(())
//! # }
//! ```

mod backoff;
mod clock;
mod error;
mod failure;
mod job;
mod json_text;
mod ledger;
mod queue;
mod redis;
mod signals;
mod sqlite;
mod telemetry;
mod worker;

#[cfg(any(test, feature = "contract"))]
pub mod contract;

pub use backoff::{Backoff, Backoffs};
pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{Error, Result};
pub use failure::{Blame, JobError};
pub use job::{Durability, Idempotency, JobId, JobRecord, NewJob, Status, UnknownStatus};
pub use json_text::JsonText;
pub use ledger::{Ending, Ledger, OpenJob};
pub use queue::{Claim, Company, Depth, JobFilter, Pushed, Queue, Standing, Token, Verdict};
pub use redis::{RedisOptions, RedisQueue};
pub use signals::{JobNews, JobWatch, Signals};
pub use sqlite::{SqliteOptions, SqliteQueue};
pub use telemetry::publish_depth;
pub use worker::{Handlers, JobContext, Lane, Share, Worker, WorkerConfig};
