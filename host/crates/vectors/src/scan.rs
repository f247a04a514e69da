//! A search that looks at every row: exact, because the bytes only choose whose precise score is computed.

use std::collections::HashSet;

use rayon::prelude::*;
use taja_catalog::{ProductId, port::Neighbour};

use crate::{
    code::Query,
    kernel::{Kernel, prefetch},
    rows::SEGMENT,
    shelf::View,
    shortlist::{Found, Shortlist},
};

/// Segments that one thread takes at least: some hundred microseconds, well above the cost of handing over.
const SEGMENTS_AT_ONCE: usize = 16;
/// Single rows that one thread takes at least.
const SLOTS_AT_ONCE: usize = 1024;

/// What is looked for, and where.
#[derive(Clone, Copy)]
pub(crate) struct Search<'a> {
    /// How it computes.
    pub(crate) kernel: Kernel,
    /// What it reads.
    pub(crate) view: &'a View,
    /// What it looks for.
    pub(crate) queries: &'a [Query],
    /// The products to look at, if not all. They are looked up only for rows that are good enough.
    pub(crate) among: Option<&'a HashSet<ProductId>>,
    /// How many of each.
    pub(crate) k: usize,
}

/// What a thread keeps from segment to segment.
struct Worker {
    lists: Vec<Shortlist>,
    slots: Vec<u32>,
    dots: Vec<i32>,
}

impl Search<'_> {
    /// Whether a slot's product is there and asked for.
    pub(crate) fn admits(&self, slot: u32) -> bool {
        let label = self.view.rows.label(slot);
        label.is_some_and(|label| self.among.is_none_or(|among| among.contains(&label.product)))
    }

    /// Looks at every row. Stops early, with nothing of use, when `unwanted` says so.
    pub(crate) fn all(&self, unwanted: &(dyn Fn() -> bool + Sync)) -> Vec<Shortlist> {
        let segments = (0..self.view.rows.segments()).into_par_iter().with_min_len(SEGMENTS_AT_ONCE);
        let worked = segments.fold(
            || self.worker(),
            |mut worker, at| {
                if !unwanted() {
                    worker.slots.clear();
                    let rows = 0..self.view.rows.segment(at).len();
                    worker.slots.extend(rows.map(|row| (at * SEGMENT + row) as u32));
                    self.look(&mut worker);
                }
                worker
            },
        );
        worked.map(|worker| worker.lists).reduce(|| self.nothing(), merged)
    }

    /// Looks at these rows only.
    pub(crate) fn listed(&self, slots: &[u32], unwanted: &(dyn Fn() -> bool + Sync)) -> Vec<Shortlist> {
        let look = |slots: &[u32]| {
            let mut worker = self.worker();
            for slots in slots.chunks(SEGMENT) {
                if unwanted() {
                    break;
                }
                worker.slots.clear();
                worker.slots.extend_from_slice(slots);
                self.look(&mut worker);
            }
            worker.lists
        };
        if slots.len() <= SLOTS_AT_ONCE {
            return look(slots);
        }
        slots.par_chunks(SLOTS_AT_ONCE).map(look).reduce(|| self.nothing(), merged)
    }

    /// The nearest of every query, best first, by their precise scores.
    pub(crate) fn settle(&self, lists: Vec<Shortlist>) -> Vec<Vec<Neighbour>> {
        let settled = self.queries.par_iter().zip(lists).map(|(query, list)| {
            let found = list.settle(|slot| self.found(query, slot));
            found.into_iter().filter_map(|found| self.neighbour(found)).collect()
        });
        settled.collect()
    }

    fn nothing(&self) -> Vec<Shortlist> {
        vec![Shortlist::new(self.k); self.queries.len()]
    }

    fn worker(&self) -> Worker {
        Worker { lists: self.nothing(), slots: Vec::new(), dots: Vec::new() }
    }

    fn look(&self, worker: &mut Worker) {
        let rows = &self.view.rows;
        worker.slots.retain(|slot| rows.label(*slot).is_some());
        let bytes = |slot: &u32| {
            let (segment, row) = rows.at(*slot);
            segment.high(row)
        };
        let high: Vec<_> = worker.slots.iter().map(bytes).collect();
        for (query, list) in self.queries.iter().zip(&mut worker.lists) {
            self.kernel.dots(&high, query, &mut worker.dots);
            for (slot, dot) in worker.slots.iter().zip(&worker.dots) {
                let (segment, row) = rows.at(*slot);
                let (score, doubt) = (query.score(*dot, *segment.scale(row)), query.doubt(segment.rest(row)));
                if score + doubt >= list.bar() && self.admits(*slot) {
                    list.offer(score, doubt, *slot);
                }
            }
        }
    }

    fn found(&self, query: &Query, slot: u32) -> Found {
        let (segment, row) = self.view.rows.at(slot);
        segment.low(row).iter().for_each(prefetch);
        let score = self.kernel.precise(segment.high(row), segment.low(row), &query.floats);
        let image = segment.label(row).expect("only rows that are somebody's are listed").image;
        // Rounding may carry a cosine past 1, where equal pictures would no longer be equal.
        Found { score: (score * segment.scale(row)).clamp(-1.0, 1.0), image, slot }
    }

    fn neighbour(&self, found: Found) -> Option<Neighbour> {
        let label = self.view.rows.label(found.slot)?;
        Some(Neighbour { product: label.product.clone(), image: label.image, score: found.score })
    }
}

fn merged(one: Vec<Shortlist>, other: Vec<Shortlist>) -> Vec<Shortlist> {
    one.into_iter().zip(other).map(|(one, other)| one.merge(other)).collect()
}
