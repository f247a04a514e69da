//! Why a model does not start.

use std::{path::PathBuf, time::Duration};

use crate::manifest::VerifyError;

/// Why a model does not start. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ClipError {
    /// Files of the model are missing or not those the manifest means.
    #[error(transparent)]
    Files(#[from] VerifyError),
    /// ONNX Runtime cannot be loaded.
    #[error("ONNX Runtime cannot be loaded from {}: {problem}; run set-up, or name another library (version 1.24 or later)", path.display())]
    Library {
        /// The library.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// A file of the model is there and intact, but is not what the manifest says.
    #[error("model file {file}: {problem}")]
    Model {
        /// The file.
        file: String,
        /// What is wrong, and what the manifest should say.
        problem: String,
    },
    /// Something did not finish.
    #[error("{what} did not finish within {} s; the library may not fit this machine", after.as_secs())]
    TimedOut {
        /// What was being done.
        what: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// A setting that cannot be.
    #[error("{0}")]
    Config(String),
}

impl ClipError {
    pub(crate) fn model(file: &str, problem: impl Into<String>) -> Self {
        Self::Model { file: file.to_owned(), problem: problem.into() }
    }
}
