//! `taja eval`: how good searches are by what people judged, for what serves and for what might.

mod ask;
mod column;
mod gate;
mod plot;
mod report;
mod sample;

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

pub use self::column::Column;
use self::{ask::Panel, gate::Gate, report::Set, sample::Sample};
use super::{
    Usage,
    client::{At, Client},
    write_out,
};
use crate::{
    evaluation::{Evaluation, figures::PLACES, judgements::Judgements},
    http::MAX_LIMIT,
};

/// Failed queries that are told one by one.
const TOLD_FAILURES: usize = 5;

const HELP: &str = "A line of judgements is a JSON object: what is asked (`query`, `image`, `video`, `not`, `not_image` and `not_video`, \
each one or a list; paths count from where the file lies; `parts`, texts of other kinds by name; `weights`, `crop`, `filter`, `sort` \
and `group` as in a search) and what answers it: `relevant`, grades from 0 to 10 by product id or sku, or `relevant_where`, a \
list of {\"filter\": .., \"grade\": ..}. With `group` a match has the best grade of its products, and they count once. `id` names \
the query, `note` is for people.\n\n\
Figures come with 95 % bootstrap intervals. Below each figure of a further column stands its difference to the first one, \
query by query, marked * when chance does not explain it. A column with {\"weights\": {\"text\": 0}} leaves the words of \
queries out.\n\n\
Example: taja eval shoes.jsonl --against rank-mine@1.1.0 \
--against 'words={\"search-text\":{\"settings\":{\"vector_weight\":0}}}' --gate 'ndcg@10>=0.5'";

/// Measure searches by judgements: nDCG, recall, MRR, coverage and latency, of what serves and of what might.
#[derive(Args)]
#[command(after_help = HELP, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Eval {
    #[command(subcommand)]
    instead: Option<Instead>,
    /// Files of judgements (JSONL); each is measured by itself
    #[arg(required = true)]
    judgements: Vec<PathBuf>,
    /// A further column: PLUGIN@VERSION, or NAME= and policies as JSON, @FILE, PLUGIN@VERSION, or the URL of another service;
    /// among the policies may stand `weights`, which go before those of the queries; may be given again
    #[arg(long, value_name = "COLUMN")]
    against: Vec<Column>,
    /// Places that recall and coverage look at, 1 to 100
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_LIMIT)))]
    k: u32,
    /// A condition such as 'ndcg@10>=0.5' or 'NAME:latency_p50_ms<40'; exit status 1 if it does not hold; may be given again
    #[arg(long, value_name = "CONDITION")]
    gate: Vec<Gate>,
    /// Exit status 1 if a further column's nDCG is below that of what serves beyond what chance explains
    #[arg(long, requires = "against")]
    not_worse: bool,
    /// Write the figures as a plot
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

/// What is done instead of measuring.
#[derive(Subcommand)]
enum Instead {
    Sample(Sample),
}

impl Eval {
    pub async fn run(mut self) -> anyhow::Result<bool> {
        if let Some(Instead::Sample(sample)) = self.instead {
            return sample.run().await;
        }
        let mut columns = vec![Column::live()];
        columns.append(&mut self.against);
        let names: BTreeSet<_> = columns.iter().map(|column| &column.name).collect();
        if names.len() < columns.len() {
            return Err(Usage("two columns have one name".into()).into());
        }
        let judgements: Vec<_> =
            self.judgements.iter().map(|path| Judgements::read(path)).collect::<Result<_, _>>()?;
        let tenant = self.at.take_tenant();
        let k = self.k;
        let sets =
            self.at.with(async |client| measure(&client.acting_for(tenant), &judgements, &columns, k).await);
        let sets = sets.await?;
        let broken = self.broken(&sets)?;
        if let Some(path) = &self.plot {
            std::fs::write(path, plot::svg(&sets))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        if self.json {
            write_out(&serde_json::to_string_pretty(&json!({ "sets": sets, "broken": broken }))?)?;
        } else {
            for set in &sets {
                write_out(&format!("{}\n", set.table()))?;
            }
        }
        broken.iter().for_each(|broken| eprintln!("not met: {broken}"));
        Ok(broken.is_empty())
    }

    fn broken(&self, sets: &[Set]) -> anyhow::Result<Vec<String>> {
        let mut broken = Vec::new();
        for set in sets {
            for gate in &self.gate {
                broken.extend(gate.broken_by(set).map_err(Usage)?);
            }
            if self.not_worse {
                broken.extend(gate::worse_than_first(set));
            }
        }
        Ok(broken)
    }
}

/// Asks every query of every column, and shows how far that is on standard error.
async fn measure(
    client: &Client,
    judgements: &[Judgements],
    columns: &[Column],
    k: u32,
) -> anyhow::Result<Vec<Set>> {
    let mut sets = Vec::new();
    for judgements in judgements {
        if judgements.left_out > 0 {
            eprintln!(
                "{}: {} queries judge nothing relevant and are left out",
                judgements.name, judgements.left_out
            );
        }
        let bar = ProgressBar::new(judgements.queries.len() as u64).with_message(judgements.name.clone());
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} queries, {eta} left") {
            bar.set_style(style);
        }
        let panel = Panel::new(client, columns, k.max(PLACES as u32));
        let answers = panel.ask(judgements, || bar.inc(1)).await;
        bar.finish_and_clear();
        let answers = answers?;
        for (column, answers) in columns.iter().zip(&answers) {
            for failure in answers.failures.iter().take(TOLD_FAILURES) {
                eprintln!("{}: {}: {failure}", judgements.name, column.name);
            }
            if answers.failures.len() == judgements.queries.len() {
                bail!("{}: every query of {} failed", judgements.name, column.name);
            }
        }
        sets.push(Set::new(judgements, columns, &answers, k as usize));
    }
    Ok(sets)
}

/// The figures of an evaluation by the service, for people.
pub fn table(evaluation: Evaluation) -> String {
    Set::from(evaluation).table()
}

/// Measures one version of a policy beside what serves. What speaks against it, if anything does.
pub async fn against_live(
    client: &Client,
    file: &std::path::Path,
    column: Column,
) -> anyhow::Result<Vec<String>> {
    let judgements = [Judgements::read(file)?];
    let sets = measure(client, &judgements, &[Column::live(), column], PLACES as u32).await?;
    for set in &sets {
        eprintln!("{}\n", set.table());
    }
    Ok(sets.iter().flat_map(gate::worse_than_first).collect())
}
