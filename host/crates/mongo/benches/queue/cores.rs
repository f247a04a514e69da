//! One core for the worker, the others for all the rest.

use std::fmt;

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Which cores are whose.
pub struct Cores {
    worker: CpuSet,
    beside: CpuSet,
}

impl Cores {
    /// The first core that this process may use is the worker's; it serves for all where there is no other.
    pub fn of_this_machine() -> Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let first = (0..CpuSet::MAX_CPU).find(|&core| allowed.is_set(core)).context("no core is allowed")?;
        let (mut worker, mut beside) = (CpuSet::new(), allowed);
        worker.set(first);
        if allowed.count() > 1 {
            beside.unset(first);
        }
        Ok(Self { worker, beside })
    }

    /// Runs beside the worker from now on: this thread and what it starts.
    pub fn beside(&self) -> Result<()> {
        Ok(sched_setaffinity(None, &self.beside)?)
    }

    /// Starts something on the worker's core.
    pub fn start_worker<T>(&self, start: impl FnOnce() -> std::io::Result<T>) -> Result<T> {
        sched_setaffinity(None, &self.worker)?;
        let started = start();
        self.beside()?;
        Ok(started?)
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.worker == self.beside {
            return write!(f, "one core for everything");
        }
        write!(f, "the worker on one core, the servers on {}", self.beside.count())
    }
}
