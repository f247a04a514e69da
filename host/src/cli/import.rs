//! `taja import`: products from NDJSON or CSV, with image paths beside the file.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use futures::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::multipart::Form;
use serde_json::{Map, Value, json};

use super::{
    Usage,
    client::{Client, Session, file_part},
    settings::Settings,
    write_out,
};

/// Products under way at once: enough to fill the model's batches.
const IN_FLIGHT: usize = 16;
/// What separates several entries in one cell of a CSV file.
const CELL_SEPARATOR: char = ';';

/// Add the products of a file to the catalogue.
///
/// NDJSON (one JSON object per line) or CSV (a header row; several images, sizes or key features in one cell are
/// separated by `;`). Columns: name, price, description, category, weight_kg, color, sizes, key_features, sku, stock,
/// currency, item_group_id, attributes (a JSON object) and images (paths, relative to the file). Prints one result per product.
#[derive(Args)]
pub struct Import {
    /// The file: .ndjson, .jsonl or .csv
    file: PathBuf,
    /// Address of a running server; else the one at the configured address, else the data folder is opened directly
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Print results as JSON, one object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

impl Import {
    pub async fn run(self) -> anyhow::Result<bool> {
        let session = Session::open(self.server.as_deref(), self.settings.read()?).await?;
        let mut printer = Printer { json: self.json, bar: ProgressBar::no_length() };
        let summary = import_file(&session.client, &self.file, &mut printer).await;
        printer.bar.finish_and_clear();
        session.close().await?;
        let summary = summary?;
        eprintln!("{summary}");
        Ok(summary.failed == 0)
    }
}

/// Who hears of each product.
pub trait Listener {
    /// How many there will be.
    fn total(&mut self, products: usize);
    /// What became of one: its line in the file, its name, and the finished job or why there is none.
    fn result(&mut self, line: usize, name: &str, outcome: &anyhow::Result<Value>) -> anyhow::Result<()>;
}

/// Hears nothing.
pub struct Quiet;

impl Listener for Quiet {
    fn total(&mut self, _: usize) {}
    fn result(&mut self, _: usize, _: &str, _: &anyhow::Result<Value>) -> anyhow::Result<()> {
        Ok(())
    }
}

struct Printer {
    json: bool,
    bar: ProgressBar,
}

impl Listener for Printer {
    fn total(&mut self, products: usize) {
        self.bar.set_length(products as u64);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:40} {pos}/{len} products, {per_sec}, {eta} left")
        {
            self.bar.set_style(style);
        }
    }

    fn result(&mut self, line: usize, name: &str, outcome: &anyhow::Result<Value>) -> anyhow::Result<()> {
        let text = if self.json { json_line(line, name, outcome) } else { human_line(line, name, outcome) };
        self.bar.inc(1);
        self.bar.suspend(|| write_out(&text))
    }
}

fn json_line(line: usize, name: &str, outcome: &anyhow::Result<Value>) -> String {
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

fn human_line(line: usize, name: &str, outcome: &anyhow::Result<Value>) -> String {
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

/// The outcome in a word: success, duplicate, merged, rejected or failed.
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
            "success" | "merged" => self.added += 1,
            "duplicate" => self.known += 1,
            _ => self.failed += 1,
        }
    }
}

/// Adds every product of a file; one that fails does not stop the others.
pub async fn import_file(
    client: &Client,
    file: &Path,
    listener: &mut (dyn Listener + Send),
) -> anyhow::Result<Summary> {
    let text =
        tokio::fs::read_to_string(file).await.with_context(|| format!("cannot read {}", file.display()))?;
    let rows = rows(file, &text)?;
    listener.total(rows.len());
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut outcomes = stream::iter(rows)
        .map(|(line, row)| async move {
            let name = row.as_ref().ok().and_then(|row| row["name"].as_str()).unwrap_or("?").to_owned();
            let outcome = match row {
                Ok(row) => add(client, folder, &row).await,
                Err(error) => Err(error),
            };
            (line, name, outcome)
        })
        .buffered(IN_FLIGHT);
    let mut summary = Summary::default();
    while let Some((line, name, outcome)) = outcomes.next().await {
        summary.count(&outcome);
        listener.result(line, &name, &outcome)?;
    }
    Ok(summary)
}

type Row = (usize, anyhow::Result<Value>);

/// The rows of a file with their line numbers, by its extension.
fn rows(file: &Path, text: &str) -> anyhow::Result<Vec<Row>> {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("ndjson" | "jsonl") => Ok(ndjson_rows(text)),
        Some("csv") => csv_rows(text),
        _ => Err(Usage(format!("{} is neither .ndjson, .jsonl nor .csv", file.display())).into()),
    }
}

fn ndjson_rows(text: &str) -> Vec<Row> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let row = |line: &str| match serde_json::from_str(line) {
        Ok(Value::Object(row)) => Ok(Value::Object(row)),
        Ok(_) => anyhow::bail!("the line is no JSON object"),
        Err(error) => anyhow::bail!("the line is not JSON: {error}"),
    };
    lines.map(|(number, line)| (number, row(line))).collect()
}

fn csv_rows(text: &str) -> anyhow::Result<Vec<Row>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().context("the file has no header row")?.clone();
    let row = |record: Result<csv::StringRecord, csv::Error>| {
        let record = record?;
        let cells = header.iter().zip(record.iter()).filter(|(_, cell)| !cell.trim().is_empty());
        let row: Map<_, _> =
            cells.map(|(name, cell)| (name.trim().to_owned(), cell_value(name.trim(), cell))).collect();
        Ok(Value::Object(row))
    };
    // The header is line 1.
    Ok((2..).zip(reader.into_records()).map(|(number, record)| (number, row(record))).collect())
}

fn cell_value(name: &str, cell: &str) -> Value {
    match name {
        "images" | "sizes" | "key_features" => {
            cell.split(CELL_SEPARATOR).map(|entry| Value::from(entry.trim())).collect()
        }
        _ => cell.into(),
    }
}

async fn add(client: &Client, folder: &Path, row: &Value) -> anyhow::Result<Value> {
    let mut form = Form::new();
    for (name, value) in row.as_object().into_iter().flatten().filter(|(name, _)| *name != "images") {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        form = form.text(name.clone(), text);
    }
    for image in row["images"].as_array().into_iter().flatten() {
        let path = image.as_str().context("images: an entry is not a path")?;
        form = form.part("images", file_part(&folder.join(path)).await?);
    }
    client.submit("/add_product", form).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_and_ndjson_say_the_same() {
        let csv = "name,price,sizes,images\nshoe,10,41;42,a.jpg; b.jpg\n";
        let ndjson = r#"{"name":"shoe","price":"10","sizes":["41","42"],"images":["a.jpg","b.jpg"]}"#;
        let from_csv = rows(Path::new("x.csv"), csv).unwrap();
        let from_ndjson = rows(Path::new("x.ndjson"), ndjson).unwrap();
        assert_eq!(from_csv[0].1.as_ref().unwrap(), from_ndjson[0].1.as_ref().unwrap());
        assert_eq!((from_csv[0].0, from_ndjson[0].0), (2, 1));
    }

    #[test]
    fn a_broken_line_fails_alone() {
        let rows = ndjson_rows("{\"name\":\"a\"}\n\nnot json\n[1]\n");
        let good: Vec<_> = rows.iter().map(|(line, row)| (*line, row.is_ok())).collect();
        assert_eq!(good, [(1, true), (3, false), (4, false)]);
    }
}
