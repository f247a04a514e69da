//! The threads that prepare inputs while towers compute: whoever waits is prepared before what fills up.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use super::Urgency;
use crate::error::ClipError;

type Job = Box<dyn FnOnce() + Send>;

/// A pool whose queue knows urgency; shared by all towers of a model.
pub(crate) struct Preparers {
    pool: rayon::ThreadPool,
    /// What is to be prepared: urgent, and the rest. There is one task in the pool for each.
    jobs: Mutex<[VecDeque<Job>; 2]>,
}

impl Preparers {
    pub(crate) fn start(threads: usize) -> Result<Arc<Self>, ClipError> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let pool = pool.thread_name(|place| format!("clip-prepare-{place}")).build();
        let pool =
            pool.map_err(|error| ClipError::Config(format!("no threads to prepare inputs: {error}")))?;
        Ok(Arc::new(Self { pool, jobs: Mutex::default() }))
    }

    pub(super) fn spawn(self: &Arc<Self>, urgency: Urgency, job: impl FnOnce() + Send + 'static) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)[urgency as usize].push_back(Box::new(job));
        let this = Arc::downgrade(self);
        self.pool.spawn(move || {
            // Jobs that nobody owns any more are dropped with their owner.
            if let Some(job) = this.upgrade().and_then(|this| this.next()) {
                job();
            }
        });
    }

    fn next(&self) -> Option<Job> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.iter_mut().find_map(VecDeque::pop_front)
    }

    /// Waits until everything that was spawned before has run; for a pool of one thread.
    #[cfg(test)]
    pub(super) fn settle(&self) {
        self.pool.install(|| ());
    }
}
