//! The one background thread of an index: who has it begin, what it does, who ends it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use parking_lot::{Condvar, Mutex, RwLock};

use crate::{
    gardener::{Gardener, may_need},
    index::Inner,
    shelf::Shelf,
};

/// What searches and all else go before.
const NICENESS: i32 = 10;

/// What is done in the background.
#[derive(Debug, Default)]
pub(crate) struct Background {
    beds: Mutex<Beds>,
    settled: Condvar,
    stop: AtomicBool,
}

/// Shelves to be tended, and the thread that does.
#[derive(Debug, Default)]
struct Beds {
    waiting: Vec<Arc<RwLock<Shelf>>>,
    gardener: Option<thread::JoinHandle<()>>,
    busy: bool,
}

impl Background {
    /// Waits, on this thread, until nothing is left to do.
    pub(crate) fn settle(&self) {
        let mut beds = self.beds.lock();
        while beds.busy {
            self.settled.wait(&mut beds);
        }
    }

    /// The next shelf to be tended; when there is none, the thread that asks must end.
    fn next(&self) -> Option<Arc<RwLock<Shelf>>> {
        let mut beds = self.beds.lock();
        let next = beds.waiting.pop().filter(|_| !self.stop.load(Ordering::Relaxed));
        if next.is_none() {
            beds.busy = false;
            self.settled.notify_all();
        }
        next
    }
}

/// Ends the background work when it is dropped.
#[derive(Debug)]
pub(crate) struct Owner(pub(crate) Arc<Inner>);

impl Drop for Owner {
    fn drop(&mut self) {
        let background = &self.0.background;
        background.stop.store(true, Ordering::Relaxed);
        let gardener = background.beds.lock().gardener.take();
        if let Some(gardener) = gardener {
            // It looks at `stop` between two nodes. Its panic was logged by the panic hook.
            let _ = gardener.join();
        }
    }
}

impl Inner {
    /// Has a shelf tended in the background if it needs it.
    pub(crate) fn tend(self: &Arc<Self>, shelf: &Arc<RwLock<Shelf>>) {
        if !may_need(&shelf.read_recursive(), self.chooser()) {
            return;
        }
        let mut beds = self.background.beds.lock();
        if !beds.waiting.iter().any(|waiting| Arc::ptr_eq(waiting, shelf)) {
            beds.waiting.push(Arc::clone(shelf));
        }
        if !beds.busy && !self.background.stop.load(Ordering::Relaxed) {
            let inner = Arc::clone(self);
            let spawned = thread::Builder::new().name("taja-gardener".into()).spawn(move || inner.garden());
            match spawned {
                Ok(gardener) => (beds.busy, beds.gardener) = (true, Some(gardener)),
                // Searches go on to scan; the next write tries again.
                Err(error) => tracing::warn!(%error, "no thread to grow a vector graph"),
            }
        }
    }

    fn garden(&self) {
        // Threads that it begins are as low.
        if let Err(error) = rustix::process::nice(NICENESS) {
            tracing::warn!(%error, "vector graphs grow at the priority of searches");
        }
        while let Some(shelf) = self.background.next() {
            let gardener = Gardener { chooser: self.chooser(), stop: &self.background.stop };
            // A shelf whose graph cannot be grown is still scanned.
            let _ = catch_unwind(AssertUnwindSafe(|| gardener.tend(&shelf)));
        }
    }
}
