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

/// An execution and the age of the youngest that is there of it.
#[derive(Deserialize)]
struct Youngest {
    #[serde(rename = "_id")]
    effect: String,
    at: DateTime,
}

/// Where something of an execution lies: the collection, and the fields of whose it is and of its age.
type Place = (&'static str, &'static str, &'static str);

const FILES: Place = ("uploads.files", "metadata.effect", "uploadDate");
const PIECES: Place = ("uploads.chunks", "effect", "at");

pub(super) async fn older_than(
    uploads: &GridUploads,
    before: Timestamp,
    limit: usize,
) -> PortResult<Vec<EffectKey>> {
    let before = DateTime::from_millis(before.as_millisecond());
    let of_files = only_old(&uploads.files, FILES, before, limit);
    let of_pieces = only_old(&uploads.pieces, PIECES, before, limit);
    let (files, pieces) = tokio::try_join!(of_files, of_pieces).map_err(refused)?;
    let mut ages: BTreeMap<String, DateTime> = BTreeMap::new();
    for youngest in files.into_iter().chain(pieces) {
        let age = ages.entry(youngest.effect).or_insert(youngest.at);
        *age = youngest.at.max(*age);
    }
    let mut effects: Vec<_> = ages.into_iter().collect();
    effects.sort_by_key(|(_, at)| *at);
    effects.truncate(limit);
    effects.into_iter().map(|(effect, _)| named(&effect)).collect()
}

/// The executions that have something here, and nothing anywhere that is younger.
async fn only_old<T: Send + Sync>(
    collection: &Collection<T>,
    (_, effect, at): Place,
    before: DateTime,
    limit: usize,
) -> Result<Vec<Youngest>, CallError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    if limit == 0 {
        return Ok(Vec::new());
    }
    let younger = |(from, effect, at): Place, name: &str| {
        let one = [
            doc! { "$match": { at: { "$gte": before } } },
            doc! { "$limit": 1 },
            doc! { "$project": { "_id": 1 } },
        ];
        doc! { "$lookup": { "from": from, "localField": "_id", "foreignField": effect, "pipeline": one, "as": name } }
    };
    let pipeline = [
        doc! { "$match": { at: { "$lt": before } } },
        doc! { "$group": { "_id": format!("${effect}"), "at": { "$max": format!("${at}") } } },
        doc! { "$sort": { "at": 1 } },
        younger(FILES, "files"),
        younger(PIECES, "pieces"),
        doc! { "$match": { "files": [], "pieces": [] } },
        doc! { "$limit": limit },
    ];
    let look = async { collection.aggregate(pipeline).with_type::<Youngest>().await?.try_collect().await };
    within(PATIENCE, look).await
}

fn named(effect: &str) -> PortResult<EffectKey> {
    effect.parse().map_err(|error| PortError::from_source("uploads", PortErrorKind::Broken, error))
}
