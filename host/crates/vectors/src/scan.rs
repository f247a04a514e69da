//! One search: every allowed row with every query, and the best of each.

use std::{cmp::Ordering, collections::BinaryHeap};

use rayon::prelude::*;
use taja_catalog::{ImageHash, port::Neighbour};

use crate::{
    kernel::{Kernel, Lane},
    shelf::{Place, Snapshot},
};

/// Segments that one thread takes at least: 2 MiB, some hundred microseconds, well above the cost of handing over.
const SEGMENTS_AT_ONCE: usize = 8;

/// A row and its score. The greater is the worse, so that a heap's top is what falls out next.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Found {
    score: f32,
    image: ImageHash,
    place: Place,
}

impl Eq for Found {}

impl Ord for Found {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.image.cmp(&other.image))
    }
}

impl PartialOrd for Found {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The best `k` of what it was offered.
#[derive(Debug, Clone)]
struct Best {
    k: usize,
    heap: BinaryHeap<Found>,
}

impl Best {
    fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::new() }
    }

    /// The score below which nothing gets in any more.
    fn bar(&self) -> f32 {
        if self.heap.len() < self.k {
            f32::NEG_INFINITY
        } else {
            self.heap.peek().map_or(f32::INFINITY, |w| w.score)
        }
    }

    fn offer(&mut self, found: Found) {
        if self.heap.len() < self.k {
            self.heap.push(found);
        } else if let Some(mut worst) = self.heap.peek_mut().filter(|worst| found < **worst) {
            *worst = found;
        }
    }

    fn merge(mut self, other: Self) -> Self {
        other.heap.into_iter().for_each(|found| self.offer(found));
        self
    }
}

/// A search that reads a snapshot.
pub(crate) struct Scan<'a> {
    /// How it computes.
    pub(crate) kernel: Kernel,
    /// What it reads.
    pub(crate) snapshot: &'a Snapshot,
    /// What it looks for.
    pub(crate) queries: &'a [Vec<Lane>],
    /// How many of each.
    pub(crate) k: usize,
}

/// What a thread keeps from segment to segment.
struct Worker {
    best: Vec<Best>,
    picks: Vec<u32>,
    scores: Vec<f32>,
}

impl Scan<'_> {
    /// The nearest of every query, best first. Stops early, with nothing of use, when `unwanted` says so.
    pub(crate) fn run(&self, stride: usize, unwanted: impl Fn() -> bool + Sync) -> Vec<Vec<Neighbour>> {
        let fresh =
            || Worker { best: vec![Best::new(self.k); self.queries.len()], picks: vec![], scores: vec![] };
        let segments = self.snapshot.segments.par_iter().enumerate().with_min_len(SEGMENTS_AT_ONCE);
        let best = segments
            .fold(fresh, |mut worker, (segment, _)| {
                if !unwanted() {
                    self.segment(segment, stride, &mut worker);
                }
                worker
            })
            .map(|worker| worker.best)
            .reduce(
                || fresh().best,
                |one, other| one.into_iter().zip(other).map(|(a, b)| a.merge(b)).collect(),
            );
        best.into_iter().map(|best| self.neighbours(best)).collect()
    }

    fn segment(&self, at: usize, stride: usize, worker: &mut Worker) {
        let segment = &self.snapshot.segments[at];
        segment.pick(self.snapshot.allowed.as_ref(), &mut worker.picks);
        if worker.picks.is_empty() {
            return;
        }
        self.kernel.scores(segment.rows(stride), &worker.picks, self.queries, &mut worker.scores);
        for (best, scores) in worker.best.iter_mut().zip(worker.scores.chunks(worker.picks.len())) {
            for (row, score) in worker.picks.iter().zip(scores) {
                // Rounding may carry a cosine past 1, where equal pictures would no longer be equal.
                let score = score.clamp(-1.0, 1.0);
                if score >= best.bar() {
                    let place = Place { segment: at as u32, row: *row };
                    best.offer(Found { score, image: segment.label(*row).image, place });
                }
            }
        }
    }

    fn neighbours(&self, best: Best) -> Vec<Neighbour> {
        let neighbour = |found: Found| {
            let label = self.snapshot.segments[found.place.segment as usize].label(found.place.row);
            Neighbour { product: label.product.clone(), image: label.image, score: found.score }
        };
        best.heap.into_sorted_vec().into_iter().map(neighbour).collect()
    }
}
