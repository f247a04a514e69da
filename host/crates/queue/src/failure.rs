//! Why a job failed: who is to blame, and whether a retry is worthwhile.

use serde::{Deserialize, Serialize};

/// Who has to act before such a job can succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// The request was wrong.
    Client,
    /// A policy component misbehaved.
    Plugin,
    /// This service is at fault.
    Host,
    /// Something this service leans on did not answer well.
    Dependency,
}

impl Blame {
    /// The word used in JSON, metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Plugin => "plugin",
            Self::Host => "host",
            Self::Dependency => "dependency",
        }
    }
}

/// The failure of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct JobError {
    /// Who is to blame.
    pub blame: Blame,
    /// Whether another attempt can succeed.
    pub retryable: bool,
    /// A stable word for programs, such as `worker_lost`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

impl JobError {
    /// The code of a job whose worker died or fell silent on its last attempt.
    pub const WORKER_LOST: &'static str = "worker_lost";
    /// The code of a job whose handler panicked.
    pub const PANIC: &'static str = "panic";
    /// The code of a job whose payload its handler cannot read.
    pub const BAD_PAYLOAD: &'static str = "bad_payload";

    /// A failure that no retry can mend.
    pub fn permanent(blame: Blame, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { blame, retryable: false, code: code.into(), message: message.into() }
    }

    /// A failure that may be gone at the next attempt.
    pub fn transient(blame: Blame, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { blame, retryable: true, code: code.into(), message: message.into() }
    }

    /// What a job is buried with when its last worker was lost.
    pub(crate) fn worker_lost(attempts: u32) -> Self {
        let message =
            format!("the worker was lost during each of {attempts} attempts, or in the last of them");
        Self::permanent(Blame::Host, Self::WORKER_LOST, message)
    }
}
