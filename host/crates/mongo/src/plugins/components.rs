//! Components, in pieces that fit into documents.

use bytes::Bytes;
use futures::TryStreamExt;
use mongodb::{
    ClientSession,
    bson::{Binary, Document, doc, spec::BinarySubtype},
    options::ReturnDocument,
};
use taja_catalog::{PluginDigest, PortResult, port::PortErrorKind};

use crate::{
    collections::Collections,
    document::whole,
    error::{damaged, failed, mongo},
};

/// Bytes of a piece: some of them fit into one answer of the server.
const PIECE_BYTES: usize = 4 * 1024 * 1024;
/// How often a component is read that others remove and keep anew meanwhile.
const ATTEMPTS: u32 = 3;

/// One more owns a component; the first one brings it.
pub(super) async fn take(
    collections: &Collections,
    session: &mut ClientSession,
    digest: &PluginDigest,
    component: &Bytes,
) -> PortResult<()> {
    let digest = digest.to_string();
    let size = i64::try_from(component.len()).unwrap_or(i64::MAX);
    let update = doc! { "$inc": { "owners": 1_i64 }, "$setOnInsert": { "size": size } };
    if owners_after(collections, session, &digest, update, true).await? > 1 {
        return Ok(());
    }
    for (n, bytes) in (0_i64..).zip(component.chunks(PIECE_BYTES)) {
        let data = Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() };
        let piece = doc! { "digest": &digest, "n": n, "data": data };
        collections.plugin_pieces.insert_one(piece).session(&mut *session).await.map_err(mongo)?;
    }
    Ok(())
}

/// One less owns a component; the last one takes it away.
pub(super) async fn leave(
    collections: &Collections,
    session: &mut ClientSession,
    digest: &PluginDigest,
) -> PortResult<()> {
    let digest = digest.to_string();
    let update = doc! { "$inc": { "owners": -1_i64 } };
    if owners_after(collections, session, &digest, update, false).await? > 0 {
        return Ok(());
    }
    let (component, pieces) = (doc! { "_id": &digest }, doc! { "digest": &digest });
    collections.plugin_components.delete_one(component).session(&mut *session).await.map_err(mongo)?;
    collections.plugin_pieces.delete_many(pieces).session(session).await.map_err(mongo)?;
    Ok(())
}

async fn owners_after(
    collections: &Collections,
    session: &mut ClientSession,
    digest: &str,
    update: Document,
    is_first_welcome: bool,
) -> PortResult<i64> {
    let counted = collections.plugin_components.find_one_and_update(doc! { "_id": digest }, update);
    let counted = counted.upsert(is_first_welcome).return_document(ReturnDocument::After);
    let counted = counted.session(session).await.map_err(mongo)?;
    let owners = counted.and_then(|component| whole(component.get("owners")?));
    owners.ok_or_else(|| damaged("component", "nobody knows its owners"))
}

/// Reads a component whole. That its pieces are of one moment is told by what they add up to, so this needs no
/// transaction.
pub(super) async fn fetch(collections: &Collections, digest: &PluginDigest) -> PortResult<Option<Bytes>> {
    for _ in 0..ATTEMPTS {
        let bytes = pieces(collections, digest).await?;
        // Many megabytes take longer than a thread that serves others may be kept.
        let hash = tokio::task::spawn_blocking(move || (PluginDigest::of(&bytes), bytes));
        let (found, bytes) = hash.await.map_err(|error| failed(PortErrorKind::Broken, error.to_string()))?;
        if found == *digest {
            return Ok(Some(bytes.into()));
        }
        // It may have been removed meanwhile, or removed and kept anew.
        let component = collections.plugin_components.find_one(doc! { "_id": digest.to_string() });
        if component.await.map_err(mongo)?.is_none() {
            return Ok(None);
        }
    }
    Err(damaged("component", format!("the bytes of {digest} are others")))
}

async fn pieces(collections: &Collections, digest: &PluginDigest) -> PortResult<Vec<u8>> {
    let pieces = collections.plugin_pieces.find(doc! { "digest": digest.to_string() }).sort(doc! { "n": 1 });
    let mut pieces = pieces.await.map_err(mongo)?;
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.try_next().await.map_err(mongo)? {
        let data = piece.get_binary_generic("data").map_err(|error| damaged("component", error))?;
        bytes.extend_from_slice(data);
    }
    Ok(bytes)
}
