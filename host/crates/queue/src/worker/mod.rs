//! Runs jobs: claims them lane by lane, keeps their leases, settles them, and leaves in good order.

mod attempt;
mod config;
mod context;
mod handlers;
mod lane;
mod shares;

use std::sync::Arc;

use tokio::{sync::RwLock, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::lane::{LaneRunner, LoneRunner};
pub use self::{
    config::{Lane, Share, WorkerConfig},
    context::JobContext,
    handlers::Handlers,
};
use crate::{Error, Queue, Result};

/// Takes jobs from a queue and runs them.
///
/// Lanes run beside each other, each with its own number of places, so a full bulk lane never keeps an interactive
/// one waiting. Only a job that lost its worker interrupts them: it runs by itself, after the lanes have emptied,
/// the last lane first, until it got past where its worker was lost ([`JobContext::got_on`]), and for half a minute at most.
#[derive(Debug)]
pub struct Worker {
    queue: Arc<dyn Queue>,
    handlers: Arc<Handlers>,
    config: WorkerConfig,
}

/// What everything that runs in a worker shares.
#[derive(Debug, Clone)]
struct Shop {
    queue: Arc<dyn Queue>,
    handlers: Arc<Handlers>,
    config: Arc<WorkerConfig>,
    /// No new jobs.
    closing: CancellationToken,
    /// No more time for the running ones either.
    closed: CancellationToken,
    running: TaskTracker,
}

impl Worker {
    /// A worker over a queue.
    ///
    /// # Errors
    /// [`Error::NoHandler`] if a lane takes a kind that nothing handles.
    pub fn new(queue: Arc<dyn Queue>, handlers: Handlers, config: WorkerConfig) -> Result<Self> {
        for lane in &config.lanes {
            if let Some(kind) = lane.kinds.iter().find(|kind| handlers.get(kind).is_none()) {
                return Err(Error::NoHandler { lane: lane.name.clone(), kind: kind.clone() });
            }
        }
        Ok(Self { queue, handlers: Arc::new(handlers), config })
    }

    /// Works until `shutdown` is cancelled. Then it claims no more, gives running jobs the configured time to end,
    /// and gives the others back to the queue, uncounted.
    ///
    /// Dropping this future gives them all back at once, if the runtime lives on.
    pub async fn run(self, shutdown: CancellationToken) {
        let closed = CancellationToken::new();
        let shop = Shop {
            queue: self.queue,
            handlers: self.handlers,
            config: Arc::new(self.config),
            closing: shutdown,
            closed: closed.clone(),
            running: TaskTracker::new(),
        };
        let _given_back_if_dropped = closed.clone().drop_guard();
        let mut lanes = JoinSet::new();
        let mut gates = Vec::new();
        for lane in shop.config.lanes.clone() {
            let gate = Arc::new(RwLock::new(()));
            gates.push(Arc::clone(&gate));
            lanes.spawn(LaneRunner::new(shop.clone(), lane, gate).run());
        }
        lanes.spawn(LoneRunner::new(shop.clone(), gates).run());
        shop.closing.cancelled().await;
        drain(&shop, lanes).await;
    }
}

async fn drain(shop: &Shop, mut lanes: JoinSet<()>) {
    let finish = async {
        while lanes.join_next().await.is_some() {}
        shop.running.close();
        shop.running.wait().await;
    };
    tokio::pin!(finish);
    if tokio::time::timeout(shop.config.drain, &mut finish).await.is_err() {
        tracing::warn!(
            jobs = shop.running.len(),
            "the drain deadline passed, running jobs go back to the queue"
        );
        shop.closed.cancel();
        finish.await;
    }
}
