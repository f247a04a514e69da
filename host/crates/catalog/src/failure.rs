//! What a failed job tells: who is to blame, and whether a retry is worthwhile.

use serde::{Deserialize, Serialize};

/// Who is to blame for a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// What the client sent.
    Client,
    /// A policy component.
    Plugin,
    /// Taja itself.
    Host,
    /// Something Taja depends on: store, model, image host.
    Dependency,
}

/// Why a use case did not finish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Who is to blame.
    pub blame: Blame,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// A stable word that a program can branch on.
    pub code: String,
    /// For people.
    pub message: String,
}

impl Failure {
    /// The client sent something that cannot be served.
    pub fn client(code: &str, message: impl Into<String>) -> Self {
        Self { blame: Blame::Client, retryable: false, code: code.into(), message: message.into() }
    }

    /// Taja itself went wrong.
    pub fn host(code: &str, message: impl Into<String>) -> Self {
        Self { blame: Blame::Host, retryable: true, code: code.into(), message: message.into() }
    }

    /// The job was cancelled before it had any effect.
    pub fn cancelled() -> Self {
        Self::client("cancelled", "the job was cancelled")
    }
}
