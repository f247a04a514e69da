//! `taja import`: products from NDJSON or CSV, with image paths beside the file.

mod journal;
mod parts;
mod sending;

use std::{
    fmt,
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

pub use self::journal::Journal;
use self::sending::{Done, Sender};
use super::{
    Usage,
    client::{Client, Session},
    settings::Settings,
    write_out,
};
use crate::import::{Format, rows};

/// Parts under way at once: as many as a server works on by default, and some on their way to it.
const PARTS_AT_ONCE: usize = 6;

/// Add the products of a file to the catalogue.
///
/// NDJSON (one JSON object per line) or CSV (a row of names, then a row per product; cells between commas, semicolons or
/// tabs). Fields: name, price, description, category, weight_kg, color, sizes, key_features, sku, stock, currency,
/// item_group_id, attributes (a JSON object, or columns `attributes.NAME` and `attributes.NAME:TYPE`) and images: paths,
/// relative to the file, or addresses, which the server fetches. In a cell, several images, sizes or key features are
/// separated by `|`. Prints one result per product. When it is interrupted, the same command goes on; FILE.importing lies
/// beside the file meanwhile.
#[derive(Args)]
pub struct Import {
    /// The file: .ndjson, .jsonl, .csv or .tsv
    file: PathBuf,
    /// Address of a running server; else the one at the configured address, else the data folder is opened directly
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Begin anew after an interruption
    #[arg(long)]
    anew: bool,
    /// Print results as JSON, one object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

impl Import {
    pub async fn run(self) -> anyhow::Result<bool> {
        format_of(&self.file)?;
        let config = self.settings.read()?;
        let journal = || {
            Journal::open(&self.file, self.anew).unwrap_or_else(|error| {
                let journal = journal::beside(&self.file);
                eprintln!(
                    "cannot write {}: {error}; if interrupted, the import begins anew",
                    journal.display()
                );
                Journal::unkept()
            })
        };
        let session = Session::open(self.server.as_deref(), config).await?;
        let mut printer = Printer { json: self.json, bar: ProgressBar::no_length() };
        let summary = import_file(&session.client, &self.file, journal, &mut printer).await;
        printer.bar.finish_and_clear();
        session.close().await?;
        let summary = summary?;
        eprintln!("{summary}");
        Ok(summary.failed == 0)
    }
}

/// Who hears of each product.
pub trait Listener {
    /// How many rows there are; the bar that shows how many are done.
    fn begin(&mut self, rows: u64) -> ProgressBar;
    /// What became of one: its line in the file, its name, and the finished job or why there is none.
    fn result(&mut self, line: u64, name: &str, outcome: &anyhow::Result<Value>) -> anyhow::Result<()>;
}

/// Hears nothing.
pub struct Quiet;

impl Listener for Quiet {
    fn begin(&mut self, _: u64) -> ProgressBar {
        ProgressBar::hidden()
    }

    fn result(&mut self, _: u64, _: &str, _: &anyhow::Result<Value>) -> anyhow::Result<()> {
        Ok(())
    }
}

struct Printer {
    json: bool,
    bar: ProgressBar,
}

impl Listener for Printer {
    fn begin(&mut self, rows: u64) -> ProgressBar {
        self.bar.set_length(rows);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:40} {pos}/{len} products, {per_sec}, {eta} left")
        {
            self.bar.set_style(style);
        }
        self.bar.clone()
    }

    fn result(&mut self, line: u64, name: &str, outcome: &anyhow::Result<Value>) -> anyhow::Result<()> {
        let text = if self.json { json_line(line, name, outcome) } else { human_line(line, name, outcome) };
        self.bar.suspend(|| write_out(&text))
    }
}

fn json_line(line: u64, name: &str, outcome: &anyhow::Result<Value>) -> String {
    let mut row = json!({ "line": line, "name": name });
    match outcome {
        Ok(job) => {
            row["job_id"] = job["job_id"].clone();
            row["status"] = word(outcome).into();
            let key = if job["status"] == "completed" { "result" } else { "failure" };
            row[key] = job[key].clone();
        }
        Err(error) => {
            row["status"] = "failed".into();
            row["error"] = format!("{error:#}").into();
        }
    }
    row.to_string()
}

fn human_line(line: u64, name: &str, outcome: &anyhow::Result<Value>) -> String {
    let detail = match outcome {
        Ok(job) if job["status"] == "completed" => {
            let id = job["result"]["product_id"].as_str().unwrap_or("-");
            let problems = job["result"]["error_details"].as_array().into_iter().flatten();
            problems.fold(id.to_owned(), |text, problem| {
                format!(
                    "{text}; image {}: {}",
                    problem["index"],
                    problem["message"].as_str().unwrap_or_default()
                )
            })
        }
        Ok(job) => job["error"].as_str().unwrap_or_default().to_owned(),
        Err(error) => format!("{error:#}"),
    };
    format!("{line:>6}  {:<9}  {name}  {detail}", word(outcome))
}

/// The outcome in a word: success, duplicate, merged, offer, rejected or failed.
fn word(outcome: &anyhow::Result<Value>) -> &str {
    match outcome {
        Ok(job) => job["result"]["status"].as_str().unwrap_or("failed"),
        Err(_) => "failed",
    }
}

/// How an import ended.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    added: usize,
    known: usize,
    failed: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} added, {} known already, {} failed", self.added, self.known, self.failed)
    }
}

impl Summary {
    fn count(&mut self, outcome: &anyhow::Result<Value>) {
        match word(outcome) {
            "success" | "merged" | "offer" => self.added += 1,
            "duplicate" => self.known += 1,
            _ => self.failed += 1,
        }
    }
}

/// Adds every product of a file; one that fails does not stop the others. The journal is opened when there is something to
/// send, and somebody to send it to.
pub async fn import_file(
    client: &Client,
    file: &Path,
    journal: impl FnOnce() -> Journal,
    listener: &mut (dyn Listener + Send),
) -> anyhow::Result<Summary> {
    let format = format_of(file)?;
    let rows = count(file.to_owned(), format).await?;
    // Nobody waits long for a server that never was there.
    client.get("/").await.context("the server does not answer")?;
    let sender = Sender::new(client, journal(), listener.begin(rows));
    let sending = &sender;
    let mut parts = parts::read(file.to_owned(), format)
        .map(|part| async move { sending.send(part?).await })
        .buffered(PARTS_AT_ONCE)
        .boxed();
    let mut summary = Summary::default();
    while let Some(done) = parts.next().await {
        for Done { line, name, outcome } in
            done.context("the import broke off; the same command goes on with it")?
        {
            summary.count(&outcome);
            listener.result(line, &name, &outcome)?;
        }
    }
    drop(parts);
    sender.close()?;
    Ok(summary)
}

/// How a file is written, by its extension.
fn format_of(file: &Path) -> Result<Format, Usage> {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("ndjson" | "jsonl") => Ok(Format::Ndjson),
        Some("csv" | "tsv") => Ok(Format::Csv),
        _ => Err(Usage(format!("{} is neither .ndjson, .jsonl, .csv nor .tsv", file.display()))),
    }
}

async fn count(file: PathBuf, format: Format) -> anyhow::Result<u64> {
    let counting = tokio::task::spawn_blocking(move || {
        let cannot = || format!("cannot read {}", file.display());
        let source = File::open(&file).with_context(cannot)?;
        rows::count(format, source).with_context(cannot)
    });
    counting.await?
}
