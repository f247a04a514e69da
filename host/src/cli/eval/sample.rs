//! `taja eval sample`: queries of the log become judgements that wait for their grades.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::{Context, ensure};
use clap::Args;
use reqwest::multipart::Form;
use serde_json::{Value, json};

use super::super::{
    client::{At, Client},
    search::found,
    write_out,
};
use crate::{
    evaluation::{bootstrap::SplitMix, figures::PLACES},
    query_log::{self, Entry},
};

/// Draw queries from the query log, and write them as judgements without grades.
///
/// Each line has a query and the products that it finds now, with `null` where a grade from 0 to 10 is wanted; their names are
/// in `note`. A query is drawn as likely as it is asked. Needs a log with words (`--query-log full`): of what was logged as a
/// hash alone, and of pictures, there is nothing to show to whoever judges.
#[derive(Args)]
pub struct Sample {
    /// Different queries to draw, at most
    #[arg(long, default_value_t = 50)]
    queries: usize,
    /// Another number draws others
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder of the log [default: that in the data folder]
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
    #[command(flatten)]
    at: At,
}

impl Sample {
    pub async fn run(mut self) -> anyhow::Result<bool> {
        let config = self.at.config()?;
        let folder = self.from.take().unwrap_or_else(|| config.data.join(query_log::FOLDER));
        let named = self.at.take_tenant();
        let tenant = named.clone().unwrap_or_else(|| config.tenant.to_string());
        let entries = query_log::read(&folder).with_context(|| format!("query log {}", folder.display()))?;
        let entries = entries.into_iter().filter(|entry| entry.tenant.as_str() == tenant).collect();
        let drawn = drawn(entries, self.queries, self.seed);
        ensure!(!drawn.is_empty(), "{} holds no words that the shop {tenant} was asked", folder.display());
        let lines = self.at.with(async |client| {
            let client = client.acting_for(named.clone());
            let mut lines = Vec::new();
            for (entry, times) in &drawn {
                lines.push(line(&client, entry, *times).await?);
            }
            Ok(lines)
        });
        lines.await?.iter().try_for_each(|line| write_out(&line.to_string()))?;
        Ok(true)
    }
}

/// Different queries by words alone, each with how often it was asked, in the order in which they were drawn.
fn drawn(entries: Vec<Entry>, most: usize, seed: u64) -> Vec<(Entry, usize)> {
    let mut entries: Vec<_> =
        entries.into_iter().filter(|entry| entry.text.is_some() && entry.modalities == ["text"]).collect();
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for entry in &entries {
        *times.entry(entry.query.clone()).or_default() += 1;
    }
    let (mut random, mut seen, mut drawn) = (SplitMix::new(seed), BTreeSet::new(), Vec::new());
    while drawn.len() < most && !entries.is_empty() {
        let entry = entries.swap_remove(random.below(entries.len()));
        if seen.insert(entry.query.clone()) {
            let times = times[&entry.query];
            drawn.push((entry, times));
        }
    }
    drawn
}

async fn line(client: &Client, entry: &Entry, times: usize) -> anyhow::Result<Value> {
    let text = entry.text.clone().unwrap_or_default();
    let form =
        Form::new().text("query", text.clone()).text("limit", PLACES.to_string()).text("policies", "{}");
    let form = if entry.filter.is_null() { form } else { form.text("filter", entry.filter.to_string()) };
    let result = found(client, form).await?;
    let matches = result["matches"].as_array().map_or(&[][..], Vec::as_slice);
    let by_id = |value: &dyn Fn(&Value) -> Value| -> Value {
        let pairs = matches.iter().filter_map(|it| Some((it["product_id"].as_str()?.to_owned(), value(it))));
        pairs.collect::<serde_json::Map<_, _>>().into()
    };
    let mut line = json!({
        "id": entry.query,
        "query": text,
        "relevant": by_id(&|_| Value::Null),
        "note": { "asked": times, "names": by_id(&|product| product["name"].clone()) },
    });
    if !entry.filter.is_null() {
        line["filter"] = entry.filter.clone();
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn entry(text: Option<&str>, modalities: &[&str]) -> Entry {
        Entry {
            at: Timestamp::UNIX_EPOCH,
            tenant: "shop".parse().unwrap(),
            query: format!("hash of {text:?}"),
            text: text.map(str::to_owned),
            modalities: modalities.iter().map(|name| (*name).to_owned()).collect(),
            filter: Value::Null,
            found: Vec::new(),
            total: 0,
            plugins: Vec::new(),
        }
    }

    #[test]
    fn each_query_is_drawn_once_and_frequent_ones_more_often() {
        let mut entries = vec![entry(Some("often"), &["text"]); 30];
        entries.extend((0..10).map(|n| entry(Some(&format!("rare {n}")), &["text"])));
        let all = drawn(entries.clone(), 100, 1);
        assert_eq!(all.len(), 11);
        assert!(all.iter().any(|(entry, times)| entry.text.as_deref() == Some("often") && *times == 30));
        let first = |seed| drawn(entries.clone(), 1, seed)[0].0.text.clone().unwrap();
        let often = (0..200).filter(|seed| first(*seed) == "often").count();
        // 150 are expected, with a standard deviation of 6.
        assert!((120..=180).contains(&often), "{often}");
        assert_eq!(first(7), first(7));
    }

    #[test]
    fn what_nobody_can_judge_is_not_drawn() {
        let entries = vec![
            entry(None, &["text"]),
            entry(None, &["image"]),
            entry(Some("but red"), &["image", "text"]),
            entry(Some("shoe"), &["text"]),
        ];
        let drawn = drawn(entries, 10, 1);
        assert_eq!(drawn.len(), 1);
        assert_eq!(drawn[0].0.text.as_deref(), Some("shoe"));
    }
}
