//! `taja search`: a query, and its answer as a table.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets::NOTHING};
use reqwest::multipart::Form;
use serde_json::{Value, json};

use super::{
    Usage,
    client::{Client, Session, file_part},
    settings::Settings,
    write_out,
};

/// Find products by words, a picture, a video, or several together.
///
/// Without anything to search by, all that passes `--filter` is shown, newest first or as `--sort` says.
/// Examples: `taja search --text "red shoes"`, `taja search --image photo.jpg --limit 5`,
/// `taja search --image photo.jpg --text "but red" --filter '{"price":{"lt":50}}'`,
/// `taja search --image a.jpg --image b.jpg --crop 'image[1]=0,0.5,1,0.5' --not leather --facet price:0..10..50..`.
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
    /// Words to search by; may be given again
    #[arg(long, value_name = "WORDS")]
    text: Vec<String>,
    /// A picture to search by; may be given again
    #[arg(long, value_name = "FILE")]
    image: Vec<PathBuf>,
    /// A video to search by; may be given again
    #[arg(long, value_name = "FILE")]
    video: Vec<PathBuf>,
    /// Words that the results should be unlike; may be given again
    #[arg(long, value_name = "WORDS")]
    not: Vec<String>,
    /// A picture that the results should be unlike; may be given again
    #[arg(long, value_name = "FILE")]
    not_image: Vec<PathBuf>,
    /// The region of the picture that is meant, in shares of its sides from the top left corner; of several pictures with the
    /// name and place of one, as image[1]=X,Y,WIDTH,HEIGHT, once for each
    #[arg(long, value_name = "[NAME=]X,Y,WIDTH,HEIGHT")]
    crop: Vec<String>,
    /// How much a part counts, 0 to 10, as image=2 or image[1]=0.5; may be given again
    #[arg(long, value_name = "NAME=NUMBER", value_parser = weight)]
    weight: Vec<(String, f32)>,
    /// A part of a kind that a plugin brought, as NAME=TEXT, or NAME=@FILE; may be given again
    #[arg(long, value_name = "NAME=VALUE", value_parser = part)]
    part: Vec<(String, String)>,
    /// How many products to show, 1 to 100
    #[arg(long, default_value_t = 10)]
    limit: u32,
    /// Conditions on fields, JSON such as {"category":"shoes","price":{"lt":50}}
    #[arg(long, value_name = "JSON")]
    filter: Option<String>,
    /// A field to sort by, as price, or -price or price:desc for largest first; may be given again
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true)]
    sort: Vec<String>,
    /// A field to count the values of, or with ends of ranges the values in each, as price:0..10..50 or date:2026-01-01..;
    /// may be given again
    #[arg(long, value_name = "FIELD[:FROM..TO]", value_parser = facet)]
    facet: Vec<Value>,
}

fn part(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a part is NAME=TEXT or NAME=@FILE".to_owned()),
    }
}

fn weight(text: &str) -> Result<(String, f32), String> {
    let weight =
        text.split_once('=').and_then(|(name, number)| Some((name.to_owned(), number.parse().ok()?)));
    weight.ok_or_else(|| "a weight is NAME=NUMBER, such as image[1]=0.5".to_owned())
}

/// `color`, or `price:0..10..50` for the ranges between the ends; one that begins or ends with `..` is open there.
fn facet(text: &str) -> Result<Value, String> {
    let Some((field, ends)) = text.split_once(':') else { return Ok(text.into()) };
    let ends: Vec<_> = ends.split("..").map(str::trim).collect();
    if ends.len() < 2 || ends[1..ends.len() - 1].iter().any(|end| end.is_empty()) {
        return Err("ranges are ENDS with .. between them, such as price:0..10..50".to_owned());
    }
    // What is no number is a date, or else the server says what is wrong.
    let end = |text: &str| match text.parse::<serde_json::Number>() {
        _ if text.is_empty() => None,
        Ok(number) => Some(Value::Number(number)),
        Err(_) => Some(Value::from(text)),
    };
    let range = |ends: &[&str]| {
        let ends = [("from", end(ends[0])), ("to", end(ends[1]))];
        let ends = ends.into_iter().filter_map(|(name, end)| Some((name.to_owned(), end?)));
        Value::Object(ends.collect())
    };
    Ok(json!({ "field": field, "ranges": ends.windows(2).map(range).collect::<Vec<_>>() }))
}

impl QueryArgs {
    /// Whether there is nothing to search by.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.image.is_empty() && self.video.is_empty() && self.part.is_empty()
    }

    /// The regions of pictures as the field `crop` takes them; none when there are none.
    fn regions(&self) -> Option<Value> {
        let named =
            |text: &String| text.split_once('=').map(|(name, region)| (name.to_owned(), region.into()));
        match &self.crop[..] {
            [] => None,
            [only] if !only.contains('=') => Some(only.as_str().into()),
            several => {
                let unnamed = |text: &String| ("image".to_owned(), Value::from(text.as_str()));
                let several = several.iter().map(|text| named(text).unwrap_or_else(|| unnamed(text)));
                Some(Value::Object(several.collect()))
            }
        }
    }

    /// The form of `POST /search`.
    pub async fn form(&self) -> anyhow::Result<Form> {
        if self.is_empty() && self.filter.is_none() && self.sort.is_empty() {
            let missing =
                "give --text, --image, --video or --part, or several of them, or --filter or --sort";
            return Err(Usage(missing.into()).into());
        }
        let mut form = Form::new().text("limit", self.limit.to_string());
        for (name, texts) in [("query", &self.text), ("not", &self.not)] {
            form = texts.iter().fold(form, |form, text| form.text(name, text.clone()));
        }
        if let Some(filter) = &self.filter {
            form = form.text("filter", filter.clone());
        }
        if !self.sort.is_empty() {
            form = form.text("sort", json!(self.sort).to_string());
        }
        if let Some(regions) = self.regions() {
            form = form.text("crop", regions.as_str().map_or_else(|| regions.to_string(), str::to_owned));
        }
        if !self.weight.is_empty() {
            let weights: BTreeMap<_, _> = self.weight.iter().cloned().collect();
            form = form.text("weights", json!(weights).to_string());
        }
        if !self.facet.is_empty() {
            form = form.text("facets", json!(self.facet).to_string());
        }
        let files = [("image", &self.image), ("video", &self.video), ("not_image", &self.not_image)];
        for (name, paths) in files {
            for path in paths {
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
    let facets = facets(result);
    if matches.is_empty() {
        return format!("nothing found{meant}{facets}");
    }
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["#", "name", "category", "price", "score", "cosine", "found by", "product"]);
    // Where no policy was asked, nothing was looked for.
    let is_browsed = result["plugins"].as_array().is_some_and(Vec::is_empty);
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
            Cell::new(if is_browsed { String::new() } else { found_by(found) }),
            Cell::new(found["product_id"].as_str().unwrap_or_default()),
        ]);
    }
    let more = if result["counts"]["total"] == "capped" { ", and there may be more" } else { "" };
    format!("{table}\n{} of {}{more}{meant}{facets}", matches.len(), result["total"])
}

/// A line for each facet: its values or ranges, and how many products have them.
fn facets(result: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let end = |end: &Value| if end.is_null() { String::new() } else { text(end) };
    let of = |count: &Value| match count.get("value") {
        Some(value) => format!("{} ({})", text(value), count["count"]),
        None => format!("{}..{} ({})", end(&count["from"]), end(&count["to"]), count["count"]),
    };
    let line = |(field, counts): (&String, &Value)| {
        let counts = counts.as_array().map_or(&[][..], Vec::as_slice);
        format!("\n{field}: {}", counts.iter().map(of).collect::<Vec<_>>().join(", "))
    };
    result["facets"].as_object().into_iter().flatten().map(line).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_facet_is_a_field_or_the_ranges_between_ends() {
        assert_eq!(facet("color").unwrap(), json!("color"));
        let ranges = facet("price:0..10..50.5..").unwrap();
        let expected = json!([{"from": 0, "to": 10}, {"from": 10, "to": 50.5}, {"from": 50.5}]);
        assert_eq!(ranges, json!({"field": "price", "ranges": expected}));
        let dates = facet("sold:..2026-01-01").unwrap();
        assert_eq!(dates, json!({"field": "sold", "ranges": [{"to": "2026-01-01"}]}));
        for text in ["price:", "price:10", "price:1....2"] {
            assert!(facet(text).is_err(), "{text}");
        }
    }
}
