//! How a worker is set up.

use std::time::Duration;

use crate::JobId;

/// How many places of a lane one tenant may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// As many as are free: its jobs end, so that others have their turn.
    All,
    /// No more than it leaves free: its jobs may wait for long, and others find a place all the same.
    AsManyAsItLeaves,
}

/// Some kinds of jobs with places of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// Its name in the logs.
    pub name: String,
    /// The kinds it takes.
    pub kinds: Vec<String>,
    /// How many of its jobs run at the same time; at least one.
    pub concurrency: usize,
    /// How many of them may be one tenant's.
    pub share: Share,
}

impl Lane {
    /// A lane for these kinds.
    pub fn new<K: Into<String>>(
        name: impl Into<String>,
        kinds: impl IntoIterator<Item = K>,
        concurrency: usize,
    ) -> Self {
        let kinds = kinds.into_iter().map(Into::into).collect();
        Self { name: name.into(), kinds, concurrency, share: Share::All }
    }

    /// The lane with this share for each tenant.
    #[must_use]
    pub fn sharing(self, share: Share) -> Self {
        Self { share, ..self }
    }
}

/// The settings of a [`crate::Worker`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerConfig {
    /// Its name in the queue; different for each start of the process.
    pub name: String,
    /// The lanes, the most urgent one first.
    pub lanes: Vec<Lane>,
    /// How long a job stays leased without a sign of life. Renewed every third of it.
    pub lease: Duration,
    /// How often to look for work that did not ring: retries, and jobs of processes that are not heard. Also how long
    /// to wait after a queue did not answer.
    pub poll: Duration,
    /// How long running jobs may go on after a shutdown began.
    pub drain: Duration,
    /// The least time between two progress notes of one job; what comes meanwhile is overtaken by the latest.
    pub progress_every: Duration,
}

impl WorkerConfig {
    /// The usual settings for these lanes: leases of 30 s, a look every 500 ms, 25 s to drain.
    #[must_use]
    pub fn new(lanes: Vec<Lane>) -> Self {
        Self {
            name: format!("{}-{}", std::process::id(), JobId::new()),
            lanes,
            lease: Duration::from_secs(30),
            poll: Duration::from_millis(500),
            drain: Duration::from_secs(25),
            progress_every: Duration::from_millis(200),
        }
    }
}
