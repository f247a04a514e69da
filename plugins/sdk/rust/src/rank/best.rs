//! The best match of each product in each leg.

use super::Candidates;

/// A match.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// Its place in `candidates.matches`.
    pub row: u32,
    /// The place of its product among the products of the leg, from 1.
    pub rank: u32,
    /// The leg's score.
    pub score: f32,
}

/// The best match of each product in each leg.
#[derive(Debug)]
pub struct Best {
    products: usize,
    /// What each leg counts, against its products where it is below 0; 0 where its weight is no number.
    weights: Vec<f64>,
    /// Leg after leg, product after product.
    matches: Vec<Option<Match>>,
}

impl Candidates {
    /// The best match of each product in each leg.
    ///
    /// Ranks count products, not matches: a product with five matching images takes one place of a leg and pushes
    /// nobody down.
    pub fn best(&self) -> Best {
        let products = self.product_count as usize;
        let mut matches = vec![None; self.legs.len() * products];
        let mut ranks = vec![0; self.legs.len()];
        let columns = &self.matches;
        let rows = columns.legs.iter().zip(&columns.products).zip(&columns.scores).zip(0..);
        for (((leg, product), score), row) in rows {
            let (leg, product) = (*leg as usize, *product as usize);
            if leg >= ranks.len() || product >= products {
                continue;
            }
            // Rows stand best first, so the first of a product is its best.
            let best = &mut matches[leg * products + product];
            if best.is_none() {
                ranks[leg] += 1;
                *best = Some(Match { row, rank: ranks[leg], score: *score });
            }
        }
        let weight = |weight: f32| if weight.is_finite() { f64::from(weight) } else { 0.0 };
        let weights = self.legs.iter().map(|leg| weight(leg.weight)).collect();
        Best { products, weights, matches }
    }
}

impl Best {
    /// The best match of a product in a leg, a place in `candidates.legs`.
    pub fn of(&self, leg: usize, product: u32) -> Option<Match> {
        let of_leg = self.matches.chunks_exact(self.products.max(1)).nth(leg)?;
        of_leg.get(product as usize).copied().flatten()
    }

    /// Whether some leg found a product that counts for it.
    pub fn brought(&self, product: u32) -> bool {
        (0..).zip(&self.weights).any(|(leg, weight)| *weight > 0.0 && self.of(leg, product).is_some())
    }

    /// Reciprocal-rank fusion, one score per product: the sum of weight / (k + rank) over the legs, as a share of what
    /// a product gets that is first in every leg with a match that counts for it. So 1 at most, and 0 for what loses
    /// more by legs whose weight is below 0 than it gains by the others.
    /// (Cormack, Clarke, Buettcher: Reciprocal rank fusion, SIGIR 2009; they use k = 60.)
    pub fn fused(&self, k: f64) -> Vec<f64> {
        let mut scores = vec![0.0; self.products];
        let mut most = 0.0;
        for (leg, weight) in self.matches.chunks_exact(self.products.max(1)).zip(&self.weights) {
            if leg.iter().any(Option::is_some) {
                most += weight.max(0.0) / (k + 1.0);
            }
            for (score, found) in scores.iter_mut().zip(leg) {
                *score += found.map_or(0.0, |found| weight / (k + f64::from(found.rank)));
            }
        }
        let share = |score: f64| if most > 0.0 { (score / most).clamp(0.0, 1.0) } else { 0.0 };
        scores.into_iter().map(share).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Sample;

    fn sample() -> Sample {
        Sample::new(&[], &[])
            .cosines("image-vector", "image", &[("a", 0.9), ("a", 0.8), ("b", 0.7)])
            .relevances("text-keyword", "text", &[("b", 5.0), ("c", 4.0)])
    }

    #[test]
    fn ranks_count_products_and_each_has_its_first_match() {
        let best = sample().candidates().best();
        let ranks = |leg| [0, 1, 2].map(|product| best.of(leg, product).map(|found| found.rank));
        assert_eq!(ranks(0), [Some(1), Some(2), None]);
        assert_eq!(ranks(1), [None, Some(1), Some(2)]);
        assert_eq!(best.of(0, 0).map(|found| (found.row, found.score)), Some((0, 0.9)));
        assert!(best.of(2, 0).is_none() && best.of(0, 3).is_none());
    }

    #[test]
    fn fused_scores_are_shares_of_being_first_everywhere() {
        let scores = sample().candidates().best().fused(60.0);
        let most = 2.0 / 61.0;
        let expected = [1.0 / 61.0 / most, (1.0 / 62.0 + 1.0 / 61.0) / most, 1.0 / 62.0 / most];
        assert!(scores.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{scores:?}");
    }

    #[test]
    fn a_leg_without_a_weight_does_not_count() {
        for weight in [0.0, f32::NAN, f32::INFINITY] {
            let sample = Sample::new(&[], &[])
                .cosines("image-vector", "image", &[("a", 0.9)])
                .relevances("text-keyword", "text", &[("b", 5.0)])
                .weight(weight);
            assert_eq!(sample.candidates().best().fused(60.0), [1.0, 0.0], "{weight}");
        }
    }

    #[test]
    fn a_leg_whose_weight_is_below_nothing_takes_and_brings_nothing() {
        let unlike = |weight| {
            let best = Sample::new(&[], &[])
                .cosines("image-vector", "image", &[("a", 0.9), ("b", 0.8)])
                .relevances("text-keyword", "text", &[("a", 5.0), ("c", 4.0)])
                .weight(weight)
                .candidates()
                .best();
            (best.fused(60.0), [0, 1, 2].map(|product| best.brought(product)))
        };
        let (scores, brought) = unlike(-0.5);
        assert_eq!(brought, [true, true, false]);
        assert!((scores[0] - 0.5).abs() < 1e-12 && scores[1] > scores[0] && scores[2] == 0.0, "{scores:?}");
        assert_eq!(unlike(-2.0).0[0], 0.0);
    }

    #[test]
    fn nothing_to_rank_is_no_panic() {
        let candidates = Sample::new(&[], &[]).candidates();
        assert!(candidates.best().fused(60.0).is_empty());
        assert!(candidates.best().of(0, 0).is_none());
    }
}
