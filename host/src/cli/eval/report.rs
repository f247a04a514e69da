//! The figures of every column, side by side.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{Cell, ContentArrangement, Table, presets::NOTHING};
use serde::Serialize;

use super::{
    ask::{Answer, Answers},
    bootstrap::{Interval, difference, interval},
    column::Column,
    judgements::Judgements,
    measures::{mean, ndcg, quantile, recall, reciprocal_rank},
};

/// Places that nDCG and MRR look at.
pub const PLACES: usize = 10;

/// How columns did on one file of judgements.
#[derive(Debug, Serialize)]
pub struct Set {
    /// The file.
    pub judgements: String,
    /// Its queries that judge something relevant.
    pub queries: usize,
    /// Those that do not, and were not asked.
    pub left_out: usize,
    /// The first one is what the others are compared with.
    pub columns: Vec<Summary>,
}

/// How a column did.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// The column.
    pub name: String,
    /// The models that answered.
    pub models: BTreeSet<String>,
    /// The policies that answered.
    pub plugins: BTreeSet<String>,
    /// Queries that failed; they found nothing.
    pub failed: usize,
    /// Answers that somebody stood in for.
    pub degraded: usize,
    /// nDCG first.
    pub figures: Vec<Figure>,
}

/// A figure, and how far it is from that of the first column.
#[derive(Debug, Serialize)]
pub struct Figure {
    /// What is measured.
    pub measure: String,
    /// The figure.
    #[serde(flatten)]
    pub interval: Interval,
    /// The difference to the first column, query by query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Interval>,
}

impl Set {
    /// Measures the answers of every column; recall and coverage look at the first `k` places.
    pub fn new(judgements: &Judgements, columns: &[Column], answers: &[Answers], k: usize) -> Self {
        let samples: Vec<_> = answers.iter().map(|answers| samples(&answers.answers, k)).collect();
        let summary = |((column, answers), samples): ((&Column, &Answers), &Vec<Sample>)| Summary {
            name: column.name.clone(),
            models: answers.models.clone(),
            plugins: answers.plugins.clone(),
            failed: answers.failures.len(),
            degraded: answers.degraded,
            figures: samples.iter().map(|sample| sample.figure(None)).collect(),
        };
        let mut summaries: Vec<_> = columns.iter().zip(answers).zip(&samples).map(summary).collect();
        for (summary, samples_of_it) in summaries.iter_mut().zip(&samples).skip(1) {
            let pairs = samples_of_it.iter().zip(&samples[0]);
            summary.figures = pairs.map(|(sample, first)| sample.figure(Some(first))).collect();
        }
        let queries = judgements.queries.len();
        let (judgements, left_out) = (judgements.name.clone(), judgements.left_out);
        Self { judgements, queries, left_out, columns: summaries }
    }

    /// The figures for people.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(
            [String::new()].into_iter().chain(self.columns.iter().map(|column| column.name.clone())),
        );
        let rows = self.columns.first().map_or(0, |column| column.figures.len());
        for row in 0..rows {
            let figures = self.columns.iter().filter_map(|column| column.figures.get(row));
            let measure = self.columns[0].figures[row].measure.clone();
            table.add_row(
                [Cell::new(measure)].into_iter().chain(figures.map(|figure| Cell::new(figure.told()))),
            );
        }
        let counts = |told: fn(&Summary) -> usize| {
            let any = self.columns.iter().any(|column| told(column) > 0);
            any.then(|| self.columns.iter().map(|column| told(column).to_string()).collect::<Vec<_>>())
        };
        for (name, counts) in
            [("failed", counts(|column| column.failed)), ("degraded", counts(|column| column.degraded))]
        {
            if let Some(counts) = counts {
                table.add_row([name.to_owned()].into_iter().chain(counts));
            }
        }
        format!("{}, {} queries\n{table}", self.judgements, self.queries)
    }
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

/// The values that a figure is made of.
struct Sample {
    measure: String,
    values: Vec<f64>,
    figure: fn(&[f64]) -> f64,
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

fn samples(answers: &[Answer], k: usize) -> Vec<Sample> {
    let by_query = |measure: String, value: &dyn Fn(&[u8], &[u8]) -> f64| {
        let value = |answer: &Answer| {
            let relevant: Vec<u8> = answer.relevant.values().copied().collect();
            value(&answer.found, &relevant)
        };
        Sample { measure, values: answers.iter().map(value).collect(), figure: mean }
    };
    let took = answers.iter().filter_map(|answer| answer.took);
    let took: Vec<f64> = took.map(|took| took.as_secs_f64() * 1000.0).collect();
    vec![
        by_query(format!("ndcg@{PLACES}"), &|found, relevant| ndcg(found, relevant, PLACES)),
        by_query(format!("recall@{k}"), &|found, relevant| recall(found, relevant, k)),
        by_query(format!("mrr@{PLACES}"), &|found, _| reciprocal_rank(found, PLACES)),
        Sample { measure: format!("coverage@{k}"), values: covered(answers, k), figure: mean },
        Sample { measure: "latency_p50_ms".into(), values: took.clone(), figure: |took| quantile(took, 0.5) },
        Sample { measure: "latency_p95_ms".into(), values: took, figure: |took| quantile(took, 0.95) },
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
    use std::time::Duration;

    use super::*;

    fn answer(found: &[u8], hits: &[(usize, &str)], relevant: &[&str]) -> Answer {
        Answer {
            found: found.to_vec(),
            hits: hits.iter().map(|(place, name)| (*place, (*name).to_owned())).collect(),
            relevant: relevant.iter().map(|name| ((*name).to_owned(), 1)).collect(),
            took: Some(Duration::from_millis(found.len() as u64)),
        }
    }

    fn two_queries() -> Vec<Answer> {
        vec![
            answer(&[1, 0, 0], &[(0, "a")], &["a", "b"]),
            answer(&[0, 1, 1], &[(1, "a"), (2, "c")], &["a", "c", "d", "e"]),
        ]
    }

    #[test]
    fn every_figure_of_a_set_is_what_a_hand_computes() {
        let values =
            |k| samples(&two_queries(), k).iter().map(|sample| sample.figure(None).interval.value).collect();
        let figures: Vec<f64> = values(2);
        // 1 / (1 + 0.630930), and (0.630930 + 0.5) / (1 + 0.630930 + 0.5 + 0.430677).
        let ndcg = (0.613_147 + 0.441_492) / 2.0;
        for (figure, expected) in figures.iter().zip([ndcg, (0.5 + 0.25) / 2.0, 0.75, 0.2, 3.0, 3.0]) {
            assert!((figure - expected).abs() < 1e-5, "{figures:?}: {expected}");
        }
        let figures: Vec<f64> = values(3);
        assert_eq!((figures[1], figures[3]), (0.5, 0.4));
    }

    #[test]
    fn a_column_is_compared_with_the_first_one() {
        let judgements = Judgements { name: "set".into(), queries: Vec::new(), left_out: 0 };
        let columns = [Column::live(), "new=http://a".parse().unwrap()];
        let better = vec![
            answer(&[1, 1, 0], &[(0, "a"), (1, "b")], &["a", "b"]),
            answer(&[0, 1, 1], &[(1, "a"), (2, "c")], &["a", "c", "d", "e"]),
        ];
        let of = |answers| Answers { answers, ..Answers::default() };
        let set = Set::new(&judgements, &columns, &[of(two_queries()), of(better)], 10);
        assert!(set.columns[0].figures.iter().all(|figure| figure.difference.is_none()));
        let recall = set.columns[1].figures[1].difference.unwrap();
        assert_eq!((recall.value, recall.low, recall.high), (0.25, 0.0, 0.5));
        let table = set.table();
        assert!(table.contains("ndcg@10") && table.contains("+0.250 [+0.000, +0.500]"), "{table}");
    }
}
