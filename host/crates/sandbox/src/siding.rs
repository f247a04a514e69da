//! Where calls that compute for long go on, so that others need not wait behind them.
//!
//! A call begins on the thread of whoever makes it: most rankings are over before handing them to another thread would
//! be. One that has computed for long goes on here, on threads of its own, which are fewer than the cores, of lower
//! priority than the service's, and shared by the shops in turns of one tick.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    num::NonZero,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::Poll,
    thread::{JoinHandle, available_parallelism},
    time::Duration,
};

use async_task::Runnable;
use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;
use tracing::{Instrument, Span};

use crate::{meter::Meter, places::Shop};

/// Time computed from which on a call is long. Hundred rankings fit in it, and handing a call over is a hundredth of it.
pub(crate) const LONG: Duration = Duration::from_millis(2);
/// Short calls after a long one before calls begin on the thread of their caller again: whoever is long now and then
/// holds that up with one call of so many.
const SHORT_AGAIN: u32 = 100;
/// A tenth of the weight of a thread of the service where both want a core (`sched(7)`); all of it where nobody does.
const NICENESS: i32 = 10;

/// Threads for calls that compute for long.
pub(crate) struct Siding {
    turns: Arc<Turns>,
    threads: Vec<JoinHandle<()>>,
}

/// Whether calls of one choice are usually long: they begin where the last ones ended.
#[derive(Default)]
pub(crate) struct Habit(AtomicU32);

impl Habit {
    fn is_long(&self) -> bool {
        self.0.load(Relaxed) > 0
    }

    fn long(&self) {
        self.0.store(SHORT_AGAIN, Relaxed);
    }

    fn short(&self) {
        // Two at once may count for one: then it takes a call more.
        self.0.store(self.0.load(Relaxed).saturating_sub(1), Relaxed);
    }
}

impl Siding {
    /// One thread less than there are cores, but one.
    pub(crate) fn open() -> std::io::Result<Self> {
        let threads = available_parallelism().map_or(1, NonZero::get).saturating_sub(1).max(1);
        let turns = Arc::new(Turns::default());
        let thread = |place| {
            let turns = Arc::clone(&turns);
            std::thread::Builder::new().name(format!("taja-siding-{place}")).spawn(move || turns.take())
        };
        let threads = (0..threads).map(thread).collect::<Result<_, _>>()?;
        Ok(Self { turns, threads })
    }

    /// Makes a call of a shop, whose clocks `meter` keeps.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        shop: &Shop,
        habit: &Habit,
        meter: &Meter,
        call: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let mut call = Box::pin(call);
        let here = poll_fn(|context| match call.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if meter.cpu() >= LONG => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        if !habit.is_long() {
            if let Some(answer) = here.await {
                return answer;
            }
            habit.long();
        }
        let answer = self.aside(shop, call).await;
        if meter.cpu() >= LONG {
            habit.long();
        } else {
            habit.short();
        }
        answer
    }

    /// Goes on with a call here; it is dropped when its caller goes.
    async fn aside<T: Send + 'static>(
        &self,
        shop: &Shop,
        mut call: Pin<Box<dyn Future<Output = T> + Send>>,
    ) -> T {
        let runtime = Handle::current();
        // What the host does for it, timers and all, belongs to the runtime of its caller.
        let call = poll_fn(move |context| {
            let _entered = runtime.enter();
            call.as_mut().poll(context)
        });
        let (turns, shop) = (Arc::clone(&self.turns), Arc::clone(shop));
        let schedule = move |call| turns.line_up(&shop, call);
        let call = call.instrument(Span::current());
        let task = async_task::Builder::new().propagate_panic(true);
        let (runnable, answer) = task.spawn(|()| call, schedule);
        runnable.schedule();
        answer.await
    }
}

impl Drop for Siding {
    fn drop(&mut self) {
        self.turns.close();
        for thread in self.threads.drain(..) {
            // It ends within a tick. Panics of calls went to their callers.
            let _ = thread.join();
        }
    }
}

/// Calls that want to compute.
#[derive(Default)]
struct Turns {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// The shops that have any, whose turn it is first, with their calls in the order that they came in.
    shops: VecDeque<(Shop, VecDeque<Runnable>)>,
    closed: bool,
}

impl Turns {
    fn line_up(&self, shop: &Shop, call: Runnable) {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            // Dropping a call wakes whoever waits for it.
            drop(waiting);
            return drop(call);
        }
        match waiting.shops.iter_mut().find(|(known, _)| Arc::ptr_eq(known, shop)) {
            Some((_, calls)) => calls.push_back(call),
            None => waiting.shops.push_back((Arc::clone(shop), VecDeque::from([call]))),
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// The next call: the first one of the shop whose turn it is. None when there will be no more.
    fn next(&self) -> Option<Runnable> {
        let mut waiting = self.waiting.lock();
        loop {
            if waiting.closed {
                return None;
            }
            if let Some((shop, mut calls)) = waiting.shops.pop_front() {
                let next = calls.pop_front();
                if !calls.is_empty() {
                    waiting.shops.push_back((shop, calls));
                }
                if next.is_some() {
                    return next;
                }
            } else {
                self.changed.wait(&mut waiting);
            }
        }
    }

    /// Runs calls, each until it yields, until there will be no more.
    fn take(&self) {
        if let Err(error) = rustix::process::nice(NICENESS) {
            tracing::warn!(%error, "calls that compute for long run at the priority of the service");
        }
        while let Some(call) = self.next() {
            call.run();
        }
    }

    fn close(&self) {
        let mut waiting = self.waiting.lock();
        waiting.closed = true;
        let calls = std::mem::take(&mut waiting.shops);
        drop(waiting);
        drop(calls);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        panic::AssertUnwindSafe,
        sync::mpsc::{Receiver, channel},
    };

    use futures::FutureExt;
    use tokio::{sync::Semaphore, task::yield_now};

    use super::*;
    use crate::limits::{Kind, Limits};

    fn shop() -> Shop {
        Arc::new(Semaphore::new(1))
    }

    fn meter() -> Arc<Meter> {
        Arc::new(Meter::start(&Limits::of(Kind::Search)))
    }

    fn thread_name() -> String {
        std::thread::current().name().unwrap_or_default().to_owned()
    }

    /// Computes as long as that makes a call long, yields, and tells on which thread it went on.
    async fn compute(meter: Arc<Meter>) -> String {
        let call = async {
            while meter.computed() < LONG {}
            yield_now().await;
            thread_name()
        };
        meter.bound(call).await.unwrap()
    }

    async fn glance(meter: Arc<Meter>) -> String {
        meter.bound(async { thread_name() }).await.unwrap()
    }

    #[tokio::test]
    async fn a_call_goes_on_here_when_it_is_long_and_so_do_some_after_it() {
        let (siding, shop, habit) = (Siding::open().unwrap(), shop(), Habit::default());
        let long = async |habit| {
            let meter = meter();
            siding.run(&shop, habit, &meter, compute(Arc::clone(&meter))).await
        };
        let short = async |habit| {
            let meter = meter();
            siding.run(&shop, habit, &meter, glance(Arc::clone(&meter))).await
        };
        let own = thread_name();
        assert_eq!(short(&habit).await, own);
        assert_eq!(long(&habit).await, "taja-siding-0");
        for _ in 0..SHORT_AGAIN {
            assert_eq!(short(&habit).await, "taja-siding-0");
        }
        assert_eq!(short(&habit).await, own);
    }

    #[tokio::test]
    async fn what_a_call_waits_for_is_of_the_runtime_of_its_caller() {
        let (siding, meter) = (Siding::open().unwrap(), meter());
        let call = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            tokio::spawn(async { thread_name() }).await.unwrap()
        };
        let habit = Habit::default();
        habit.long();
        assert_eq!(siding.run(&shop(), &habit, &meter, call).await, thread_name());
    }

    #[tokio::test]
    async fn a_panic_is_the_callers() {
        let (siding, shop, meter, habit) = (Siding::open().unwrap(), shop(), meter(), Habit::default());
        habit.long();
        let call = siding.run(&shop, &habit, &meter, async { panic!("as asked") });
        assert!(AssertUnwindSafe(call).catch_unwind().await.is_err());
        assert_eq!(siding.run(&shop, &habit, &meter, async { 7 }).await, 7);
    }

    /// A call that never ends, and how its end is heard of.
    fn endless() -> (impl Future<Output = ()> + Send, Receiver<()>) {
        let (held, gone) = channel::<()>();
        let call = async move {
            let _held = held;
            loop {
                yield_now().await;
            }
        };
        (call, gone)
    }

    #[tokio::test]
    async fn a_call_ends_when_its_caller_goes_or_the_siding_closes() {
        let (siding, meter, habit) = (Siding::open().unwrap(), meter(), Habit::default());
        habit.long();
        let (call, gone) = endless();
        let shop = shop();
        let left = tokio::time::timeout(Duration::from_millis(5), siding.run(&shop, &habit, &meter, call));
        assert!(left.await.is_err());
        assert!(gone.recv().is_err());

        let (call, gone) = endless();
        let mut running = Box::pin(siding.run(&shop, &habit, &meter, call));
        assert!(futures::poll!(&mut running).is_pending());
        siding.turns.close();
        assert!(gone.recv().is_err());
    }

    #[test]
    fn shops_take_turns() {
        let (turns, shops, order) =
            (Arc::new(Turns::default()), [shop(), shop()], Arc::new(Mutex::new(vec![])));
        let tasks: Vec<_> = [(0, "a"), (0, "b"), (0, "c"), (1, "d")]
            .map(|(shop, name)| {
                let (turns, order, shop) = (Arc::clone(&turns), Arc::clone(&order), Arc::clone(&shops[shop]));
                let call = async move {
                    for part in 1..=2 {
                        order.lock().push(format!("{name}{part}"));
                        yield_now().await;
                    }
                };
                let (runnable, task) = async_task::spawn(call, move |call| turns.line_up(&shop, call));
                runnable.schedule();
                task
            })
            .into();
        for _ in 0..4 * 3 {
            turns.next().unwrap().run();
        }
        assert_eq!(order.lock().join(" "), "a1 d1 b1 d2 c1 a2 b2 c2");
        drop(tasks);
    }
}
