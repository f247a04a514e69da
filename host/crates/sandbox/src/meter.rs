//! The clock of one call: how long the guest computed, how long it waited for the host, and when it must end.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    task::Poll,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use crate::limits::Limits;

/// Shared between the call and its store. One thread at a time touches it, so relaxed ordering is enough.
#[derive(Debug)]
pub(crate) struct Meter {
    began: Instant,
    cpu_limit: Duration,
    wall_limit: Duration,
    /// Nanoseconds the guest computed, without the stretch since `mark`.
    cpu: AtomicU64,
    /// Nanoseconds spent inside host calls, without the stretch since `entered_host`.
    host: AtomicU64,
    /// When the guest last began to compute, on the clock of the thread it computes on: a guest is on one thread from
    /// there until it stops. So a machine that is too busy to run it costs it no CPU time.
    mark: AtomicU64,
    /// When the host call in progress began, nanoseconds since `began`.
    entered_host: AtomicU64,
    in_host: AtomicBool,
    host_calls: AtomicU32,
    host_calls_limit: u32,
    /// Bytes that host calls carried, either way.
    host_bytes: AtomicU64,
}

/// The call lasted longer than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WallTimeUp;

impl Meter {
    pub(crate) fn start(limits: &Limits) -> Self {
        Self {
            began: Instant::now(),
            cpu_limit: limits.cpu,
            wall_limit: limits.wall,
            cpu: AtomicU64::new(0),
            host: AtomicU64::new(0),
            mark: AtomicU64::new(0),
            entered_host: AtomicU64::new(0),
            in_host: AtomicBool::new(false),
            host_calls: AtomicU32::new(0),
            host_calls_limit: limits.host_calls,
            host_bytes: AtomicU64::new(0),
        }
    }

    fn now(&self) -> u64 {
        // 584 years fit.
        self.began.elapsed().as_nanos() as u64
    }

    /// Time since the call began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Time the guest computed, up to the last time it stopped.
    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu.load(Relaxed))
    }

    /// Host calls made.
    pub(crate) fn host_calls(&self) -> u32 {
        self.host_calls.load(Relaxed)
    }

    /// Host calls left.
    pub(crate) fn host_calls_left(&self) -> u32 {
        self.host_calls_limit - self.host_calls()
    }

    /// Counts a host call; false when none is left.
    pub(crate) fn take_host_call(&self) -> bool {
        let left = self.host_calls_left() > 0;
        if left {
            self.host_calls.fetch_add(1, Relaxed);
        }
        left
    }

    /// Counts bytes that a host call carries.
    pub(crate) fn carry(&self, bytes: usize) {
        self.host_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Bytes that host calls carried, either way.
    pub(crate) fn host_bytes(&self) -> u64 {
        self.host_bytes.load(Relaxed)
    }

    /// Time the guest computed, which is computing now.
    pub(crate) fn computed(&self) -> Duration {
        self.cpu() + Duration::from_nanos(self.stretch())
    }

    /// Time the guest may compute.
    pub(crate) fn cpu_limit(&self) -> Duration {
        self.cpu_limit
    }

    /// What is left of the wall-clock limit; the time inside host calls does not count.
    pub(crate) fn wall_left(&self) -> Option<Duration> {
        let now = self.now();
        let waiting =
            if self.in_host.load(Relaxed) { now.saturating_sub(self.entered_host.load(Relaxed)) } else { 0 };
        let counted = now.saturating_sub(self.host.load(Relaxed) + waiting);
        self.wall_limit.checked_sub(Duration::from_nanos(counted)).filter(|left| !left.is_zero())
    }

    /// The guest stops computing: it waits, or a host call begins.
    fn stop(&self) {
        self.cpu.fetch_add(self.stretch(), Relaxed);
    }

    /// The guest computes from now on.
    fn go(&self) {
        self.mark.store(thread_cpu_now(), Relaxed);
    }

    /// What the guest computed since it last began, nanoseconds.
    fn stretch(&self) -> u64 {
        thread_cpu_now().saturating_sub(self.mark.load(Relaxed))
    }

    /// Counts the time until the guard is dropped as the host's.
    pub(crate) fn host_call(&self) -> HostCall<'_> {
        self.stop();
        self.entered_host.store(self.now(), Relaxed);
        self.in_host.store(true, Relaxed);
        HostCall(self)
    }

    /// Runs a call until it is done or its wall-clock time is used up, and keeps the clocks meanwhile.
    pub(crate) async fn bound<T>(&self, call: impl Future<Output = T>) -> Result<T, WallTimeUp> {
        let mut call = pin!(call);
        // Made when the call first has to wait: most rankings never do.
        let mut alarm = None;
        poll_fn(|context| {
            if !self.in_host.load(Relaxed) {
                self.go();
            }
            let polled = call.as_mut().poll(context);
            if !self.in_host.load(Relaxed) {
                self.stop();
            }
            if let Poll::Ready(answer) = polled {
                return Poll::Ready(Ok(answer));
            }
            loop {
                let Some(left) = self.wall_left() else { return Poll::Ready(Err(WallTimeUp)) };
                let alarm = alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep(left)));
                if alarm.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                alarm.as_mut().reset(tokio::time::Instant::now() + left);
            }
        })
        .await
    }
}

/// CPU time of this thread, nanoseconds.
fn thread_cpu_now() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// A host call in progress.
pub(crate) struct HostCall<'a>(&'a Meter);

impl Drop for HostCall<'_> {
    fn drop(&mut self) {
        let meter = self.0;
        let spent = meter.now().saturating_sub(meter.entered_host.load(Relaxed));
        meter.host.fetch_add(spent, Relaxed);
        meter.in_host.store(false, Relaxed);
        meter.go();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Kind;

    fn meter(wall: Duration) -> Meter {
        Meter::start(&Limits { wall, ..Limits::of(Kind::Search) })
    }

    #[tokio::test]
    async fn a_call_that_waits_for_nothing_ends_at_its_wall_clock_limit() {
        let ended = meter(Duration::from_millis(20)).bound(std::future::pending::<()>()).await;
        assert_eq!(ended, Err(WallTimeUp));
    }

    #[tokio::test]
    async fn waiting_inside_a_host_call_is_not_held_against_the_guest() {
        let meter = meter(Duration::from_millis(20));
        let call = async {
            let _host = meter.host_call();
            tokio::time::sleep(Duration::from_millis(80)).await;
        };
        assert_eq!(meter.bound(call).await, Ok(()));
        assert!(meter.elapsed() >= Duration::from_millis(80));
        assert!(meter.cpu() < Duration::from_millis(20));
    }

    #[test]
    fn host_calls_run_out() {
        let meter = Meter::start(&Limits { host_calls: 2, ..Limits::of(Kind::Rank) });
        assert!(meter.take_host_call() && meter.take_host_call() && !meter.take_host_call());
        assert_eq!((meter.host_calls(), meter.host_calls_left()), (2, 0));
    }
}
