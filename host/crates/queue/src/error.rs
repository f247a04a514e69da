//! What can go wrong with the queue itself, as opposed to with a job.

use std::sync::Arc;

use crate::{JobId, Status};

/// The queue's own result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the queue, not of a job (that is [`crate::JobError`]).
///
/// It can be cloned because one failed commit answers every operation that shared it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key (or the id) already belongs to another request.
    #[error("`{key}` was already used for another request")]
    Conflict {
        /// The idempotency key, or the job's id where no key was given.
        key: String,
    },
    /// The token is stale: the lease ran out, or the job is already settled.
    #[error("the lease on job {0} is lost")]
    LeaseLost(JobId),
    /// Only a job in the grave can be redriven.
    #[error("job {id} is {status}, and only a failed job can be redriven")]
    NotDead {
        /// The job.
        id: JobId,
        /// What it is instead.
        status: Status,
    },
    /// A lane names a kind that has no handler.
    #[error("lane `{lane}` takes jobs of kind `{kind}`, which has no handler")]
    NoHandler {
        /// The lane.
        lane: String,
        /// The kind without a handler.
        kind: String,
    },
    /// The store cannot be reached, is locked, or is full; trying again later can help.
    #[error("the job store is unavailable")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The store failed in a way that a retry will not mend.
    #[error("the job store failed")]
    Storage(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// The store failed for good, because of this.
    pub fn storage(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Storage(Arc::new(source))
    }

    /// The store cannot be had at present, because of this.
    pub fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Unavailable(Arc::new(source))
    }

    /// The queue's own threads are gone: it is being closed.
    pub(crate) fn closed() -> Self {
        Self::unavailable(std::io::Error::new(std::io::ErrorKind::BrokenPipe, "the queue is closed"))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        match error.sqlite_error_code() {
            Some(
                Code::DatabaseBusy
                | Code::DatabaseLocked
                | Code::DiskFull
                | Code::CannotOpen
                | Code::SystemIoFailure
                | Code::OutOfMemory,
            ) => Self::unavailable(error),
            _ => Self::storage(error),
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::storage(error)
    }
}
