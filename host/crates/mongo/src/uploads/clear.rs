//! Forgetting files, whole ones and what broken attempts left.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use jiff::Timestamp;
use mongodb::{
    Collection,
    bson::{DateTime, doc},
};
use serde::Deserialize;
use taja_catalog::{EffectKey, PortError, PortResult, port::PortErrorKind};

use super::{GridUploads, refused};
use crate::call::{CallError, PATIENCE, within};

pub(super) async fn clear(uploads: &GridUploads, effect: &EffectKey) -> PortResult<()> {
    let files = || within(PATIENCE, uploads.files.delete_many(doc! { "metadata.effect": effect.as_str() }));
    let pieces = within(PATIENCE, uploads.pieces.delete_many(doc! { "effect": effect.as_str() }));
    // Documents first: a file without pieces must not be found. Once more afterwards: one that was finished in
    // between has lost its pieces.
    files().await.map_err(refused)?;
    pieces.await.map_err(refused)?;
    files().await.map_err(refused)?;
    Ok(())
}

/// An execution and the age of the oldest that is there of it.
#[derive(Deserialize)]
struct Oldest {
    #[serde(rename = "_id")]
    effect: String,
    at: DateTime,
}

pub(super) async fn older_than(
    uploads: &GridUploads,
    before: Timestamp,
    limit: usize,
) -> PortResult<Vec<EffectKey>> {
    let before = DateTime::from_millis(before.as_millisecond());
    let of_files = oldest(&uploads.files, "uploadDate", "metadata.effect", before, limit);
    let of_pieces = oldest(&uploads.pieces, "at", "effect", before, limit);
    let (files, pieces) = tokio::try_join!(of_files, of_pieces).map_err(refused)?;
    let mut ages: BTreeMap<String, DateTime> = BTreeMap::new();
    for oldest in files.into_iter().chain(pieces) {
        let age = ages.entry(oldest.effect).or_insert(oldest.at);
        *age = oldest.at.min(*age);
    }
    let mut effects: Vec<_> = ages.into_iter().collect();
    effects.sort_by_key(|(_, at)| *at);
    effects.truncate(limit);
    effects.into_iter().map(|(effect, _)| named(&effect)).collect()
}

async fn oldest<T: Send + Sync>(
    collection: &Collection<T>,
    at: &str,
    effect: &str,
    before: DateTime,
    limit: usize,
) -> Result<Vec<Oldest>, CallError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    if limit == 0 {
        return Ok(Vec::new());
    }
    let pipeline = [
        doc! { "$match": { at: { "$lt": before } } },
        doc! { "$group": { "_id": format!("${effect}"), "at": { "$min": format!("${at}") } } },
        doc! { "$sort": { "at": 1 } },
        doc! { "$limit": limit },
    ];
    let look = async { collection.aggregate(pipeline).with_type::<Oldest>().await?.try_collect().await };
    within(PATIENCE, look).await
}

fn named(effect: &str) -> PortResult<EffectKey> {
    effect.parse().map_err(|error| PortError::from_source("uploads", PortErrorKind::Broken, error))
}
