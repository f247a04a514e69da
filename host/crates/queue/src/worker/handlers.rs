//! Which function handles which kind of job.

use std::{collections::HashMap, fmt, pin::Pin, sync::Arc};

use crate::{JobContext, JobError, JsonText};

/// A handler at work.
pub(super) type Running = Pin<Box<dyn Future<Output = Result<JsonText, JobError>> + Send>>;

type Handler = Arc<dyn Fn(JobContext) -> Running + Send + Sync>;

/// The handlers of a worker, one for each kind.
#[derive(Clone, Default)]
pub struct Handlers(HashMap<String, Handler>);

impl Handlers {
    /// No handlers yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the handler for a kind, in place of an earlier one.
    ///
    /// A handler may be started again for the same job, and may be dropped at any await when its lease is lost or
    /// the process ends: its effects must bear repetition.
    #[must_use]
    pub fn on<F, R, T>(mut self, kind: impl Into<String>, handler: F) -> Self
    where
        F: Fn(JobContext) -> R + Send + Sync + 'static,
        R: Future<Output = Result<T, JobError>> + Send + 'static,
        T: Into<JsonText>,
    {
        self.0.insert(
            kind.into(),
            Arc::new(move |job| {
                let running = handler(job);
                Box::pin(async move { running.await.map(Into::into) })
            }),
        );
        self
    }

    pub(super) fn get(&self, kind: &str) -> Option<&Handler> {
        self.0.get(kind)
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
