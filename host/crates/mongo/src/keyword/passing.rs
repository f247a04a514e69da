//! Which of the products that were found pass the filter.
//!
//! They are looked up, the best first, until enough of them pass; or what passes is read, and looked for among them: by
//! the index of fields, or by that of words, which leads to every product that was found. How many of the first ones pass
//! tells which of these has the least to read. That is a guess, for what words find may well pass more or less often than
//! other products; so a way is left before it has read more than the last one would, which needs no guess.

use std::{collections::HashSet, sync::Arc};

use taja_catalog::{PortResult, ProductId};

use super::{
    hits::{Hit, keep, take_best},
    lists::Kept,
    read::{self, Reading},
    search::{Found, Search, aside},
    sought::{keys, sought},
};
use crate::{filter::leads, ranked::Placed};

/// Products looked up at once: a question has to fit a document.
pub(super) const MOST_LOOKED_UP: usize = 4096;
/// What it takes to look a product up, when reading it by an index is one.
const LOOK_UP: usize = 2;

/// What is done next.
#[derive(Debug, PartialEq)]
enum Next {
    /// So many of the best are looked up.
    LookUp(usize),
    /// So many that pass are read by the index of fields.
    ByFields(usize),
    /// All that pass are read by the index of words.
    ByWords,
}

/// What is known of a filter, and what was done to know it.
#[derive(Debug, Default, Clone, Copy)]
struct Known {
    /// Products that were found.
    found: usize,
    /// Products that the shop has, as far as is known.
    products: usize,
    /// Whether the index of fields leads to what passes.
    is_indexed: bool,
    /// Found products that were looked up.
    looked_up: usize,
    /// How many of those pass.
    passing: usize,
    /// Products that pass and were read by the index of fields.
    read: usize,
}

impl Known {
    /// What has the least left to read until so many more pass.
    fn next(&self, missing: usize) -> Next {
        // Laplace's rule: none of a few does not mean none.
        let share = (self.passing + 1) as f64 / (self.looked_up + 2) as f64;
        let to_look_up = ((missing as f64 / share) as usize).min(self.found - self.looked_up);
        let guess = (share * self.products as f64) as usize;
        // Who was wrong, and reads on, expects as much again.
        let to_read = if self.read == 0 { guess } else { guess.saturating_sub(self.read).max(self.read) };
        // Some more, so that it is enough more often than not.
        let look_up = Next::LookUp((to_look_up + to_look_up / 2).clamp(1, MOST_LOOKED_UP));
        let by_fields = Next::ByFields(if self.read == 0 { 2 * to_read.max(1) } else { to_read });
        let ways = [
            (look_up, LOOK_UP * self.looked_up, LOOK_UP * to_look_up),
            (by_fields, self.read, if self.is_indexed { to_read } else { usize::MAX }),
        ];
        let ways = ways.into_iter().filter(|(_, done, left)| done.saturating_add(*left) < self.found);
        ways.min_by_key(|(_, _, left)| *left).map_or(Next::ByWords, |(next, _, _)| next)
    }
}

/// Found products on their way through the filter.
struct Sieve<'a> {
    search: &'a Search<'a>,
    kept: Arc<Kept>,
    known: Known,
    /// Those that pass, in order.
    passing: Vec<Placed>,
    /// Those that come after all that were looked up, in no order.
    others: Vec<Hit>,
}

impl Search<'_> {
    /// The best of those that pass the filter, in order.
    pub(crate) async fn passing(&self, found: Found) -> PortResult<Vec<Placed>> {
        let Found { mut best, others, kept, .. } = found;
        if !self.filter.is_everything() {
            let products = kept.shop.read().size().0;
            let is_indexed = !leads(self.filter).is_empty();
            let known = Known { found: best.len() + others.len(), products, is_indexed, ..Known::default() };
            let sieve = Sieve { search: self, kept, known, passing: Vec::new(), others };
            best = sieve.sift(best).await?;
        }
        best.truncate(self.limit);
        Ok(best)
    }
}

impl Sieve<'_> {
    /// Those that pass, of these and of all that come after them.
    async fn sift(mut self, best: Vec<Placed>) -> PortResult<Vec<Placed>> {
        let Search { collections, tenant, filter, limit, asked, .. } = *self.search;
        let mut reading = None;
        self.look_up(best).await?;
        while self.passing.len() < limit && !self.others.is_empty() {
            match self.known.next(limit - self.passing.len()) {
                Next::LookUp(count) => {
                    let best = self.take(count).await?;
                    self.look_up(best).await?;
                }
                Next::ByFields(count) => {
                    if reading.is_none() {
                        let most = self.known.found;
                        reading = Reading::start(collections, tenant, filter, count, most).await?;
                    }
                    let Some(reading) = &mut reading else {
                        self.known.is_indexed = false;
                        continue;
                    };
                    if reading.go_on(count).await? {
                        let all = std::mem::take(&mut reading.products);
                        return self.finish(all).await;
                    }
                    self.known.read = reading.products.len();
                }
                Next::ByWords => {
                    let keys = keys(&sought(asked));
                    let all = read::all_passing(collections, tenant, &keys, filter).await?;
                    return self.finish(all).await;
                }
            }
        }
        Ok(self.passing)
    }

    /// Asks which of these pass.
    async fn look_up(&mut self, best: Vec<Placed>) -> PortResult<()> {
        if best.is_empty() {
            return Ok(());
        }
        let Search { collections, tenant, filter, .. } = *self.search;
        let products: Vec<_> = best.iter().map(|placed| placed.product.clone()).collect();
        let passing = read::passing(collections, tenant, &products, filter).await?;
        self.known.looked_up += best.len();
        self.known.passing += passing.len();
        let passing: HashSet<ProductId> = passing.into_iter().collect();
        self.passing.extend(best.into_iter().filter(|placed| passing.contains(&placed.product)));
        Ok(())
    }

    /// Takes the best of the others out.
    async fn take(&mut self, count: usize) -> PortResult<Vec<Placed>> {
        let (kept, mut others) = (Arc::clone(&self.kept), std::mem::take(&mut self.others));
        let taken = aside(move || (take_best(&kept.shop.read(), &mut others, count), others));
        let (best, others) = taken.await?;
        self.others = others;
        best
    }

    /// Those that pass, now that all are known that do.
    async fn finish(mut self, all: Vec<ProductId>) -> PortResult<Vec<Placed>> {
        let (kept, mut others) = (Arc::clone(&self.kept), std::mem::take(&mut self.others));
        let missing = self.search.limit - self.passing.len();
        let more = aside(move || {
            let shop = kept.shop.read();
            keep(&shop, &mut others, &all);
            take_best(&shop, &mut others, missing)
        });
        self.passing.extend(more.await??);
        Ok(self.passing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A filter that so many of the best 400 passed, of 20,000 found in a shop of 100,000.
    fn known(passing: usize) -> Known {
        Known { found: 20_000, products: 100_000, is_indexed: true, looked_up: 400, passing, read: 0 }
    }

    #[test]
    fn a_filter_that_few_pass_is_asked_by_its_index_and_one_that_many_pass_by_the_best() {
        assert_eq!(known(0).next(100), Next::ByFields(496));
        assert_eq!(known(4).next(96), Next::ByFields(2486));
        assert_eq!(known(40).next(60), Next::LookUp(882));
        assert_eq!(known(90).next(10), Next::LookUp(66));
    }

    #[test]
    fn what_no_index_leads_to_is_looked_for_among_what_was_found() {
        let known = Known { is_indexed: false, ..known(0) };
        assert_eq!(known.next(100), Next::ByWords);
        assert!(matches!(known.next(1), Next::LookUp(600..=603)));
    }

    #[test]
    fn a_wrong_guess_is_left_before_it_has_read_more_than_was_found() {
        let mut known = known(0);
        let mut steps = 0;
        while let Next::ByFields(count) = known.next(100) {
            known.read += count;
            steps += 1;
        }
        assert_eq!(known.next(100), Next::ByWords);
        assert!(known.read < known.found && steps < 9, "{known:?} after {steps} steps");
        known = self::known(90);
        while let Next::LookUp(count) = known.next(10) {
            known.looked_up += count;
        }
        assert!(matches!(known.next(10), Next::ByFields(_)), "few of all pass, then");
        assert!(LOOK_UP * known.looked_up < known.found, "{known:?}");
    }

    #[test]
    fn a_word_that_few_have_is_read_whole() {
        let known = Known { found: 500, ..known(4) };
        assert_eq!(known.next(96), Next::ByWords);
    }
}
