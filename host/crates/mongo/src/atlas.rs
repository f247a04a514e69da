//! MongoDB Atlas: search indexes beside the database, where the server offers them.
//!
//! None of this has run against Atlas: the tests have a plain server, which has no search. What is sent to Atlas is made
//! by functions without side effects, and held by the tests to files that were written after Atlas' documentation.

mod index;
pub(crate) mod search;

use std::collections::HashMap;

use futures::TryStreamExt;
use mongodb::{
    Collection, Database,
    bson::{Document, doc},
    error::ErrorKind,
};
use taja_catalog::PortResult;

use crate::error::{code_of, mongo};

pub use index::AtlasIndex;

/// The server's number for an index that is there.
const INDEX_EXISTS: i32 = 68;

/// The search indexes of a collection, and whether each can be asked; none when the server has no search.
pub(crate) async fn indexes(collection: &Collection<Document>) -> PortResult<Option<HashMap<String, bool>>> {
    let listed = match collection.aggregate([doc! { "$listSearchIndexes": {} }]).await {
        Ok(cursor) => cursor.try_collect::<Vec<_>>().await,
        Err(error) => Err(error),
    };
    match listed {
        Ok(indexes) => Ok(Some(indexes.iter().filter_map(state).collect())),
        Err(error) if matches!(error.kind.as_ref(), ErrorKind::Command(_)) => {
            tracing::debug!(%error, "server has no search indexes");
            Ok(None)
        }
        Err(error) => Err(mongo(error)),
    }
}

fn state(index: &Document) -> Option<(String, bool)> {
    Some((index.get_str("name").ok()?.to_owned(), index.get_bool("queryable").unwrap_or_default()))
}

/// Makes sure that a search index is there; whether it can be asked yet. Atlas builds it in its own time.
pub(crate) async fn ensure(database: &Database, collection: &str, index: Document) -> PortResult<bool> {
    let name = index.get_str("name").unwrap_or_default().to_owned();
    let Some(states) = indexes(&database.collection(collection)).await? else { return Ok(false) };
    if let Some(queryable) = states.get(&name) {
        return Ok(*queryable);
    }
    let command = doc! { "createSearchIndexes": collection, "indexes": [index] };
    match database.run_command(command).await {
        Err(error) if !matches!(error.kind.as_ref(), ErrorKind::Command(_)) => return Err(mongo(error)),
        Err(error) if code_of(&error) != Some(INDEX_EXISTS) => {
            // Too many indexes, or no right to make one: the store works without.
            tracing::warn!(%error, index = name, "search index cannot be made");
        }
        _ => {}
    }
    Ok(false)
}
