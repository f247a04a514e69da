//! `taja eval sample`: queries of the log become judgements, with the grades of what shoppers did or to be graded by people.

mod known;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use clap::Args;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};
use taja_catalog::{ProductId, TenantId};

use self::known::{Candidates, Known};
use super::{
    super::{
        client::{At, Client, Refused},
        search::found,
        write_out,
    },
    ask::form,
};
use crate::{
    evaluation::{bootstrap::SplitMix, figures::PLACES, judgements::Query},
    query_log::{self, Asked, Key, Outcome, OutcomeKind},
};

/// Draw queries from the query log, and write them as judgements.
///
/// Each line has a query and the products that it finds now, with `null` where a grade from 0 to 10 is wanted; their names, how often it was
/// asked and what it found when it was asked last are in `note`. A query is drawn as likely as it is asked.
///
/// Of a log without words (`--query-log hashed`), and of pictures in any log, there are hashes alone. Queries that may have been asked are hashed
/// likewise and known again: words by `--queries-from`, pictures and videos by `--pictures`. What has a part that is not
/// known cannot be asked again, and is left out; how many are, standard error tells.
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
    /// Texts that may have been asked, one a line, however they are spaced and whether or not in capitals
    #[arg(long, value_name = "FILE")]
    queries_from: Option<PathBuf>,
    /// Pictures and videos that may have been asked, as the very files that were sent
    #[arg(long, value_name = "FOLDER")]
    pictures: Option<PathBuf>,
    /// Grade by what shoppers did with what was found: 3 for what was ordered, 1 for what was viewed. A query is drawn as likely as
    /// something came of it. Nobody orders what was not shown, so such grades favour what stood in front
    #[arg(long)]
    from_outcomes: bool,
    #[command(flatten)]
    at: At,
}

/// A query that was drawn.
struct Drawn {
    /// Its hash.
    id: String,
    query: Query,
    /// How often it was asked.
    asked: usize,
    /// What it found when it was asked last.
    found: Vec<ProductId>,
}

/// How often what was done with a product that a query found.
type Done = BTreeMap<ProductId, BTreeMap<OutcomeKind, usize>>;

impl Sample {
    pub async fn run(mut self) -> anyhow::Result<bool> {
        let config = self.at.config()?;
        let folder = self.from.take().unwrap_or_else(|| config.data.join(query_log::FOLDER));
        let named = self.at.take_tenant();
        let tenant = named.as_deref().map_or_else(|| Ok(config.tenant.clone()), str::parse)?;
        let mut log = query_log::read(&folder).with_context(|| format!("query log {}", folder.display()))?;
        log.searches.retain(|entry| entry.asked.tenant == tenant);
        log.outcomes.retain(|outcome| outcome.asked.tenant == tenant);
        let asked: Vec<&Asked> = if self.from_outcomes {
            log.outcomes.iter().map(|outcome| &outcome.asked).collect()
        } else {
            log.searches.iter().map(|entry| &entry.asked).collect()
        };

        let queries = self.queries_of(&folder, &tenant, &asked)?;
        let tickets = asked.iter().map(|asked| asked.query.as_str());
        let tickets = tickets.filter(|id| queries.contains_key(id)).collect();
        let drawn = drawn(tickets, self.queries, self.seed).into_iter().map(|id| {
            let mut times = log.searches.iter().filter(|entry| entry.asked.query == id);
            let last = times.next_back();
            Drawn {
                id: id.to_owned(),
                query: queries[id].clone(),
                asked: times.count() + usize::from(last.is_some()),
                found: last.map_or_else(Vec::new, |entry| entry.found.clone()),
            }
        });
        let drawn: Vec<_> = drawn.collect();
        let what = if self.from_outcomes { "no outcome of a query" } else { "no query" };
        ensure!(
            !drawn.is_empty(),
            "{} holds {what} of the shop {tenant} that can be asked again",
            folder.display()
        );
        let lines = self.at.with(async |client| {
            let client = client.acting_for(named.clone());
            if self.from_outcomes {
                graded(&client, &drawn, &log.outcomes).await
            } else {
                open(&client, &drawn).await
            }
        });
        lines.await?.iter().try_for_each(|line| write_out(&line.to_string()))?;
        Ok(true)
    }
}

impl Sample {
    /// What was asked, by its hash, where all of it is known; tells how much is not.
    fn queries_of<'a>(
        &self,
        folder: &Path,
        tenant: &TenantId,
        asked: &[&'a Asked],
    ) -> anyhow::Result<BTreeMap<&'a str, Query>> {
        let candidates = Candidates::read(self.queries_from.as_deref(), self.pictures.as_deref())?;
        let known = if candidates.is_empty() {
            Known::default()
        } else {
            let key = Key::read(folder)?;
            let key = key.with_context(|| format!("{} has no key of a query log", folder.display()))?;
            Known::new(&candidates, &key, tenant, asked.iter().copied())
        };
        let queries = asked.iter().filter_map(|asked| Some((asked.query.as_str(), known.query(asked)?)));
        let queries: BTreeMap<_, _> = queries.collect();
        let all: BTreeSet<_> = asked.iter().map(|asked| &asked.query).collect();
        let unknown = all.len() - queries.len();
        if unknown > 0 {
            eprintln!(
                "{unknown} different queries are left out: a part of each is known by its hash alone, and is no line of \
                 --queries-from and no file of --pictures"
            );
        }
        Ok(queries)
    }
}

/// Different ones in the order in which they were drawn, each as likely as it has tickets.
fn drawn(mut tickets: Vec<&str>, most: usize, seed: u64) -> Vec<&str> {
    let (mut random, mut seen, mut drawn) = (SplitMix::new(seed), BTreeSet::new(), Vec::new());
    while drawn.len() < most && !tickets.is_empty() {
        let ticket = tickets.swap_remove(random.below(tickets.len()));
        if seen.insert(ticket) {
            drawn.push(ticket);
        }
    }
    drawn
}

/// Judgements that wait for the grades of what is found now.
async fn open(client: &Client, drawn: &[Drawn]) -> anyhow::Result<Vec<Value>> {
    let mut lines = Vec::new();
    for drawn in drawn {
        let result = found(client, form(&drawn.query, PLACES as u32, &json!({})).await?).await?;
        let matches = result["matches"].as_array().map_or(&[][..], Vec::as_slice);
        let by_id = |value: &dyn Fn(&Value) -> Value| -> Map<String, Value> {
            let pairs = matches.iter();
            pairs.filter_map(|it| Some((it["product_id"].as_str()?.to_owned(), value(it)))).collect()
        };
        let relevant = by_id(&|_| Value::Null);
        let note = json!({
            "asked": drawn.asked, "found": drawn.found, "names": by_id(&|product| product["name"].clone()),
        });
        lines.push(line(drawn, relevant, note));
    }
    Ok(lines)
}

/// Judgements by what shoppers did, of the products that are there still.
async fn graded(client: &Client, drawn: &[Drawn], outcomes: &[Outcome]) -> anyhow::Result<Vec<Value>> {
    let (mut lines, mut gone) = (Vec::new(), 0);
    for drawn in drawn {
        let mut done = Done::new();
        for outcome in outcomes.iter().filter(|outcome| outcome.asked.query == drawn.id) {
            let kinds = done.entry(outcome.product.clone()).or_default();
            *kinds.entry(outcome.outcome).or_default() += 1;
        }
        let (mut relevant, mut names) = (Map::new(), Map::new());
        for (product, kinds) in &done {
            if let Some(name) = name(client, product).await? {
                let best = kinds.keys().next_back().copied();
                relevant.insert(product.to_string(), best.map_or(0, grade).into());
                names.insert(product.to_string(), name);
            }
        }
        if relevant.is_empty() {
            gone += 1;
            continue;
        }
        let note = json!({ "asked": drawn.asked, "found": drawn.found, "names": names, "outcomes": done });
        lines.push(line(drawn, relevant, note));
    }
    if gone > 0 {
        eprintln!("{gone} queries are left out: no product that something was done with is there any more");
    }
    Ok(lines)
}

fn grade(outcome: OutcomeKind) -> u8 {
    match outcome {
        OutcomeKind::Viewed => 1,
        OutcomeKind::Ordered => 3,
    }
}

/// What a product is called; nothing when it is not there.
async fn name(client: &Client, product: &ProductId) -> anyhow::Result<Option<Value>> {
    match client.call(Method::GET, &format!("/products/{product}"), &[], None).await {
        Ok(product) => Ok(Some(product["name"].clone())),
        Err(error) => match error.downcast_ref::<Refused>() {
            Some(refused) if refused.status == StatusCode::NOT_FOUND => Ok(None),
            _ => Err(error),
        },
    }
}

fn line(drawn: &Drawn, relevant: Map<String, Value>, note: Value) -> Value {
    let mut line = drawn.query.written();
    line.insert("id".to_owned(), drawn.id.as_str().into());
    line.insert("relevant".to_owned(), relevant.into());
    line.insert("note".to_owned(), note);
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_query_is_drawn_once_and_frequent_ones_more_often() {
        let rare: Vec<_> = (0..10).map(|n| format!("rare {n}")).collect();
        let mut tickets = vec!["often"; 30];
        tickets.extend(rare.iter().map(String::as_str));
        assert_eq!(drawn(tickets.clone(), 100, 1).len(), 11);
        let first = |seed| drawn(tickets.clone(), 1, seed)[0];
        let often = (0..200).filter(|seed| first(*seed) == "often").count();
        // 150 are expected, with a standard deviation of 6.
        assert!((120..=180).contains(&often), "{often}");
        assert_eq!(first(7), first(7));
    }
}
