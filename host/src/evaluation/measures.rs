//! How good one answer is: nDCG, recall and reciprocal rank over grades.
//!
//! An answer is the list of the grades of what was found, best place first; 0 for what is not relevant. What there was to
//! find is the list of the grades above 0 of everything that is relevant, in any order.

/// Highest grade: a gain of 1023.
pub const HIGHEST_GRADE: u8 = 10;

/// Normalised discounted cumulative gain of the first `k` places: Järvelin and Kekäläinen, Cumulated gain-based evaluation
/// of IR techniques, TOIS 20(4), 2002; with the gain `2^grade - 1` and the discount `log2(place + 1)` of Burges et al.,
/// Learning to rank using gradient descent, ICML 2005. 1 for the best possible order, 0 where nothing is relevant.
pub fn ndcg(found: &[u8], relevant: &[u8], k: usize) -> f64 {
    let mut best = relevant.to_vec();
    best.sort_unstable_by(|a, b| b.cmp(a));
    let possible = dcg(&best, k);
    if possible > 0.0 { dcg(found, k) / possible } else { 0.0 }
}

fn dcg(grades: &[u8], k: usize) -> f64 {
    let gain = |grade: u8| f64::from(grade.min(HIGHEST_GRADE)).exp2() - 1.0;
    let gains = grades.iter().take(k).zip(2_u32..);
    gains.map(|(grade, place)| gain(*grade) / f64::from(place).log2()).fold(0.0, |sum, gain| sum + gain)
}

/// The share of what is relevant that is among the first `k` places. With more than `k` relevant products it cannot
/// reach 1.
pub fn recall(found: &[u8], relevant: &[u8], k: usize) -> f64 {
    let hits = found.iter().take(k).filter(|grade| **grade > 0).count();
    if relevant.is_empty() { 0.0 } else { hits as f64 / relevant.len() as f64 }
}

/// One over the first place among the first `k` that holds something relevant, 0 if none does: its mean over queries is MRR
/// (Voorhees, The TREC-8 question answering track report, 1999).
pub fn reciprocal_rank(found: &[u8], k: usize) -> f64 {
    let place = found.iter().take(k).position(|grade| *grade > 0);
    place.map_or(0.0, |place| 1.0 / (place + 1) as f64)
}

/// The mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// The smallest value that at least this share of the values does not exceed (nearest rank); 0 of nothing.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(one: f64, other: f64) {
        assert!((one - other).abs() < 1e-6, "{one} is not {other}");
    }

    #[test]
    fn ndcg_is_what_a_hand_computes() {
        // Gains 7, 3, 7, 0, 1, 3 over log2 of 2, 3, 4, 5, 6, 7: 7 + 1.892789 + 3.5 + 0 + 0.386853 + 1.068622 = 13.848264.
        // The best order of 3, 3, 2, 2, 1: 7 + 4.416508 + 1.5 + 1.292030 + 0.386853 = 14.595391.
        close(ndcg(&[3, 2, 3, 0, 1, 2], &[3, 2, 3, 1, 2], 6), 13.848_264 / 14.595_391);
        // Of ten that there are, one is found, in the second place: (1 / log2 3) / the sum of 1 / log2 of 2 to 11.
        close(ndcg(&[0, 1], &[1; 10], 10), 0.630_930 / 4.543_559);
        close(ndcg(&[0, 0, 5], &[5], 10), 0.5);
    }

    #[test]
    fn the_best_order_has_an_ndcg_of_1_and_nothing_relevant_one_of_0() {
        close(ndcg(&[3, 2, 1, 0], &[1, 2, 3], 10), 1.0);
        close(ndcg(&[3, 2], &[1, 2, 3], 2), 1.0);
        assert_eq!(ndcg(&[0, 0], &[1], 10), 0.0);
        assert_eq!(ndcg(&[], &[1], 10), 0.0);
        assert_eq!(ndcg(&[0], &[], 10), 0.0);
        assert_eq!(ndcg(&[0, 0, 1], &[1], 2), 0.0);
    }

    #[test]
    fn recall_is_a_share_of_all_that_is_relevant() {
        close(recall(&[0, 1, 2, 0, 1], &[1, 1, 2, 1], 3), 0.5);
        close(recall(&[0, 1, 2, 0, 1], &[1, 1, 2, 1], 10), 0.75);
        close(recall(&[1; 10], &[1; 60], 10), 1.0 / 6.0);
        assert_eq!(recall(&[], &[1], 10), 0.0);
    }

    #[test]
    fn the_reciprocal_rank_is_of_the_first_relevant_place() {
        close(reciprocal_rank(&[0, 0, 0, 2, 5], 10), 0.25);
        close(reciprocal_rank(&[1], 10), 1.0);
        assert_eq!(reciprocal_rank(&[0, 0, 1], 2), 0.0);
    }

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let values = [40.0, 10.0, 30.0, 20.0];
        assert_eq!(
            [0.0, 0.25, 0.5, 0.51, 0.95, 1.0].map(|share| quantile(&values, share)),
            [10.0, 10.0, 20.0, 30.0, 40.0, 40.0]
        );
        assert_eq!((quantile(&[], 0.5), mean(&[]), mean(&values)), (0.0, 0.0, 25.0));
    }
}
