//! The figures of every column, side by side.

use std::{collections::BTreeSet, time::Duration};

use comfy_table::{Cell, ContentArrangement, Table, presets::NOTHING};
use serde::Serialize;

use super::{
    ask::Answers,
    column::{Column, LIVE},
};
use crate::evaluation::{
    Column as Measured, Evaluation,
    figures::{Figure, Sample, figures, quantile, samples},
    judgements::Judgements,
};

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

impl Set {
    /// Measures the answers of every column; recall and coverage look at the first `k` places.
    pub fn new(judgements: &Judgements, columns: &[Column], answers: &[Answers], k: usize) -> Self {
        let samples = |answers: &Answers| -> Vec<_> {
            samples(&answers.answers, k).into_iter().chain(latencies(&answers.took)).collect()
        };
        let samples: Vec<Vec<Sample>> = answers.iter().map(samples).collect();
        let first = |place: usize| samples.first().filter(|_| place > 0).map(Vec::as_slice);
        let summary = |(place, (column, answers)): (usize, (&Column, &Answers))| Summary {
            name: column.name.clone(),
            models: answers.models.clone(),
            plugins: answers.plugins.clone(),
            failed: answers.failures.len(),
            degraded: answers.degraded,
            figures: figures(&samples[place], first(place)),
        };
        let summaries = columns.iter().zip(answers).enumerate().map(summary).collect();
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

impl From<Evaluation> for Set {
    fn from(evaluation: Evaluation) -> Self {
        let Evaluation { judgements, live, candidate, .. } = evaluation;
        let name = candidate.choice.as_ref().map(|choice| format!("{}@{}", choice.name, choice.version));
        let column = |name: String, measured: Measured| Summary {
            name,
            failed: measured.failed,
            degraded: measured.degraded,
            figures: measured.figures,
            ..Summary::default()
        };
        Self {
            judgements: judgements.set.into(),
            queries: judgements.queries,
            left_out: judgements.left_out,
            columns: vec![column(LIVE.to_owned(), live), column(name.unwrap_or_default(), candidate)],
        }
    }
}

/// How long answers took.
fn latencies(took: &[Duration]) -> [Sample; 2] {
    let took: Vec<f64> = took.iter().map(|took| took.as_secs_f64() * 1000.0).collect();
    [
        Sample { measure: "latency_p50_ms".into(), values: took.clone(), figure: |took| quantile(took, 0.5) },
        Sample { measure: "latency_p95_ms".into(), values: took, figure: |took| quantile(took, 0.95) },
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::evaluation::figures::Answer;

    fn answers(found: [&[u8]; 2]) -> Answers {
        let relevant = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), 1)).collect();
        let relevant: [BTreeMap<_, _>; 2] = [relevant(&["a", "b"]), relevant(&["a", "c", "d", "e"])];
        let answer =
            |(found, relevant): (&[u8], _)| Answer { found: found.to_vec(), hits: Vec::new(), relevant };
        let took = vec![Duration::from_millis(3), Duration::from_millis(5)];
        let answers = found.into_iter().zip(relevant).map(answer).collect();
        Answers { answers, took, ..Answers::default() }
    }

    #[test]
    fn a_column_is_compared_with_the_first_one() {
        let judgements = Judgements { name: "set".into(), queries: Vec::new(), left_out: 0 };
        let columns = [Column::live(), "new=http://a".parse().unwrap()];
        let both = [answers([&[1, 0, 0], &[0, 1, 1]]), answers([&[1, 1, 0], &[0, 1, 1]])];
        let set = Set::new(&judgements, &columns, &both, 10);
        assert!(set.columns[0].figures.iter().all(|figure| figure.difference.is_none()));
        let recall = set.columns[1].figures[1].difference.unwrap();
        assert_eq!((recall.value, recall.low, recall.high), (0.25, 0.0, 0.5));
        let table = set.table();
        assert!(table.contains("ndcg@10") && table.contains("+0.250 [+0.000, +0.500]"), "{table}");
    }

    #[test]
    fn latencies_are_of_the_answers_that_came() {
        let values = |took: &[u64]| {
            let took: Vec<_> = took.iter().map(|millis| Duration::from_millis(*millis)).collect();
            figures(&latencies(&took), None).iter().map(|figure| figure.interval.value).collect::<Vec<_>>()
        };
        assert_eq!(values(&[5, 3]), [3.0, 5.0]);
        assert_eq!(values(&[]), [0.0, 0.0]);
    }
}
