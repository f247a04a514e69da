//! What goes wrong with the ledger, in the queue's words.

use mongodb::bson::Document;
use taja_catalog::port::PortErrorKind;
use taja_queue::Error;

use crate::{call::CallError, error::PASSING};

/// What the server says of one write among several.
#[derive(Debug, Clone, thiserror::Error)]
#[error("MongoDB refused a write ({code}): {message}")]
pub(super) struct Refused {
    pub(super) code: i32,
    pub(super) message: String,
}

impl Refused {
    /// As it stands in a reply.
    pub(super) fn of(error: &Document) -> Self {
        let code = error.get_i32("code").unwrap_or_default();
        Self { code, message: error.get_str("errmsg").unwrap_or_default().to_owned() }
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        if PASSING.contains(&refused.code) { Self::unavailable(refused) } else { Self::storage(refused) }
    }
}

/// A value that is not kept.
#[derive(Debug, Clone, thiserror::Error)]
#[error("a job's {what} is {size_bytes} bytes as it would be stored; {limit_bytes} are the most")]
pub(super) struct TooLarge {
    pub(super) what: &'static str,
    pub(super) size_bytes: usize,
    pub(super) limit_bytes: usize,
}

/// A stored job that cannot be what it should be: something else changed it.
#[derive(Debug, thiserror::Error)]
#[error("stored job {id} is damaged: its {field} cannot be read")]
pub(super) struct Damaged {
    pub(super) id: String,
    pub(super) field: &'static str,
    #[source]
    pub(super) source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Something that others kept changing under our hands.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("others changed the job meanwhile, again and again")]
pub(super) struct Restless;

pub(super) fn queue(error: CallError) -> Error {
    match error.kind() {
        PortErrorKind::Unavailable => Error::unavailable(error),
        _ => Error::storage(error),
    }
}
