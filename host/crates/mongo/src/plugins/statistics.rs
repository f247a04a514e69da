//! How choices have been doing, a document for each that a process called.

use mongodb::bson::{Document, doc};
use taja_catalog::{
    PortResult, TenantId,
    plugins::{Slot, Statistic},
    port::PortErrorKind,
};

use super::{records, text};
use crate::{
    collections::Collections,
    error::{failed, mongo},
};

/// Rows that are written by one command, which stays far below what a message may hold.
const AT_ONCE: usize = 500;

/// Replaces what a process said of the same.
pub(super) async fn report(
    collections: &Collections,
    process: &str,
    statistics: &[Statistic],
) -> PortResult<()> {
    for rows in statistics.chunks(AT_ONCE) {
        let updates: Vec<_> = rows.iter().map(|row| replacement(process, row)).collect::<PortResult<_>>()?;
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

fn replacement(process: &str, row: &Statistic) -> PortResult<Document> {
    let (tenant, slot) = (row.tenant.as_str(), row.slot.to_string());
    let key = doc! {
        "t": tenant, "s": &slot, "d": row.digest.to_string(), "part": row.part.as_str(), "process": process,
    };
    let stored = doc! { "tenant": tenant, "slot": slot, "record": text(row)? };
    Ok(doc! { "q": { "_id": key }, "u": stored, "upsert": true })
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
