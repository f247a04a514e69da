//! What the service is asked to do with models.

use anyhow::{Context, bail};
use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::{client::At, follow, write_out};

/// What has to hold before a model serves.
#[derive(clap::Args)]
pub struct Conditions {
    /// Embed and compare, and let the active one go on serving
    #[arg(long)]
    hold: bool,
    /// The least share of what the active one finds that this one has to find, 0 to 1
    #[arg(long, default_value_t = taja_catalog::models::Conditions::default().at_least)]
    at_least: f64,
    /// Leave pictures behind that cannot be fetched or decoded any more
    #[arg(long)]
    allow_lacking: bool,
}

/// Lets a model serve, and follows the job until it ends.
pub async fn activate(name: &str, conditions: Conditions, json: bool, at: At) -> anyhow::Result<()> {
    let Conditions { hold, at_least, allow_lacking } = conditions;
    let body = json!({ "hold": hold, "at_least": at_least, "allow_lacking": allow_lacking });
    let job = at.with(async |client| {
        let route = format!("/models/{}/activate", encoded(name));
        let accepted = client.create(&route, &body).await?;
        let id = accepted["job_id"].as_str().context("the server named no job")?.to_owned();
        follow::shown(client, &id).await
    });
    let job = job.await?;
    if let Some(message) = job["error"]["message"].as_str() {
        bail!("{message}");
    }
    write_out(&if json { job["result"].to_string() } else { told(name, &job["result"]) })
}

/// A name as a part of a path.
fn encoded(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn told(name: &str, result: &Value) -> String {
    let number = |key: &str| result[key].as_u64().unwrap_or(0);
    let mut text = format!("{} pictures were embedded with {name}", number("embedded"));
    if number("lacking") > 0 {
        text += &format!("; {} could not be, and are found by words only", number("lacking"));
    }
    let comparison = &result["comparison"];
    if !comparison.is_null() {
        let percent = |share: &Value| format!("{:.1} %", 100.0 * share.as_f64().unwrap_or(0.0));
        let mut table = Table::new();
        table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["found among the nearest ten", "before", "with it", "of"]);
        let rows =
            [("products by their names", "names"), ("products by another of their pictures", "siblings")];
        for (what, key) in rows {
            let found = &comparison[key];
            table.add_row([
                what.to_owned(),
                percent(&found["before"]),
                percent(&found["after"]),
                found["of"].to_string(),
            ]);
        }
        text += &format!(
            "\n\n{table}\nBoth agree on {} of the nearest products of {} pictures.",
            percent(&comparison["overlap"]),
            comparison["pictures"]
        );
    }
    let before = result["before"].as_str().unwrap_or_default();
    let old = before.rsplit_once('@').map_or(before, |(name, _)| name);
    text + &match result["status"].as_str() {
        Some("active") if result["before"] == result["space"] => "\nIt serves.".to_owned(),
        Some("active") => format!("\n\nIt serves. The way back: `taja model activate {old}`"),
        _ => format!("\n\n{old} serves on. `taja model activate {name}` makes it serve."),
    }
}

/// Shows every model and what it is to the service.
pub async fn status(json: bool, at: At) -> anyhow::Result<()> {
    let list = at.with(async |client| client.get("/models").await).await?;
    if json {
        return write_out(&serde_json::to_string_pretty(&list)?);
    }
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["name", "state", "vectors", "space"]);
    for model in list["models"].as_array().into_iter().flatten() {
        let text = |key: &str| model[key].as_str().unwrap_or("-").to_owned();
        table.add_row([text("name"), text("state"), model["vectors"].to_string(), text("space")]);
    }
    write_out(&format!("{table}\n{} pictures in all", list["pictures"]))
}

/// Has vectors removed that nobody needs.
pub async fn forget(space: &str, at: At) -> anyhow::Result<()> {
    let route = format!("/models/vectors/{}", encoded(space));
    at.with(async |client| client.call(Method::DELETE, &route, &[], None).await).await?;
    Ok(())
}
