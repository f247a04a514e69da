//! Plugins for people to read.

use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use serde_json::{Value, json};
use taja_sandbox::{PluginState, PluginStatus, manifest::Manifest};

/// Digits of a digest that are shown.
const SHOWN: usize = 12;

/// Components that were loaded for a check.
pub fn checked(report: &[PluginStatus]) -> String {
    let mut table =
        table(&["file", "name", "version", "kind", "accepts", "may use", "limits", "digest", "state"]);
    for plugin in report {
        let manifest = plugin.manifest.as_ref();
        let of_manifest = |read: fn(&Manifest) -> String| manifest.map(read).unwrap_or_default();
        let state = match &plugin.state {
            PluginState::Ready => format!("ready, {} ms", plugin.compile_ms),
            PluginState::Refused(reason) => format!("refused: {reason}"),
        };
        table.add_row([
            plugin.file.clone(),
            of_manifest(|manifest| manifest.name.clone()),
            of_manifest(|manifest| manifest.version.to_string()),
            of_manifest(|manifest| manifest.kind.name().to_owned()),
            of_manifest(|manifest| manifest.accepts.join(", ")),
            of_manifest(|manifest| {
                manifest.capabilities.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            }),
            plugin.limits.map(|allowance| limits(&json!(allowance))).unwrap_or_default(),
            plugin.digest.map(|digest| digest.to_string()[..SHOWN].to_owned()).unwrap_or_default(),
            state,
        ]);
    }
    table.to_string()
}

/// Every version of every plugin, and below it what the service could not load.
pub fn list(plugins: &Value) -> String {
    let mut table = table(&[
        "name",
        "version",
        "kind",
        "state",
        "for",
        "digest",
        "may use",
        "limits",
        "uploaded",
        "by",
        "signed by",
    ]);
    for version in rows(&plugins["plugins"]).iter().flat_map(|plugin| rows(&plugin["versions"])) {
        let inherited = if version["inherited"] == true { ", for every shop" } else { "" };
        let granted: Vec<_> = rows(&version["granted"]).iter().map(text).collect();
        table.add_row([
            text(&version["name"]).to_owned(),
            text(&version["version"]).to_owned(),
            text(&version["kind"]).to_owned(),
            format!("{}{inherited}", text(&version["state"])),
            version["owner"].as_str().unwrap_or("every shop").to_owned(),
            digest(version).to_owned(),
            granted.join(", "),
            limits(&version["limits"]),
            text(&version["uploaded_at"]).to_owned(),
            text(&version["uploaded_by"]).to_owned(),
            text(&version["signer"]).to_owned(),
        ]);
    }
    let refused = rows(&plugins["folder"]).iter().filter(|file| file["state"] == "refused");
    let refused =
        refused.map(|file| format!("\n{} is refused: {}", text(&file["file"]), text(&file["reason"])));
    let troubles = rows(&plugins["troubles"]).iter().map(|trouble| {
        let whose = trouble["tenant"].as_str().unwrap_or("every shop");
        format!("\n{} of {whose} stays as it was: {}", text(&trouble["slot"]), text(&trouble["reason"]))
    });
    refused.chain(troubles).fold(table.to_string(), |all, line| all + &line)
}

/// What a call may use up that people ask after, and what it would have more of.
fn limits(allowance: &Value) -> String {
    let Some(granted) = allowance["granted"].as_object() else { return String::new() };
    let shown = ["cpu_ms", "wall_ms", "memory_mib"]
        .iter()
        .filter_map(|name| Some(limit((name, granted.get(*name)?))));
    let asked = allowance["asked"].as_object().into_iter().flatten();
    let asked: Vec<_> = asked.map(|(name, number)| limit((name, number))).collect();
    let shown = shown.collect::<Vec<_>>().join(" ");
    if asked.is_empty() { shown } else { format!("{shown}; asks for {}", asked.join(" ")) }
}

fn limit((name, number): (&str, &Value)) -> String {
    format!("{name}={number}")
}

/// One version in a line.
pub fn version(version: &Value) -> String {
    let (name, number, state) = (text(&version["name"]), text(&version["version"]), text(&version["state"]));
    format!("{name} {number} {} {state}", text(&version["digest"]))
}

/// What fills a slot, a line for each choice.
pub fn slot(plugin: &Value) -> String {
    let row = &plugin["activation"];
    let whose = match plugin["tenant"].as_str() {
        None => "every shop that has nothing of its own".to_owned(),
        Some(shop) if row["inherited"] == true => format!("shop {shop}, by everybody's choices"),
        Some(shop) => format!("shop {shop}"),
    };
    let mut lines = vec![format!("slot      {} of {whose}", text(&plugin["slot"]))];
    let mut add = |what: &str, choice: &Value, more: String| {
        if !choice.is_null() {
            lines.push(format!("{what:<10}{}{more}", self::choice(choice)));
        }
    };
    add("live", &row["live"], String::new());
    add("canary", &row["canary"], format!(", {} % of the sessions", row["canary"]["percent"]));
    add("shadow", &row["shadow"], format!(", 1 request in {}", row["shadow"]["every"]));
    rows(&row["previous"]).iter().for_each(|earlier| add("previous", earlier, String::new()));
    if row["live"].is_null() {
        lines.push("live      nothing".to_owned());
    }
    if let Some(seconds) = plugin["gate"]["max_age_seconds"].as_u64() {
        lines.push(format!("gate      an evaluation of the last {seconds} s"));
    }
    lines.join("\n")
}

fn choice(choice: &Value) -> String {
    let (name, version) = (text(&choice["name"]), text(&choice["version"]));
    format!("{name} {version} ({}) with {}", digest(choice), choice["settings"])
}

/// One event in a line.
pub fn change(event: &Value) -> String {
    let (at, by, reason) = (text(&event["at"]), text(&event["by"]), text(&event["reason"]));
    let action = text(&event["action"]).replace('_', " ");
    let choice = &event["choice"];
    let what = match choice {
        Value::Null => String::new(),
        choice => format!(" {} {} ({})", text(&choice["name"]), text(&choice["version"]), digest(choice)),
    };
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    format!("{at} {by}: {action}{what}{reason}")
}

/// Events, one below the other.
pub fn history(events: &[Value]) -> String {
    let mut table = table(&["at", "by", "action", "plugin", "version", "digest", "settings", "reason"]);
    for event in events {
        let choice = &event["choice"];
        let settings = if choice.is_null() { String::new() } else { choice["settings"].to_string() };
        table.add_row([
            text(&event["at"]).to_owned(),
            text(&event["by"]).to_owned(),
            text(&event["action"]).replace('_', " "),
            text(&choice["name"]).to_owned(),
            text(&choice["version"]).to_owned(),
            digest(choice).to_owned(),
            settings,
            text(&event["reason"]).to_owned(),
        ]);
    }
    table.to_string()
}

/// The versions of a plugin and how they have been doing: a row for each part that a version was called in.
pub fn versions(plugin: &Value) -> String {
    let mut table = table(&[
        "version", "digest", "state", "share", "part", "calls", "failures", "p50 ms", "p99 ms", "overlap",
        "distance",
    ]);
    for version in rows(&plugin["versions"]) {
        let mut statistics = rows(&version["statistics"]).to_vec();
        if statistics.is_empty() {
            statistics.push(Value::Null);
        }
        for row in &statistics {
            let now = row.is_null() || row["part"] == version["state"];
            table.add_row([
                text(&version["version"]).to_owned(),
                digest(version).to_owned(),
                text(&version["state"]).to_owned(),
                if now { share(plugin, text(&version["state"])) } else { String::new() },
                text(&row["part"]).to_owned(),
                number(&row["calls"], 1.0, 0),
                failures(&row["outcomes"]),
                number(&row["p50_micros"], 1e-3, 2),
                number(&row["p99_micros"], 1e-3, 2),
                number(&row["mean_overlap"], 1.0, 3),
                number(&row["mean_score_distance"], 1.0, 4),
            ]);
        }
    }
    table.to_string()
}

/// How much of what comes a choice sees in this part.
fn share(plugin: &Value, state: &str) -> String {
    let row = &plugin["activation"];
    let tried = row["canary"]["percent"].as_u64().unwrap_or(0);
    match state {
        "live" => format!("{} %", 100 - tried.min(100)),
        "canary" => format!("{tried} %"),
        "shadow" => format!("1 in {}", row["shadow"]["every"]),
        _ => String::new(),
    }
}

fn failures(outcomes: &Value) -> String {
    let outcomes = outcomes.as_object().into_iter().flatten().filter(|(name, _)| *name != "ok");
    outcomes.map(|(name, calls)| format!("{calls} {name}")).collect::<Vec<_>>().join(", ")
}

fn number(value: &Value, unit: f64, decimals: usize) -> String {
    value.as_f64().map(|value| format!("{:.decimals$}", value * unit)).unwrap_or_default()
}

fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(columns);
    table
}

fn rows(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn digest(value: &Value) -> &str {
    let digest = text(&value["digest"]);
    digest.get(..SHOWN).unwrap_or(digest)
}
