//! One walk towards a query or a row.

use super::{Links, slots_on, top_of};
use crate::{
    code::{Bytes, Query},
    kernel::{Kernel, prefetch},
    rows::Rows,
};

/// Nodes that a walk on one level hands to the next at most.
const ENTRIES: usize = 24;

/// What is walked towards.
#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    /// A query.
    Query(&'a Query),
    /// A row, by its bytes and its scale.
    Row(&'a [Bytes], f32),
}

/// A node that was met.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Met {
    /// Approximate cosine with the target.
    pub(crate) score: f32,
    /// The node.
    pub(crate) slot: u32,
    /// Whether it is asked for; others only lead on.
    pub(crate) admitted: bool,
    followed: bool,
}

/// The best nodes met so far, and what the walk needs besides. It can be used again.
pub(crate) struct Walk<'a> {
    kernel: Kernel,
    rows: &'a Rows,
    links: &'a Links,
    met: Vec<Met>,
    admitted: usize,
    seen: Seen,
    next: Vec<u32>,
    dots: Vec<i32>,
    /// Rows that were compared.
    pub(crate) visits: usize,
}

impl<'a> Walk<'a> {
    /// Walks over these rows along these links.
    pub(crate) fn new(kernel: Kernel, rows: &'a Rows, links: &'a Links) -> Self {
        let (met, next, dots) = (Vec::new(), Vec::new(), Vec::new());
        Self { kernel, rows, links, met, admitted: 0, seen: Seen::new(), next, dots, visits: 0 }
    }

    /// The nodes met on the level where the last walk ended, best first.
    pub(crate) fn met(&self) -> &[Met] {
        &self.met
    }

    /// Comes near the target on the level above `level`, or on `level` itself when there is none above.
    pub(crate) fn descend(&mut self, target: Target<'_>, level: usize, width: usize) {
        let top = top_of(self.rows.slots()).max(level);
        self.met.clear();
        self.admitted = 0;
        self.next.clear();
        self.next.extend(slots_on(top, self.rows.slots()));
        self.compare(target, width, &|_| true);
        for level in (level + 1..top).rev() {
            let _ = self.spread(target, level, width, &|_| true, usize::MAX);
        }
    }

    /// Goes on from what the level above gave, until the best `width` admitted nodes lead to no better ones. False when
    /// it gave up after `most` visits.
    pub(crate) fn spread(
        &mut self,
        target: Target<'_>,
        level: usize,
        width: usize,
        admits: &dyn Fn(u32) -> bool,
        most: usize,
    ) -> bool {
        self.seen.clear();
        self.met.truncate(ENTRIES);
        self.admitted = 0;
        for met in &mut self.met {
            self.seen.add(met.slot);
            met.followed = false;
            met.admitted = admits(met.slot);
            self.admitted += usize::from(met.admitted);
        }
        let mut at = 0;
        while let Some(met) = self.met.get_mut(at) {
            if std::mem::replace(&mut met.followed, true) {
                at += 1;
                continue;
            }
            let slot = met.slot;
            self.next.clear();
            for link in self.links.of(level, slot) {
                if (link as usize) < self.rows.slots() && self.seen.add(link) {
                    let (segment, row) = self.rows.at(link);
                    prefetch(segment.scale(row));
                    self.next.push(link);
                }
            }
            at = at.min(self.compare(target, width, admits));
            if self.visits > most {
                return false;
            }
        }
        true
    }

    /// Compares the next nodes with the target: the place of the best that was worth keeping.
    fn compare(&mut self, target: Target<'_>, width: usize, admits: &dyn Fn(u32) -> bool) -> usize {
        let rows = self.rows;
        let bytes = |slot: &u32| {
            let (segment, row) = rows.at(*slot);
            segment.high(row)
        };
        let high: Vec<_> = self.next.iter().map(bytes).collect();
        for row in high.iter().take(4) {
            row.iter().for_each(prefetch);
        }
        match target {
            Target::Query(query) => self.kernel.dots(&high, query, &mut self.dots),
            Target::Row(bytes, _) => self.kernel.pairs(&high, bytes, &mut self.dots),
        }
        self.visits += high.len();
        let mut best = usize::MAX;
        for place in 0..self.next.len() {
            let (slot, dot) = (self.next[place], self.dots[place]);
            let (segment, row) = self.rows.at(slot);
            let score = match target {
                Target::Query(query) => query.score(dot, *segment.scale(row)),
                Target::Row(_, scale) => dot as f32 * (scale * segment.scale(row)),
            };
            best = best.min(self.keep(score, slot, width, admits));
        }
        best
    }

    fn keep(&mut self, score: f32, slot: u32, width: usize, admits: &dyn Fn(u32) -> bool) -> usize {
        let full = self.admitted >= width;
        if full && self.met.last().is_some_and(|last| score <= last.score) {
            return usize::MAX;
        }
        let admitted = admits(slot);
        let place = self.met.partition_point(|met| met.score >= score);
        self.met.insert(place, Met { score, slot, admitted, followed: false });
        self.admitted += usize::from(admitted);
        // Everything behind the last admitted one of `width` has no say.
        while self.admitted > width || self.admitted == width && self.met.last().is_some_and(|m| !m.admitted)
        {
            let last = self.met.pop();
            self.admitted -= usize::from(last.is_some_and(|last| last.admitted));
        }
        place
    }
}

/// The nodes that a walk has seen: a hash table, because a mark per node would be as large as the shop.
struct Seen {
    places: Vec<u32>,
    count: usize,
}

impl Seen {
    const AT_LEAST: usize = 4096;
    const NOTHING: u32 = u32::MAX;

    fn new() -> Self {
        Self { places: vec![Self::NOTHING; Self::AT_LEAST], count: 0 }
    }

    fn clear(&mut self) {
        self.places.fill(Self::NOTHING);
        self.count = 0;
    }

    /// True when it was not seen before.
    fn add(&mut self, slot: u32) -> bool {
        if self.count * 2 >= self.places.len() {
            let places = vec![Self::NOTHING; self.places.len() * 2];
            for slot in std::mem::replace(&mut self.places, places) {
                if slot != Self::NOTHING {
                    self.put(slot);
                }
            }
        }
        let new = self.put(slot);
        self.count += usize::from(new);
        new
    }

    fn put(&mut self, slot: u32) -> bool {
        let mask = self.places.len() - 1;
        // Fibonacci hashing: neighbours in number are rarely neighbours in the table.
        let mut at = (slot.wrapping_mul(0x9E37_79B9) >> 8) as usize & mask;
        loop {
            match self.places[at] {
                Self::NOTHING => {
                    self.places[at] = slot;
                    return true;
                }
                found if found == slot => return false,
                _ => at = (at + 1) & mask,
            }
        }
    }
}
