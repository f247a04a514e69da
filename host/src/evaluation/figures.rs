//! Figures over the answers to a set of queries, and how far they are from those of other answers.

use std::{cmp::Reverse, collections::BTreeMap};

use serde::{Deserialize, Serialize};

pub use super::measures::quantile;
use super::{
    bootstrap::{Interval, difference, interval},
    measures::{mean, ndcg, recall, reciprocal_rank},
};

/// Places that nDCG and MRR look at.
pub const PLACES: usize = 10;

/// The answer to one query. Of one that failed nothing was found.
#[derive(Debug, Default)]
pub struct Answer {
    /// The grade of each found product, best place first.
    pub found: Vec<u8>,
    /// The relevant products that were found, by the names that the judgements have for them.
    pub hits: Vec<(usize, String)>,
    /// What there was to find.
    pub relevant: BTreeMap<String, u8>,
}

impl Answer {
    /// Gives each match the grade of its product, which the judgements know by any of its names. A match has one product,
    /// or several that are a group, each with its names. A name counts once. Of a group the best grade counts, and the
    /// others of it are no more to be found: a match has one place.
    pub fn graded<'a, Match, Names>(
        matches: impl IntoIterator<Item = Match>,
        mut relevant: BTreeMap<String, u8>,
    ) -> Self
    where
        Match: IntoIterator<Item = Names>,
        Names: IntoIterator<Item = &'a str>,
    {
        let mut open = relevant.clone();
        let (mut found, mut hits) = (Vec::new(), Vec::new());
        for (place, one) in matches.into_iter().enumerate() {
            let mut graded: Vec<(String, u8)> =
                one.into_iter().filter_map(|names| taken(&mut open, names)).collect();
            // The earliest of the best ones stays in front.
            graded.sort_by_key(|(_, grade)| Reverse(*grade));
            let mut graded = graded.into_iter();
            let best = graded.next();
            for (name, _) in graded {
                relevant.remove(&name);
            }
            found.push(best.as_ref().map_or(0, |(_, grade)| *grade));
            hits.extend(best.map(|(name, _)| (place, name)));
        }
        Self { found, hits, relevant }
    }
}

/// Takes out what is known of a product, by the first of its names.
fn taken<'a>(
    open: &mut BTreeMap<String, u8>,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<(String, u8)> {
    names.into_iter().find_map(|name| open.remove_entry(name))
}

/// A figure, and how far it is from that of the first column.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figure {
    /// What is measured.
    pub measure: String,
    /// The figure.
    #[serde(flatten)]
    pub interval: Interval,
    /// The difference to the first column, query by query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Interval>,
}

impl Figure {
    /// The figure with its interval, and the difference, marked where its interval is off 0.
    pub fn told(&self) -> String {
        let digits = if self.measure.ends_with("_ms") { 1 } else { 3 };
        let Interval { value, low, high } = self.interval;
        let figure = format!("{value:.digits$} [{low:.digits$}, {high:.digits$}]");
        let Some(difference) = self.difference else { return figure };
        let Interval { value, low, high } = difference;
        let mark = if difference.is_off_zero() { "*" } else { "" };
        format!("{figure}\n{value:+.digits$}{mark} [{low:+.digits$}, {high:+.digits$}]")
    }
}

/// The difference of the first figure, which is nDCG, where that is below the first column's beyond what chance explains:
/// the whole interval is below 0.
pub fn worse(figures: &[Figure]) -> Option<Interval> {
    figures.first()?.difference.filter(Interval::is_below_zero)
}

/// The values that a figure is made of.
pub struct Sample {
    /// What is measured.
    pub measure: String,
    /// The values.
    pub values: Vec<f64>,
    /// What makes the figure of them.
    pub figure: fn(&[f64]) -> f64,
}

impl Sample {
    fn figure(&self, first: Option<&Self>) -> Figure {
        Figure {
            measure: self.measure.clone(),
            interval: interval(&self.values, self.figure),
            difference: first.and_then(|first| difference(&self.values, &first.values, self.figure)),
        }
    }
}

/// The figures of samples, each with its difference to that of the first column when there is one.
pub fn figures(samples: &[Sample], first: Option<&[Sample]>) -> Vec<Figure> {
    match first {
        None => samples.iter().map(|sample| sample.figure(None)).collect(),
        Some(first) => samples.iter().zip(first).map(|(sample, first)| sample.figure(Some(first))).collect(),
    }
}

/// What the quality of answers is measured by, nDCG first. Recall and coverage look at the first `k` places.
pub fn samples(answers: &[Answer], k: usize) -> Vec<Sample> {
    let by_query = |measure: String, value: &dyn Fn(&[u8], &[u8]) -> f64| {
        let value = |answer: &Answer| {
            let relevant: Vec<u8> = answer.relevant.values().copied().collect();
            value(&answer.found, &relevant)
        };
        Sample { measure, values: answers.iter().map(value).collect(), figure: mean }
    };
    vec![
        by_query(format!("ndcg@{PLACES}"), &|found, relevant| ndcg(found, relevant, PLACES)),
        by_query(format!("recall@{k}"), &|found, relevant| recall(found, relevant, k)),
        by_query(format!("mrr@{PLACES}"), &|found, _| reciprocal_rank(found, PLACES)),
        Sample { measure: format!("coverage@{k}"), values: covered(answers, k), figure: mean },
    ]
}

/// For every product that is relevant to some query, whether it is among the first `k` of any query that it is relevant
/// to. The mean of it is the coverage of the catalogue (Ge, Delgado-Battenfeld and Jannach, Beyond accuracy, RecSys 2010), taken
/// of the products that ought to be found. Its interval is over products, not over queries.
fn covered(answers: &[Answer], k: usize) -> Vec<f64> {
    let mut products: BTreeMap<&str, f64> = BTreeMap::new();
    for answer in answers {
        for product in answer.relevant.keys() {
            products.entry(product).or_default();
        }
        for (_, product) in answer.hits.iter().filter(|(place, _)| *place < k) {
            products.insert(product, 1.0);
        }
    }
    products.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relevant<const N: usize>(grades: [(&str, u8); N]) -> BTreeMap<String, u8> {
        grades.map(|(name, grade)| (name.to_owned(), grade)).into()
    }

    fn answer(found: &[u8], hits: &[(usize, &str)], relevant: &[&str]) -> Answer {
        Answer {
            found: found.to_vec(),
            hits: hits.iter().map(|(place, name)| (*place, (*name).to_owned())).collect(),
            relevant: relevant.iter().map(|name| ((*name).to_owned(), 1)).collect(),
        }
    }

    fn two_queries() -> Vec<Answer> {
        vec![
            answer(&[1, 0, 0], &[(0, "a")], &["a", "b"]),
            answer(&[0, 1, 1], &[(1, "a"), (2, "c")], &["a", "c", "d", "e"]),
        ]
    }

    #[test]
    fn a_product_is_known_by_any_of_its_names_and_counts_once() {
        let matches =
            [vec![vec!["1", "shoe"]], vec![vec!["2"]], vec![vec!["3", "shoe"]], vec![vec!["4", "hat"]]];
        let answer = Answer::graded(matches, relevant([("shoe", 3), ("4", 1), ("5", 2)]));
        assert_eq!(answer.found, [3, 0, 0, 1]);
        assert_eq!(answer.hits, [(0, "shoe".to_owned()), (3, "4".to_owned())]);
    }

    #[test]
    fn a_group_has_the_best_grade_of_its_products_and_counts_once() {
        let matches = [vec![vec!["1"], vec!["2"], vec!["3", "shoe"]], vec![vec!["5"]]];
        let answer = Answer::graded(matches, relevant([("1", 1), ("shoe", 3), ("5", 2), ("6", 1)]));
        assert_eq!(answer.found, [3, 2]);
        assert_eq!(answer.hits, [(0, "shoe".to_owned()), (1, "5".to_owned())]);
        assert!(answer.relevant.keys().eq(["5", "6", "shoe"]), "{:?}", answer.relevant);
    }

    #[test]
    fn every_figure_is_what_a_hand_computes() {
        let values = |k| {
            let figures = figures(&samples(&two_queries(), k), None);
            figures.iter().map(|figure| figure.interval.value).collect()
        };
        let figures: Vec<f64> = values(2);
        // 1 / (1 + 0.630930), and (0.630930 + 0.5) / (1 + 0.630930 + 0.5 + 0.430677).
        let ndcg = (0.613_147 + 0.441_492) / 2.0;
        for (figure, expected) in figures.iter().zip([ndcg, (0.5 + 0.25) / 2.0, 0.75, 0.2]) {
            assert!((figure - expected).abs() < 1e-5, "{figures:?}: {expected}");
        }
        let figures: Vec<f64> = values(3);
        assert_eq!((figures[1], figures[3]), (0.5, 0.4));
    }

    #[test]
    fn worse_is_what_is_below_with_all_of_its_interval() {
        let figure = |value: f64| {
            let interval = |value: f64| Interval { value, low: value - 0.1, high: value + 0.1 };
            Figure {
                measure: "ndcg@10".into(),
                interval: interval(0.5 + value),
                difference: Some(interval(value)),
            }
        };
        assert!(worse(&[figure(-0.15), figure(0.0)]).is_some());
        assert!(worse(&[figure(-0.05), figure(-0.5)]).is_none());
        assert!(worse(&[]).is_none());
    }
}
