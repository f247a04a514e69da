//! `taja search`: a query, and its answer as a table.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets::NOTHING};
use reqwest::multipart::Form;
use serde_json::Value;

use super::{
    Usage,
    client::{Client, Session, file_part},
    settings::Settings,
    write_out,
};

/// Find products by words, a picture, a video, or several together.
///
/// Examples: `taja search --text "red shoes"`, `taja search --image photo.jpg --limit 5`,
/// `taja search --image photo.jpg --text "but red" --filter '{"price":{"lt":50}}'`.
#[derive(Args)]
pub struct SearchCommand {
    #[command(flatten)]
    query: QueryArgs,
    /// Tell which legs found each product
    #[arg(long)]
    explain: bool,
    /// Address of a running server; else the one at the configured address, else the data folder is opened directly
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

/// What to search by.
#[derive(Args, Clone)]
pub struct QueryArgs {
    /// Words to search by
    #[arg(long, value_name = "WORDS")]
    text: Option<String>,
    /// A picture to search by
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// A video to search by
    #[arg(long, value_name = "FILE")]
    video: Option<PathBuf>,
    /// A part of a kind that a plugin brought, as NAME=TEXT, or NAME=@FILE; may be given again
    #[arg(long, value_name = "NAME=VALUE", value_parser = part)]
    part: Vec<(String, String)>,
    /// How many products to show, 1 to 100
    #[arg(long, default_value_t = 10)]
    limit: u32,
    /// Conditions on fields, JSON such as {"category":"shoes","price":{"lt":50}}
    #[arg(long, value_name = "JSON")]
    filter: Option<String>,
}

fn part(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a part is NAME=TEXT or NAME=@FILE".to_owned()),
    }
}

impl QueryArgs {
    /// Whether there is nothing to search by.
    pub fn is_empty(&self) -> bool {
        self.text.is_none() && self.image.is_none() && self.video.is_none() && self.part.is_empty()
    }

    /// The form of `POST /search`.
    pub async fn form(&self) -> anyhow::Result<Form> {
        if self.is_empty() {
            return Err(Usage("give --text, --image, --video or --part, or several of them".into()).into());
        }
        let mut form = Form::new().text("limit", self.limit.to_string());
        if let Some(text) = &self.text {
            form = form.text("query", text.clone());
        }
        if let Some(filter) = &self.filter {
            form = form.text("filter", filter.clone());
        }
        for (name, path) in [("image", &self.image), ("video", &self.video)] {
            if let Some(path) = path {
                form = form.part(name, file_part(path).await?);
            }
        }
        for (name, value) in &self.part {
            form = match value.strip_prefix('@') {
                Some(path) => form.part(name.clone(), file_part(Path::new(path)).await?),
                None => form.text(name.clone(), value.clone()),
            };
        }
        Ok(form)
    }
}

impl SearchCommand {
    pub async fn run(self) -> anyhow::Result<bool> {
        self.show(&self.ask(async |client, form| found(client, form).await).await?)?;
        Ok(true)
    }

    /// Searches, and writes what was recorded of it to a file.
    pub async fn record(self, out: &Path) -> anyhow::Result<()> {
        let record = async |client: &Client, form: Form| {
            let result = found(client, form.text("record", "true")).await?;
            let id = result["recording"].as_str().context("the server recorded nothing")?;
            let recording = client.get(&format!("/recordings/{id}")).await?;
            Ok((result, recording))
        };
        let (result, recording) = self.ask(record).await?;
        std::fs::write(out, recording.to_string())
            .with_context(|| format!("cannot write {}", out.display()))?;
        self.show(&result)
    }

    async fn ask<T>(&self, ask: impl AsyncFnOnce(&Client, Form) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let form = self.query.form().await?.text("explain", self.explain.to_string());
        let session = Session::open(self.server.as_deref(), self.settings.read()?).await?;
        let answer = ask(&session.client, form).await;
        session.close().await?;
        answer
    }

    fn show(&self, result: &Value) -> anyhow::Result<()> {
        write_out(&if self.json { serde_json::to_string_pretty(result)? } else { table(result) })
    }
}

/// Searches, and waits for the result.
pub async fn found(client: &Client, form: Form) -> anyhow::Result<Value> {
    let mut job = client.submit("/search", form).await?;
    if job["status"] != "completed" {
        anyhow::bail!("{}", job["error"].as_str().unwrap_or("the search failed"));
    }
    Ok(job["result"].take())
}

fn table(result: &Value) -> String {
    let matches = result["matches"].as_array().map_or(&[][..], Vec::as_slice);
    let meant =
        result["did_you_mean"].as_str().map_or_else(String::new, |meant| format!("\ndid you mean: {meant}"));
    if matches.is_empty() {
        return format!("nothing found{meant}");
    }
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["#", "name", "category", "price", "score", "cosine", "found by", "product"]);
    for (place, found) in (1..).zip(matches) {
        let best = &found["matched_images"][0];
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let number = |value: &Value, digits: usize| {
            value.as_f64().map_or_else(String::new, |n| format!("{n:.digits$}"))
        };
        table.add_row([
            right(place.to_string()),
            Cell::new(found["name"].as_str().unwrap_or_default()),
            Cell::new(found["category"].as_str().unwrap_or_default()),
            right(format!(
                "{} {}",
                number(&found["price"], 2),
                found["currency"].as_str().unwrap_or_default()
            )),
            right(number(&found["score"], 3)),
            right(number(&best["similarity"], 3)),
            Cell::new(found_by(found)),
            Cell::new(found["product_id"].as_str().unwrap_or_default()),
        ]);
    }
    format!("{table}\n{} of {}{meant}", matches.len(), result["total"])
}

/// The image that matched, where in the video, or the words; with `--explain` the legs and their ranks.
fn found_by(found: &Value) -> String {
    if let Some(legs) = found["explain"]["legs"].as_array() {
        let leg = |leg: &Value| format!("{} #{}", leg["leg"].as_str().unwrap_or_default(), leg["rank"]);
        return legs.iter().map(leg).collect::<Vec<_>>().join(", ");
    }
    let best = &found["matched_images"][0];
    match (best["modality"].as_str(), best["timestamp_ms"].as_f64()) {
        (Some(modality), Some(at_ms)) => format!("{modality} at {:.1} s", at_ms / 1000.0),
        (Some(modality), None) => modality.to_owned(),
        (None, _) => "words".to_owned(),
    }
}
