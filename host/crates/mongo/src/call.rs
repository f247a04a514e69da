//! A time limit for every call: the driver has none for an answer that never comes.

use std::{future::IntoFuture, time::Duration};

use mongodb::error::Error;
use taja_catalog::{PortError, port::PortErrorKind};

use crate::error::kind_of;

/// How long one call may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A call that came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// No answer in time; it may have happened.
    #[error("MongoDB did not answer within {0:?}")]
    Late(Duration),
    /// The driver or the server says so.
    #[error("MongoDB: {0}")]
    Driver(#[from] Error),
}

impl CallError {
    /// What a caller may do about it.
    pub(crate) fn kind(&self) -> PortErrorKind {
        match self {
            Self::Late(_) => PortErrorKind::Unavailable,
            Self::Driver(error) => kind_of(error),
        }
    }

    /// The same in the words of a port of this part.
    pub(crate) fn of(self, part: &'static str) -> PortError {
        PortError::from_source(part, self.kind(), self)
    }
}

/// The call's answer, if it comes in time.
pub(crate) async fn within<T, E>(
    limit: Duration,
    call: impl IntoFuture<Output = Result<T, E>>,
) -> Result<T, CallError>
where
    CallError: From<E>,
{
    match tokio::time::timeout(limit, call.into_future()).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(CallError::Late(limit)),
    }
}
