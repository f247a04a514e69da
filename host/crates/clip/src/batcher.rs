//! Fuses the calls of many jobs into batches for one tower.
//!
//! One thread owns the tower. While it is idle, a request is run at once; requests that arrive meanwhile make the next
//! batch. Only a thread that has just served a crowd waits, for `max_wait` at most, until as many requests are there as
//! were about when its last batch ended. What somebody waits for goes before what fills up: it is prepared first, has room
//! of its own, and waits for no more than the batch in progress.

mod desk;
mod preparers;
mod serve;

pub(crate) use preparers::Preparers;

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        mpsc::{self, Receiver, SyncSender},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use taja_catalog::port::{PortError, PortErrorKind, PortResult};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{error::ClipError, runtime::panic_message, tower::Tower};

/// How long a request waits to be let in when the queue is full.
const ADMISSION_DEADLINE: Duration = Duration::from_secs(30);
/// How long an answer is waited for once a request is in.
const ANSWER_DEADLINE: Duration = Duration::from_secs(120);
/// How long the end of the thread is waited for: one batch, with a margin.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(10);

/// The bounds of a batcher.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_batch: usize,
    pub(crate) max_wait: Duration,
    /// Interactive requests inside: being prepared, queued, or running. Half as many again of bulk.
    pub(crate) capacity: usize,
}

/// Whether anybody waits for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// A shopper does.
    Interactive = 0,
    /// It is part of an import, and takes the places that are left.
    Bulk = 1,
}

impl Urgency {
    fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Bulk => "bulk",
        }
    }
}

impl Limits {
    /// What fills up has room of its own, so that it never keeps out those who wait.
    fn bulk_capacity(self) -> usize {
        self.capacity.div_ceil(2)
    }
}

/// One input on its way to the tower.
struct Request<I> {
    item: I,
    urgency: Urgency,
    reply: oneshot::Sender<PortResult<Vec<f32>>>,
    queued: Instant,
    /// Given back when the request is answered or dropped.
    _room: OwnedSemaphorePermit,
}

/// The way to a tower's thread.
pub(crate) struct Batcher<I> {
    /// None only while it is dropped.
    queue: Option<SyncSender<Request<I>>>,
    /// For each urgency.
    room: [Arc<Semaphore>; 2],
    preparers: Arc<Preparers>,
    /// Told when the thread ends; behind a lock because a receiver cannot be shared.
    ended: Mutex<Receiver<()>>,
    thread: Option<JoinHandle<()>>,
}

impl<I: Send + 'static> Batcher<I> {
    /// Gives the tower a thread. `name` labels its metrics.
    pub(crate) fn start<T: Tower<Item = I>>(
        name: &'static str,
        tower: T,
        limits: Limits,
        preparers: Arc<Preparers>,
    ) -> Result<Self, ClipError> {
        describe_metrics();
        metrics::gauge!("taja_batch_max_size", "tower" => name).set(limits.max_batch as f64);
        metrics::gauge!("taja_batch_max_wait_seconds", "tower" => name).set(limits.max_wait.as_secs_f64());
        // Nobody is let in without room, so the queue is never full.
        let (queue, requests) = mpsc::sync_channel(limits.capacity + limits.bulk_capacity());
        let (alive, ended) = mpsc::sync_channel(1);
        let work = move || {
            let _alive: SyncSender<()> = alive;
            serve::serve(name, tower, &requests, limits);
        };
        let thread = std::thread::Builder::new().name(format!("clip-{name}")).spawn(work);
        let thread =
            thread.map_err(|error| ClipError::Config(format!("no thread for the {name} tower: {error}")))?;
        let room = [limits.capacity, limits.bulk_capacity()].map(|places| Arc::new(Semaphore::new(places)));
        Ok(Self { queue: Some(queue), room, preparers, ended: Mutex::new(ended), thread: Some(thread) })
    }

    /// One vector per source, in order. Sources are prepared on the CPU pool, all of them in parallel.
    pub(crate) async fn embed<S, P>(
        &self,
        urgency: Urgency,
        sources: Vec<S>,
        prepare: P,
    ) -> PortResult<Vec<Vec<f32>>>
    where
        S: Send + 'static,
        P: Fn(&S) -> Result<I, String> + Clone + Send + 'static,
    {
        let mut replies = Vec::with_capacity(sources.len());
        for source in sources {
            let room = self.admit(urgency).await?;
            replies.push(self.submit(urgency, source, prepare.clone(), room));
        }
        let mut vectors = Vec::with_capacity(replies.len());
        for reply in replies {
            let answer = tokio::time::timeout(ANSWER_DEADLINE, reply).await;
            vectors.push(match answer {
                Ok(Ok(answer)) => answer?,
                Ok(Err(_)) => return Err(unavailable("the model is shutting down")),
                Err(_) => return Err(unavailable("the model did not answer in time")),
            });
        }
        Ok(vectors)
    }

    async fn admit(&self, urgency: Urgency) -> PortResult<OwnedSemaphorePermit> {
        let room = Arc::clone(&self.room[urgency as usize]);
        match tokio::time::timeout(ADMISSION_DEADLINE, room.acquire_owned()).await {
            Ok(Ok(room)) => Ok(room),
            Ok(Err(_)) => Err(unavailable("the model is shutting down")),
            Err(_) => Err(unavailable("the model's queue is full")),
        }
    }

    fn submit<S, P>(
        &self,
        urgency: Urgency,
        source: S,
        prepare: P,
        room: OwnedSemaphorePermit,
    ) -> oneshot::Receiver<PortResult<Vec<f32>>>
    where
        S: Send + 'static,
        P: FnOnce(&S) -> Result<I, String> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.clone();
        self.preparers.spawn(urgency, move || {
            if reply.is_closed() {
                return;
            }
            let prepared =
                std::panic::catch_unwind(AssertUnwindSafe(|| prepare(&source))).unwrap_or_else(|panic| {
                    Err(format!("preparing the input panicked: {}", panic_message(&*panic)))
                });
            match (prepared, queue) {
                (Ok(item), Some(queue)) => {
                    // It fails only when the thread is gone, and then the dropped reply says so.
                    let request = Request { item, urgency, reply, queued: Instant::now(), _room: room };
                    let _ = queue.try_send(request);
                }
                (Err(problem), _) => {
                    let _ = reply.send(Err(broken(problem)));
                }
                (Ok(_), None) => {}
            }
        });
        answer
    }
}

impl<I> Drop for Batcher<I> {
    fn drop(&mut self) {
        drop(self.queue.take());
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let hung = ended.recv_timeout(SHUTDOWN_DEADLINE) == Err(mpsc::RecvTimeoutError::Timeout);
        match self.thread.take() {
            Some(_) if hung => tracing::error!("a model's thread did not end; it is left behind"),
            Some(thread) => drop(thread.join()),
            None => {}
        }
    }
}

fn unavailable(message: &str) -> PortError {
    PortError::new("model", PortErrorKind::Unavailable, message)
}

pub(crate) fn broken(message: impl Into<String>) -> PortError {
    PortError::new("model", PortErrorKind::Broken, message)
}

fn describe_metrics() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        metrics::describe_histogram!("taja_batch_size", "items run together");
        metrics::describe_histogram!(
            "taja_batch_wait_seconds",
            metrics::Unit::Seconds,
            "from prepared to running"
        );
        metrics::describe_histogram!(
            "taja_inference_seconds",
            metrics::Unit::Seconds,
            "one batch through the tower"
        );
        metrics::describe_counter!("taja_embed_items_total", "items answered with a vector");
        metrics::describe_gauge!("taja_batch_max_size", "most items that are run together");
        metrics::describe_gauge!(
            "taja_batch_max_wait_seconds",
            metrics::Unit::Seconds,
            "longest wait to fill a batch"
        );
    });
}

#[cfg(test)]
mod tests;
