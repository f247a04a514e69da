//! Components, in pieces that fit into documents.

use async_trait::async_trait;
use bytes::Bytes;
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
    transaction::Transaction,
};

/// Bytes of a piece: some of them fit into one answer of the server.
const PIECE_BYTES: usize = 4 * 1024 * 1024;

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

/// Reads a component whole, as it is at one moment.
pub(super) struct Fetch<'a> {
    pub(super) collections: &'a Collections,
    pub(super) digest: &'a PluginDigest,
}

#[async_trait]
impl Transaction for Fetch<'_> {
    type Answer = Option<Vec<u8>>;

    async fn run(&self, session: &mut ClientSession) -> PortResult<Option<Vec<u8>>> {
        let digest = self.digest.to_string();
        let component = self.collections.plugin_components.find_one(doc! { "_id": &digest });
        if component.session(&mut *session).await.map_err(mongo)?.is_none() {
            return Ok(None);
        }
        let pieces = self.collections.plugin_pieces.find(doc! { "digest": digest }).sort(doc! { "n": 1 });
        let mut pieces = pieces.session(&mut *session).await.map_err(mongo)?;
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next(session).await {
            let piece = piece.map_err(mongo)?;
            let data = piece.get_binary_generic("data").map_err(|error| damaged("component", error))?;
            bytes.extend_from_slice(data);
        }
        Ok(Some(bytes))
    }
}

/// The bytes, if they are those that the digest names.
pub(super) async fn verified(digest: &PluginDigest, bytes: Vec<u8>) -> PortResult<Bytes> {
    // Many megabytes take longer than a thread that serves others may be kept.
    let hash = tokio::task::spawn_blocking(move || (PluginDigest::of(&bytes), bytes));
    let (found, bytes) = hash.await.map_err(|error| failed(PortErrorKind::Broken, error.to_string()))?;
    if found != *digest {
        return Err(damaged("component", format!("the bytes of {digest} are others")));
    }
    Ok(bytes.into())
}
