//! What may be among the nearest, and the nearest of it.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashSet},
};

use taja_catalog::ImageHash;

/// Rows below which a list is not worth trimming.
const TRIM_AT_LEAST: usize = 1024;

/// A row and its score. The greater is the worse, so that a heap's top is what falls out next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Found {
    /// Cosine with the query.
    pub(crate) score: f32,
    /// Decides between equal scores.
    pub(crate) image: ImageHash,
    /// Where it lies.
    pub(crate) slot: u32,
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
pub(crate) struct Best {
    k: usize,
    heap: BinaryHeap<Found>,
}

impl Best {
    /// Nothing yet.
    pub(crate) fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::new() }
    }

    /// The score below which nothing gets in any more.
    pub(crate) fn bar(&self) -> f32 {
        if self.heap.len() < self.k {
            f32::NEG_INFINITY
        } else {
            self.heap.peek().map_or(f32::INFINITY, |worst| worst.score)
        }
    }

    /// Takes it if it is good enough.
    pub(crate) fn offer(&mut self, found: Found) {
        if self.heap.len() < self.k {
            self.heap.push(found);
        } else if let Some(mut worst) = self.heap.peek_mut().filter(|worst| found < **worst) {
            *worst = found;
        }
    }

    /// Best first.
    pub(crate) fn into_sorted(self) -> Vec<Found> {
        self.heap.into_sorted_vec()
    }
}

/// A float with an order; the greater is the worse.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bar(f32);

impl Eq for Bar {}

impl Ord for Bar {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.total_cmp(&self.0)
    }
}

impl PartialOrd for Bar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A row whose score is known up to a doubt.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// The score that it has at most.
    hope: f32,
    doubt: f32,
    slot: u32,
}

/// Every row that may be among the best `k`, by scores that are known up to a doubt.
#[derive(Debug, Clone)]
pub(crate) struct Shortlist {
    k: usize,
    /// The best `k` of the scores that rows have at least.
    bars: BinaryHeap<Bar>,
    rows: Vec<Candidate>,
    trim_at: usize,
}

impl Shortlist {
    /// Nothing yet.
    pub(crate) fn new(k: usize) -> Self {
        Self { k, bars: BinaryHeap::new(), rows: Vec::new(), trim_at: TRIM_AT_LEAST }
    }

    /// The score below which nothing can be among the best.
    pub(crate) fn bar(&self) -> f32 {
        if self.bars.len() < self.k {
            f32::NEG_INFINITY
        } else {
            self.bars.peek().map_or(f32::INFINITY, |bar| bar.0)
        }
    }

    /// Takes a row whose score is this one, give or take `doubt`.
    pub(crate) fn offer(&mut self, score: f32, doubt: f32, slot: u32) {
        if score + doubt < self.bar() {
            return;
        }
        self.rows.push(Candidate { hope: score + doubt, doubt, slot });
        self.raise(Bar(score - doubt));
        if self.rows.len() >= self.trim_at {
            self.trim();
            self.trim_at = TRIM_AT_LEAST.max(self.rows.len() * 2);
        }
    }

    fn raise(&mut self, bar: Bar) {
        if self.bars.len() < self.k {
            self.bars.push(bar);
        } else if let Some(mut worst) = self.bars.peek_mut().filter(|worst| bar < **worst) {
            *worst = bar;
        }
    }

    fn trim(&mut self) {
        let bar = self.bar();
        self.rows.retain(|row| row.hope >= bar);
    }

    /// Number of rows on it.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Both lists in one, where a row may be on both.
    pub(crate) fn merge_distinct(self, other: Self) -> Self {
        let mut both = Self::new(self.k);
        let slots: HashSet<u32> = self.rows.iter().map(|row| row.slot).collect();
        let new = other.rows.into_iter().filter(|row| !slots.contains(&row.slot));
        self.rows
            .into_iter()
            .chain(new)
            .for_each(|row| both.offer(row.hope - row.doubt, row.doubt, row.slot));
        both
    }

    /// Both lists in one; no row is on both.
    pub(crate) fn merge(mut self, other: Self) -> Self {
        other.bars.into_iter().for_each(|bar| self.raise(bar));
        self.rows.extend(other.rows);
        self
    }

    /// The best `k`, best first, by their precise scores: rows are looked at in the order of what they have at most,
    /// until none that is left can get in.
    pub(crate) fn settle(mut self, mut precise: impl FnMut(u32) -> Found) -> Vec<Found> {
        self.trim();
        self.rows.sort_unstable_by(|one, other| other.hope.total_cmp(&one.hope));
        let mut best = Best::new(self.k);
        for row in self.rows {
            if row.hope < best.bar() {
                break;
            }
            best.offer(precise(row.slot));
        }
        best.into_sorted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn doubtful_scores_lose_none_of_the_best(
            scores in prop::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 0..3000),
            doubt in 0.0_f32..0.3,
            k in 0_usize..20,
        ) {
            let image = |slot: u32| ImageHash::of(&slot.to_le_bytes());
            let found = |slot: u32| Found { score: scores[slot as usize].0, image: image(slot), slot };
            let mut lists = [Shortlist::new(k), Shortlist::new(k)];
            for (slot, (score, error)) in (0..).zip(&scores) {
                lists[slot as usize % 2].offer(score + error * doubt, doubt * 1.001 + 1e-6, slot);
            }
            let [one, other] = lists;
            let both = one.clone().merge(other.clone());
            let mut expected: Vec<_> = (0..scores.len() as u32).map(found).collect();
            expected.sort();
            expected.truncate(k);
            prop_assert_eq!(&one.merge(other).settle(found), &expected);
            prop_assert_eq!(both.clone().merge_distinct(both).settle(found), expected);
        }
    }
}
