//! A fresh index with everything that is stored.

use std::sync::Arc;

use futures::TryStreamExt;
use mongodb::{
    Database,
    bson::{Document, Timestamp, doc},
};
use serde::Deserialize;
use taja_catalog::{
    PortError, PortResult, Space, TenantId,
    port::{PortErrorKind, Store, VectorIndex},
    retrieval,
};

use super::{VERSIONS, stream::Begin};
use crate::call::{CallError, PATIENCE, within};

/// An index, the versions of the catalogues it holds at least, and where to go on from.
pub(super) struct Filled {
    pub(super) index: Arc<dyn VectorIndex>,
    pub(super) versions: Vec<(TenantId, u64)>,
    pub(super) from: Begin,
}

/// In this order: the moment, the versions, the vectors. So the vectors of each version are read, and what is written
/// while they are comes again with the stream.
pub(super) async fn fill(
    database: &Database,
    space: &Space,
    source: &dyn Store,
    make: &(dyn Fn() -> Arc<dyn VectorIndex> + Send + Sync),
) -> PortResult<Filled> {
    let from = moment(database).await?;
    let versions = versions(database).await?;
    let index = make();
    retrieval::fill(source, index.as_ref(), space).await?;
    Ok(Filled { index, versions, from })
}

/// The moment after the one up to which a majority has everything, and a read sees it. A later one would leave a gap
/// between what is read and what is streamed; with an earlier one a removal that led here would lead here again.
async fn moment(database: &Database) -> PortResult<Begin> {
    let look =
        doc! { "find": VERSIONS, "limit": 1, "singleBatch": true, "readConcern": { "level": "majority" } };
    let reply = within(PATIENCE, database.run_command(look)).await.map_err(refused)?;
    match reply.get_timestamp("operationTime") {
        Ok(seen) => Ok(Begin::Moment(Timestamp { increment: seen.increment.saturating_add(1), ..seen })),
        Err(error) => Err(PortError::from_source("index", PortErrorKind::Broken, error)),
    }
}

/// A shop's version as it is stored.
#[derive(Deserialize)]
struct Version {
    #[serde(rename = "_id")]
    tenant: TenantId,
    version: i64,
}

async fn versions(database: &Database) -> PortResult<Vec<(TenantId, u64)>> {
    let collection = database.collection::<Version>(VERSIONS);
    let all = async { collection.find(Document::new()).await?.try_collect::<Vec<_>>().await };
    let all = within(PATIENCE, all).await.map_err(refused)?;
    Ok(all.into_iter().map(|shop| (shop.tenant, shop.version.unsigned_abs())).collect())
}

fn refused(error: CallError) -> PortError {
    error.of("index")
}
