//! How long something takes, and would have taken had nothing else run on this machine.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::compute::{Backend, Provider};

/// A running measurement of what this process does on some threads.
pub(crate) struct Clock {
    wall: Instant,
    processor: Duration,
    delay: Duration,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    pub(crate) wall: Duration,
    /// Without the time that this process's threads were ready to run and others ran.
    pub(crate) alone: Duration,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { processor: processor_time(), delay: run_delay(), wall: Instant::now() }
    }

    /// A wait of any thread delays the whole, so all waits are taken off; but it cannot be faster than its processor time
    /// shared by `threads`. What another device computes takes what it takes.
    pub(crate) fn stop(self, backend: Backend, threads: usize) -> Took {
        let wall = self.wall.elapsed();
        let alone = match backend.provider() {
            Provider::Cpu | Provider::OpenVino => {
                let busy = processor_time().saturating_sub(self.processor) / threads.max(1) as u32;
                wall.saturating_sub(run_delay().saturating_sub(self.delay)).max(busy).min(wall)
            }
            Provider::Cuda | Provider::TensorRt => wall,
        };
        Took { wall, alone }
    }
}

/// Of all threads of this process.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// How long the threads of this process have waited for a processor, by Linux's own account; nothing where it keeps none.
fn run_delay() -> Duration {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return Duration::ZERO };
    let accounts =
        threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok());
    // Nanoseconds run, nanoseconds waited, turns.
    let waited = accounts.filter_map(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    Duration::from_nanos(waited.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_faster_alone_than_its_work_allows() {
        let clock = Clock::start();
        let spun = Instant::now();
        while spun.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        let took = clock.stop(Backend::REFERENCE, 1);
        assert!(took.alone <= took.wall && took.alone > Duration::ZERO, "{took:?}");
        assert!(took.wall >= Duration::from_millis(20), "{took:?}");
    }
}
