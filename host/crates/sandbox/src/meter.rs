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
    /// Nanoseconds the guest waited for what is its own doing, without the stretch since `paused_at`.
    idle: AtomicU64,
    /// Whether that is what it waits for now: not for the host, and not for its turn to compute.
    idles: AtomicBool,
    /// When it began to wait for that, nanoseconds since `began`.
    idle_since: AtomicU64,
    /// When the guest last began to compute, on the clock of the thread it computes on: a guest is on one thread from
    /// there until it stops. So a machine that is too busy to run it costs it no CPU time.
    mark: AtomicU64,
    in_host: AtomicBool,
    /// Whether it was interrupted and would go on at once.
    interrupted: AtomicBool,
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
            idle: AtomicU64::new(0),
            idles: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            mark: AtomicU64::new(0),
            in_host: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
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

    /// The guest, which is computing now, is to let others compute.
    pub(crate) fn interrupt(&self) {
        self.interrupted.store(true, Relaxed);
    }

    /// What is left of the wall-clock limit. It counts what the guest computes and what it waits for by its own doing: not
    /// the time inside host calls, and not that until a busy machine lets it compute. `computed` is all that it computed.
    pub(crate) fn wall_left(&self, computed: Duration) -> Option<Duration> {
        let idle = if self.idles.load(Relaxed) {
            self.now().saturating_sub(self.idle_since.load(Relaxed))
        } else {
            0
        };
        let counted = computed + Duration::from_nanos(self.idle.load(Relaxed) + idle);
        self.wall_limit.checked_sub(counted).filter(|left| !left.is_zero())
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
        self.in_host.store(true, Relaxed);
        HostCall(self)
    }

    /// The call is looked after again.
    fn resume(&self) {
        if self.idles.swap(false, Relaxed) {
            let idle = self.now().saturating_sub(self.idle_since.load(Relaxed));
            self.idle.fetch_add(idle, Relaxed);
        }
        if !self.in_host.load(Relaxed) {
            self.go();
        }
    }

    /// The call cannot go on now, or is over.
    fn pause(&self) {
        let in_host = self.in_host.load(Relaxed);
        if !in_host {
            self.stop();
        }
        if !self.interrupted.swap(false, Relaxed) && !in_host {
            self.idle_since.store(self.now(), Relaxed);
            self.idles.store(true, Relaxed);
        }
    }

    /// Runs a call until it is done or its wall-clock time is used up, and keeps the clocks meanwhile.
    pub(crate) async fn bound<T>(&self, call: impl Future<Output = T>) -> Result<T, WallTimeUp> {
        let mut call = pin!(call);
        // Made when the call first has to wait: most rankings never do.
        let mut alarm = None;
        poll_fn(|context| {
            self.resume();
            let polled = call.as_mut().poll(context);
            self.pause();
            if let Poll::Ready(answer) = polled {
                return Poll::Ready(Ok(answer));
            }
            loop {
                let Some(left) = self.wall_left(self.cpu()) else { return Poll::Ready(Err(WallTimeUp)) };
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

    #[tokio::test]
    async fn waiting_for_a_turn_is_not_held_against_the_guest_but_computing_is() {
        let limit = Duration::from_millis(20);
        let meter = meter(limit);
        let wait = || std::thread::sleep(Duration::from_millis(30));
        let mut call = std::pin::pin!(meter.bound(async {
            meter.interrupt();
            tokio::task::yield_now().await;
        }));
        wait();
        assert!(futures::poll!(&mut call).is_pending());
        wait();
        assert_eq!(futures::poll!(&mut call), Poll::Ready(Ok(())));
        assert!(meter.wall_left(meter.cpu()).is_some_and(|left| left > limit / 2));
        let call = meter.bound(async {
            while meter.computed() < limit {}
            std::future::pending::<()>().await;
        });
        assert_eq!(call.await, Err(WallTimeUp));
    }

    #[test]
    fn host_calls_run_out() {
        let meter = Meter::start(&Limits { host_calls: 2, ..Limits::of(Kind::Rank) });
        assert!(meter.take_host_call() && meter.take_host_call() && !meter.take_host_call());
        assert_eq!((meter.host_calls(), meter.host_calls_left()), (2, 0));
    }
}
