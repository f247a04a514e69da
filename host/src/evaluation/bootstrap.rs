//! How far a figure over a sample may be from that over everything: the bootstrap.
//!
//! Efron and Tibshirani, An introduction to the bootstrap, 1993, chapter 13: the sample is drawn from again, as often as it
//! is long, and the middle 95 % of what the figure comes to is its interval. Two figures over the same queries are compared
//! by their difference on each draw (Sakai, Evaluating evaluation metrics based on the bootstrap, SIGIR 2006): what makes
//! a query hard for both does not count.

use serde::{Deserialize, Serialize};

/// Draws: the ends of an interval vary by about a percent of its width from one seed to another.
const DRAWS: usize = 2000;
/// What is outside of an interval on each side.
const TAIL: f64 = 0.025;
/// The same sample has the same interval, on every machine.
const SEED: u64 = 0x7461_6a61;

/// A figure with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Over the sample.
    pub value: f64,
    /// 2.5 % of the draws are below.
    pub low: f64,
    /// 2.5 % of the draws are above.
    pub high: f64,
}

impl Interval {
    /// Whether all of it is below 0.
    pub fn is_below_zero(&self) -> bool {
        self.high < 0.0
    }

    /// Whether 0 is outside of it.
    pub fn is_off_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// The interval of a figure over a sample.
pub fn interval(sample: &[f64], figure: impl Fn(&[f64]) -> f64) -> Interval {
    drawn(sample.len(), |places| figure(&taken(sample, places)))
}

/// The interval of the difference of a figure over one sample to that over another, whose values belong together by their
/// place; none when the samples are not of one length.
pub fn difference(sample: &[f64], base: &[f64], figure: impl Fn(&[f64]) -> f64) -> Option<Interval> {
    let both = |places: &[usize]| figure(&taken(sample, places)) - figure(&taken(base, places));
    (sample.len() == base.len()).then(|| drawn(sample.len(), both))
}

fn taken(sample: &[f64], places: &[usize]) -> Vec<f64> {
    places.iter().map(|place| sample[*place]).collect()
}

fn drawn(length: usize, figure: impl Fn(&[usize]) -> f64) -> Interval {
    let mut places: Vec<usize> = (0..length).collect();
    let value = figure(&places);
    let mut random = SplitMix::new(SEED);
    let mut draws: Vec<f64> = (0..DRAWS)
        .map(|_| {
            places.iter_mut().for_each(|place| *place = random.below(length));
            figure(&places)
        })
        .collect();
    draws.sort_unstable_by(f64::total_cmp);
    let outside = (TAIL * DRAWS as f64) as usize;
    Interval { value, low: draws[outside], high: draws[DRAWS - 1 - outside] }
}

/// Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
pub struct SplitMix(u64);

impl SplitMix {
    /// The numbers that follow from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A place below `length`; the bias of multiplying is `length` in 2^64.
    pub fn below(&mut self, length: usize) -> usize {
        ((u128::from(self.next()) * length as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::measures::{mean, quantile},
        *,
    };

    #[test]
    fn the_interval_of_a_mean_is_that_of_the_normal_distribution() {
        // 50 zeros and 50 ones: the mean's standard error is 0.05, so 95 % lie within 0.098 of 0.5.
        let sample: Vec<f64> = (0..100).map(|n| f64::from(n % 2)).collect();
        let interval = interval(&sample, mean);
        assert_eq!(interval.value, 0.5);
        assert!(
            (interval.low - 0.402).abs() < 0.015 && (interval.high - 0.598).abs() < 0.015,
            "{interval:?}"
        );
    }

    #[test]
    fn a_small_difference_on_every_query_shows_through_large_ones_between_queries() {
        let base: Vec<f64> = (0..40).map(|n| f64::from(n % 2)).collect();
        let better: Vec<f64> = base.iter().map(|value| value * 0.9 + 0.06).collect();
        // Unpaired, the intervals overlap nearly whole.
        let (one, other) = (interval(&base, mean), interval(&better, mean));
        assert!(one.low < other.value && other.low < one.value);
        let paired = difference(&better, &base, mean).unwrap();
        assert!((paired.value - 0.01).abs() < 1e-12, "{paired:?}");
        assert!(paired.high - paired.low < 0.035, "{paired:?}");
        let worse =
            difference(&base, &base.iter().map(|value| value + 0.01).collect::<Vec<_>>(), mean).unwrap();
        assert!(worse.is_below_zero() && worse.is_off_zero(), "{worse:?}");
    }

    #[test]
    fn the_same_sample_has_the_same_interval_and_no_difference_to_itself() {
        let sample = [0.1, 0.9, 0.4, 0.7];
        assert_eq!(interval(&sample, mean), interval(&sample, mean));
        let none = difference(&sample, &sample, mean).unwrap();
        assert_eq!((none.low, none.value, none.high), (0.0, 0.0, 0.0));
        assert!(!none.is_off_zero());
        assert_eq!(difference(&sample, &sample[1..], mean), None);
    }

    #[test]
    fn nothing_has_an_interval_of_nothing_and_one_value_that_of_itself() {
        let (nothing, one) = (interval(&[], mean), interval(&[3.0], |values| quantile(values, 0.5)));
        assert_eq!((nothing.low, nothing.high), (0.0, 0.0));
        assert_eq!((one.low, one.value, one.high), (3.0, 3.0, 3.0));
    }

    #[test]
    fn draws_are_those_of_the_published_generator() {
        // The first numbers of the reference implementation in C, seeded with 1234567.
        let mut random = SplitMix::new(1_234_567);
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }
}
