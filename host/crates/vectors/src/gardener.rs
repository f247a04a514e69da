//! Grows graphs in the background: links what is new, leads around what is gone, measures what it has.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use parking_lot::{Mutex, RwLock};

use crate::{
    choice::Chooser,
    graph::{Graph, Linker, Links, Slots, level_of},
    rows::SEGMENT,
    shelf::{Shelf, View},
    tune::tune,
};

/// How much dearer than a walk a scan must be before a graph is grown: it costs time to build and memory to keep.
const GAIN: f64 = 4.0;
/// The visits of a walk to expect before there are any.
const VISITS: f64 = 1000.0;
/// Rows below which nothing is measured: they are scanned faster than a thread begins.
const ROWS_AT_LEAST: usize = 2048;
/// Nodes that are linked before the shop's lock is taken to say so.
const LINKED_AT_ONCE: usize = 4096;
/// Nodes below which one thread links them all.
const FEW: usize = 32;
/// One removed row of so many is led around.
const DEAD_SHARE: usize = 8;

/// What a shop needs next.
enum Need {
    Nothing,
    Grow,
    StartOver,
    Bury(usize),
    Link,
    Tune,
}

/// The means of growing.
pub(crate) struct Gardener<'a> {
    /// How it computes, and what that costs.
    pub(crate) chooser: Chooser<'a>,
    /// Set when all must end.
    pub(crate) stop: &'a AtomicBool,
}

/// Whether a shop may need a gardener, from what is known without measuring.
pub(crate) fn may_need(shelf: &Shelf, chooser: Chooser<'_>) -> bool {
    !matches!(need(shelf, chooser), Need::Nothing)
}

fn need(shelf: &Shelf, chooser: Chooser<'_>) -> Need {
    let (len, dead) = (shelf.len(), shelf.dead().len());
    let Some(graph) = shelf.graph() else {
        let walk = VISITS * chooser.rates.visit.nanoseconds();
        let scan = len as f64 * chooser.rates.scan.nanoseconds();
        let worth_it = match chooser.walk_from {
            Some(rows) => len >= rows,
            None => len >= ROWS_AT_LEAST && scan > GAIN * walk,
        };
        return if worth_it { Need::Grow } else { Need::Nothing };
    };
    if len * 2 + SEGMENT < shelf.slots() {
        Need::StartOver
    } else if dead > SEGMENT && dead * DEAD_SHARE > len {
        Need::Bury(dead)
    } else if shelf.pending() > 0 {
        Need::Link
    } else if graph.tuned_at() == 0 || len > graph.tuned_at() + graph.tuned_at() / 2 {
        Need::Tune
    } else {
        Need::Nothing
    }
}

impl Gardener<'_> {
    /// Does what a shop needs until it needs nothing more.
    pub(crate) fn tend(&self, shelf: &RwLock<Shelf>) {
        while !self.stopped() {
            let need = need(&shelf.read_recursive(), self.chooser);
            match need {
                Need::Nothing => return,
                Need::Grow => self.grow(shelf),
                Need::StartOver => self.start_over(shelf),
                Need::Bury(count) => self.bury(shelf, count),
                Need::Link => self.link(shelf),
                Need::Tune => self.tune(shelf),
            }
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Begins a graph, coarse levels first: what is linked later finds its way over them.
    fn grow(&self, shelf: &RwLock<Shelf>) {
        let slots = shelf.read_recursive().slots();
        let mut order: Vec<u32> = Vec::with_capacity(slots);
        // In strides, so that nodes that are linked at the same time are not neighbours in the catalogue.
        let stride = (slots / 64).max(1);
        let strided = (0..stride).flat_map(|first| (first..slots).step_by(stride)).map(|slot| slot as u32);
        order.extend(strided);
        order.sort_by_key(|slot| level_of(*slot));
        shelf.write().begin_graph(order);
    }

    /// More than half is gone: the rest moves together, and its graph is grown anew if it is still worth it.
    fn start_over(&self, shelf: &RwLock<Shelf>) {
        shelf.write().drop_graph();
        while !self.stopped() && shelf.write().close_holes() {}
    }

    fn link(&self, shelf: &RwLock<Shelf>) {
        let view = shelf.read_recursive().view();
        let Some(graph) = &view.graph else { return };
        let pending = &view.pending;
        let batch = &pending[pending.len().saturating_sub(LINKED_AT_ONCE)..];
        let links = graph.links_for(view.rows.slots());
        let began = Instant::now();
        self.in_parallel(batch, Linker::link, graph, &view, &links);
        if !self.stopped() {
            tracing::debug!(slots = batch.len(), took = ?began.elapsed(), "vectors linked");
            shelf.write().linked(pending.len(), batch.len());
        }
    }

    fn bury(&self, shelf: &RwLock<Shelf>, count: usize) {
        let (view, dead) = {
            let shelf = shelf.read_recursive();
            (shelf.view(), shelf.dead()[..count].to_vec())
        };
        let Some(graph) = &view.graph else { return };
        let (gone, links) = (Slots::of(&dead), graph.links_for(view.rows.slots()));
        let all: Vec<u32> = (0..view.rows.slots() as u32).collect();
        let alone = Mutex::new(Vec::new());
        let mend = |linker: &mut Linker<'_>, slot| {
            if linker.mend(slot, &gone) {
                alone.lock().push(slot);
            }
        };
        self.in_parallel(&all, mend, graph, &view, &links);
        if !self.stopped() {
            self.in_parallel(&dead, |linker, slot| linker.bury(slot), graph, &view, &links);
            shelf.write().buried(count, &alone.into_inner());
        }
    }

    fn tune(&self, shelf: &RwLock<Shelf>) {
        let view = shelf.read_recursive().view();
        let Some(graph) = &view.graph else { return };
        tune(self.chooser, graph, &view, &|| self.stopped());
        graph.set_tuned_at(view.len.max(1));
    }

    /// Each slot once, from the last to the first, by as many threads as there are cores. They are not the pool's:
    /// searches would queue behind them.
    fn in_parallel<'a>(
        &self,
        slots: &[u32],
        work: impl Fn(&mut Linker<'a>, u32) + Sync,
        graph: &'a Graph,
        view: &'a View,
        links: &'a Links,
    ) {
        let left = AtomicUsize::new(slots.len());
        let run = || {
            let mut linker = Linker::new(self.chooser.kernel, graph, &view.rows, links);
            while !self.stopped() {
                let taken =
                    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
                let Ok(last) = taken else { return };
                work(&mut linker, slots[last - 1]);
            }
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let helpers = if slots.len() < FEW { 0 } else { cores - 1 };
        thread::scope(|scope| {
            (0..helpers).for_each(|_| drop(scope.spawn(run)));
            run();
        });
    }
}
