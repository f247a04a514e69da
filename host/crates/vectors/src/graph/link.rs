//! Links nodes that are new.

use super::{DEGREE, Graph, Links, PLACES, Target, Walk, level_of, top_of};
use crate::{kernel::Kernel, rows::Rows};

/// Nodes that are kept on the way to a new one's place.
const WIDTH: usize = 96;
/// Nodes that are kept on the levels above.
const UPPER_WIDTH: usize = 32;
/// A near node is left out when a nearer one lies this many times closer to it (squared distances; DiskANN's `alpha`).
const SLACK: f32 = 1.2;
/// Chosen nodes that are compared at once.
const AT_ONCE: usize = 8;

/// A node beside another, with their cosine.
pub(super) type Near = (f32, u32);

/// Writes links. Each thread has its own.
pub(crate) struct Linker<'a> {
    graph: &'a Graph,
    pub(super) kernel: Kernel,
    pub(super) rows: &'a Rows,
    pub(super) links: &'a Links,
    walk: Walk<'a>,
    dots: Vec<i32>,
}

impl<'a> Linker<'a> {
    /// Writes into `links`, which must be those of `graph` with room for all of `rows`.
    pub(crate) fn new(kernel: Kernel, graph: &'a Graph, rows: &'a Rows, links: &'a Links) -> Self {
        Self { graph, kernel, rows, links, walk: Walk::new(kernel, rows, links), dots: Vec::new() }
    }

    /// Links a slot with its nearest on every level that it is on.
    pub(crate) fn link(&mut self, slot: u32) {
        let rows = self.rows;
        if rows.label(slot).is_none() {
            return;
        }
        let (segment, row) = rows.at(slot);
        let target = Target::Row(segment.high(row), *segment.scale(row));
        let (highest, top) = (level_of(slot), top_of(rows.slots()));
        for level in (0..=highest).rev() {
            if level == highest || level + 1 >= top {
                self.walk.descend(target, level, UPPER_WIDTH);
            }
            let admits = |other: u32| other != slot && rows.label(other).is_some();
            let _ = self.walk.spread(target, level, WIDTH, &admits, usize::MAX);
            let met = self.walk.met().iter().filter(|met| met.admitted);
            let near: Vec<Near> = met.map(|met| (met.score, met.slot)).collect();
            let chosen = self.pruned(&near);
            self.begin(level, slot, &chosen);
            for (score, other) in near {
                if chosen.contains(&other) {
                    self.add(level, other, (score, slot));
                }
            }
        }
    }

    /// A new node's own list. Others may have linked it already.
    fn begin(&mut self, level: usize, slot: u32, chosen: &[u32]) {
        let _writing = self.graph.lock(slot).lock();
        let mut list = chosen.to_vec();
        list.extend(self.links.of(level, slot).filter(|link| !chosen.contains(link)));
        self.links.write(level, slot, &list);
    }

    fn add(&mut self, level: usize, slot: u32, new: Near) {
        let graph = self.graph;
        let _writing = graph.lock(slot).lock();
        let mut list: Vec<u32> = self.links.of(level, slot).collect();
        if list.contains(&new.1) {
            return;
        }
        list.push(new.1);
        if list.len() > PLACES {
            let near = self.by_nearness(slot, &list);
            list = self.pruned(&near);
        }
        self.links.write(level, slot, &list);
    }

    /// Nodes with their cosine with a slot, nearest first.
    pub(super) fn by_nearness(&mut self, slot: u32, list: &[u32]) -> Vec<Near> {
        let (rows, mut near) = (self.rows, Vec::with_capacity(list.len()));
        let (segment, row) = rows.at(slot);
        self.compare(list, slot);
        let scale = *segment.scale(row);
        for (other, dot) in list.iter().zip(&self.dots) {
            let (segment, row) = rows.at(*other);
            near.push((*dot as f32 * (scale * segment.scale(row)), *other));
        }
        near.sort_unstable_by(|one, other| other.0.total_cmp(&one.0));
        near
    }

    /// Chooses at most `DEGREE` of these, nearest first, that lie in different directions.
    pub(super) fn pruned(&mut self, near: &[Near]) -> Vec<u32> {
        let mut chosen: Vec<u32> = Vec::with_capacity(DEGREE);
        for (score, slot) in near {
            if chosen.len() == DEGREE {
                break;
            }
            if !self.is_behind(*slot, distance(*score), &chosen) {
                chosen.push(*slot);
            }
        }
        chosen
    }

    /// Whether one of the chosen lies closer to a node than that, by the slack.
    fn is_behind(&mut self, slot: u32, than: f32, chosen: &[u32]) -> bool {
        let rows = self.rows;
        let (segment, row) = rows.at(slot);
        let scale = *segment.scale(row);
        chosen.chunks(AT_ONCE).any(|some| {
            self.compare(some, slot);
            some.iter().zip(&self.dots).any(|(other, dot)| {
                let (segment, row) = rows.at(*other);
                SLACK * distance(*dot as f32 * (scale * segment.scale(row))) < than
            })
        })
    }

    /// The products of a slot with others, into `dots`.
    fn compare(&mut self, list: &[u32], slot: u32) {
        let rows = self.rows;
        let bytes = |slot: u32| {
            let (segment, row) = rows.at(slot);
            segment.high(row)
        };
        let high: Vec<_> = list.iter().map(|slot| bytes(*slot)).collect();
        self.kernel.pairs(&high, bytes(slot), &mut self.dots);
    }
}

/// The squared distance of unit vectors with this cosine.
fn distance(cosine: f32) -> f32 {
    (2.0 - 2.0 * cosine).max(0.0)
}
