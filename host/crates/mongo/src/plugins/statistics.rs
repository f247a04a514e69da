//! How choices have been doing, a document for each that a process called.

use std::collections::HashSet;

use async_trait::async_trait;
use futures::TryStreamExt;
use jiff::Timestamp;
use mongodb::{
    ClientSession,
    bson::{Document, doc},
};
use taja_catalog::{
    PortResult, TenantId,
    plugins::{Slot, Statistic},
    port::PortErrorKind,
};

use super::{record, records, text};
use crate::{
    collections::Collections,
    document::{self, date},
    error::{failed, mongo},
    transaction::Transaction,
};

/// Rows that are written by one command or transaction, which stays far below what a message may hold.
const AT_ONCE: usize = 500;
/// The name of no process, under which stands what was condensed.
const NOBODY: &str = "";

/// Replaces what a process said of the same.
pub(super) async fn report(
    collections: &Collections,
    process: &str,
    at: Timestamp,
    statistics: &[Statistic],
) -> PortResult<()> {
    for rows in statistics.chunks(AT_ONCE) {
        let replacement = |row| {
            let mut stored = stored(row)?;
            stored.insert("reported_at", date(at));
            Ok(doc! { "q": { "_id": key(process, row) }, "u": stored, "upsert": true })
        };
        let updates: Vec<_> = rows.iter().map(replacement).collect::<PortResult<_>>()?;
        let command = doc! {
            "update": collections.plugin_statistics.name(),
            "updates": updates,
            "writeConcern": { "w": "majority" },
        };
        let written = collections.database.run_command(command).await.map_err(mongo)?;
        if let Ok(errors) = written.get_array("writeErrors") {
            let message = format!("statistics could not be written: {errors:?}");
            return Err(failed(PortErrorKind::Broken, message));
        }
    }
    Ok(())
}

fn key(process: &str, row: &Statistic) -> Document {
    let (tenant, slot, digest) = (row.tenant.as_str(), row.slot.to_string(), row.digest.to_string());
    doc! { "t": tenant, "s": slot, "d": digest, "part": row.part.as_str(), "process": process }
}

fn stored(row: &Statistic) -> PortResult<Document> {
    Ok(doc! { "tenant": row.tenant.as_str(), "slot": row.slot.to_string(), "record": text(row)? })
}

/// Adds some rows that are old to what was condensed; false when there are none.
pub(super) struct Condense<'a> {
    pub(super) collections: &'a Collections,
    pub(super) before: Timestamp,
}

#[async_trait]
impl Transaction for Condense<'_> {
    type Answer = bool;

    async fn run(&self, session: &mut ClientSession) -> PortResult<bool> {
        let rows = &self.collections.plugin_statistics;
        let old = rows.find(doc! { "reported_at": { "$lt": date(self.before) } }).limit(AT_ONCE as i64);
        let mut old = old.session(&mut *session).await.map_err(mongo)?;
        let old: Vec<Document> = old.stream(session).try_collect().await.map_err(mongo)?;
        for row in &old {
            let mut sum: Statistic = record(row)?;
            let key = doc! { "_id": key(NOBODY, &sum) };
            let condensed = rows.find_one(key.clone()).session(&mut *session).await.map_err(mongo)?;
            if let Some(condensed) = condensed {
                sum.tally.add(&record::<Statistic>(&condensed)?.tally);
            }
            let replaced = rows.replace_one(key, stored(&sum)?).upsert(true);
            replaced.session(&mut *session).await.map_err(mongo)?;
        }
        let ids: Vec<_> = old.iter().filter_map(|row| row.get("_id")).collect();
        rows.delete_many(doc! { "_id": { "$in": &ids } }).session(session).await.map_err(mongo)?;
        Ok(!ids.is_empty())
    }
}

/// Forgets what was condensed of versions that nobody keeps any more.
pub(super) async fn forget(collections: &Collections) -> PortResult<()> {
    let condensed = doc! { "reported_at": null };
    let known = collections.plugin_statistics.distinct("_id.d", condensed.clone()).await.map_err(mongo)?;
    let kept = collections.plugin_components.find(doc! { "_id": { "$in": &known } });
    let kept: Vec<Document> = kept.await.map_err(mongo)?.try_collect().await.map_err(mongo)?;
    let kept: HashSet<_> =
        kept.iter().map(|component| document::text(component, "_id")).collect::<PortResult<_>>()?;
    let gone: Vec<_> =
        known.iter().filter(|digest| !digest.as_str().is_some_and(|it| kept.contains(it))).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let mut forgotten = condensed;
    forgotten.insert("_id.d", doc! { "$in": gone });
    collections.plugin_statistics.delete_many(forgotten).await.map_err(mongo)?;
    Ok(())
}

/// What all processes said of a slot.
pub(super) async fn of(
    collections: &Collections,
    tenant: Option<&TenantId>,
    slot: &Slot,
) -> PortResult<Vec<Statistic>> {
    let mut rows = doc! { "slot": slot.to_string() };
    if let Some(tenant) = tenant {
        rows.insert("tenant", tenant.as_str());
    }
    let found = collections.plugin_statistics.find(rows).await.map_err(mongo)?;
    Ok(Statistic::add_up(records(found).await?))
}
