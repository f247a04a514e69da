//! One core for the worker, another for all the rest.

use std::fmt;

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Which core is whose.
pub struct Cores {
    worker: usize,
    beside: usize,
}

impl Cores {
    /// The first two cores that this process may use; one serves for both where there is no other.
    pub fn of_this_machine() -> Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let worker = cores.next().context("no core is allowed")?;
        Ok(Self { worker, beside: cores.next().unwrap_or(worker) })
    }

    /// Runs on the core of all the rest from now on: this thread and what it starts.
    pub fn beside(&self) -> Result<()> {
        pin(self.beside)
    }

    /// Starts something on the worker's core.
    pub fn start_worker<T>(&self, start: impl FnOnce() -> std::io::Result<T>) -> Result<T> {
        pin(self.worker)?;
        let started = start();
        pin(self.beside)?;
        Ok(started?)
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.worker == self.beside {
            return write!(f, "one core for everything");
        }
        write!(f, "worker on core {}, servers on core {}", self.worker, self.beside)
    }
}

fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}
