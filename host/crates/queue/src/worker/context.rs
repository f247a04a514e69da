//! What a handler knows of its job, and can say about it.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{SetOnce, watch};
use tokio_util::sync::CancellationToken;

use crate::{Blame, JobError, JobId, JobRecord};

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) percent: i8,
    pub(super) message: String,
}

/// A job in its handler's hands.
#[derive(Debug, Clone)]
pub struct JobContext {
    job: Arc<JobRecord>,
    progress: watch::Sender<Option<Progress>>,
    got_on: Arc<SetOnce<()>>,
    cancellation: CancellationToken,
}

impl JobContext {
    pub(super) fn new(job: Arc<JobRecord>) -> Self {
        Self {
            job,
            progress: watch::Sender::new(None),
            got_on: Arc::default(),
            cancellation: CancellationToken::new(),
        }
    }

    /// The job's id, the seed for every id that its effects need.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.job.id
    }

    /// Whom the job belongs to.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.job.tenant
    }

    /// The job's kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.job.kind
    }

    /// What was pushed.
    #[must_use]
    pub fn payload(&self) -> &Value {
        &self.job.payload
    }

    /// What was pushed, as a type of the caller's.
    ///
    /// # Errors
    /// A permanent [`JobError`] with the code [`JobError::BAD_PAYLOAD`]: the host pushed what it cannot read.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, JobError> {
        T::deserialize(self.payload())
            .map_err(|error| JobError::permanent(Blame::Host, JobError::BAD_PAYLOAD, error.to_string()))
    }

    /// Which start of the job this is, counted from 1 since it last got on.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.job.attempts
    }

    /// Whether a failure of this attempt is the job's last, unless it gets on first.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.job.attempts >= self.job.max_attempts
    }

    /// Notes how far the job is: percent, or -1 for unknown, and what it is doing. Returns at once; of several notes
    /// in a short time only the latest is kept.
    pub fn progress(&self, percent: i8, message: impl Into<String>) {
        self.progress.send_replace(Some(Progress { percent, message: message.into() }));
    }

    /// Says that the job got past everything that was under way when its last worker was lost, and need not do it again.
    /// Then whatever happens later is the first time (see [`crate::Queue::got_on`]), and others run beside it.
    pub fn got_on(&self) {
        // Once is enough.
        let _ = self.got_on.set(());
    }

    pub(super) fn has_got_on(&self) -> bool {
        self.got_on.initialized()
    }

    /// Waits until it got on.
    pub(super) async fn getting_on(&self) {
        self.got_on.wait().await;
    }

    /// Whether the job was called off. A handler looks between its stages and ends with any error; the job then
    /// counts as cancelled. One that ends well all the same counts as completed.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.cancellation.is_cancelled()
    }

    /// The same as something to wait for.
    #[must_use]
    pub fn cancellation(&self) -> CancellationToken {
        self.cancellation.clone()
    }

    pub(super) fn notes(&self) -> watch::Receiver<Option<Progress>> {
        self.progress.subscribe()
    }
}
