//! Keeping a file.

use std::path::Path;

use jiff::Timestamp;
use mongodb::bson::{Binary, DateTime, oid::ObjectId, spec::BinarySubtype};
use sha2::{Digest, Sha256};
use taja_catalog::{EffectKey, ImageHash, PortError, PortResult, port::PortErrorKind};
use tokio::{fs::File, io::AsyncReadExt};

use super::{FileRow, GridUploads, Naming, PIECE_BYTES, PieceRow, Whose, disk, other_bytes, refused};
use crate::{
    call::{CallError, PATIENCE, within},
    error::is_duplicate,
};

pub(super) async fn put(
    uploads: &GridUploads,
    effect: &EffectKey,
    hash: &ImageHash,
    file: &Path,
    naming: Naming,
) -> PortResult<()> {
    if let Some(kept) = uploads.kept(effect, hash).await? {
        if uploads.is_whole(&kept).await? {
            return Ok(());
        }
        // It was cleared while it was written.
        uploads.discard(kept.id).await?;
    }
    let id = ObjectId::new();
    let result = write(uploads, id, effect, hash, file, naming).await;
    if !matches!(result, Ok(true)) {
        // What stays nevertheless is found by its age.
        if let Err(error) = uploads.discard(id).await {
            tracing::debug!(%error, "an upload that came to nothing is left over");
        }
    }
    result.map(|_| ())
}

/// Writes pieces and document; false when another attempt was faster.
async fn write(
    uploads: &GridUploads,
    id: ObjectId,
    effect: &EffectKey,
    hash: &ImageHash,
    file: &Path,
    naming: Naming,
) -> PortResult<bool> {
    let (length, content) = write_pieces(uploads, id, effect, file).await?;
    if naming == Naming::ByContent && content != *hash {
        return Err(other_bytes(hash));
    }
    let whose = Whose { effect: effect.to_string(), hash: hash.to_string() };
    let row = FileRow {
        id,
        length,
        chunk_size: PIECE_BYTES as i32,
        upload_date: now(),
        filename: hash.to_string(),
        metadata: whose,
    };
    match within(PATIENCE, uploads.files.insert_one(&row)).await {
        Ok(_) => {}
        Err(CallError::Driver(error)) if is_duplicate(&error) => return Ok(false),
        Err(error) => return Err(refused(error)),
    }
    if uploads.is_whole(&row).await? {
        return Ok(true);
    }
    let message = format!("the files of {effect} were cleared meanwhile");
    Err(PortError::new("uploads", PortErrorKind::Unavailable, message))
}

/// Sends the file piece by piece; answers its length in bytes, and the hash of its content.
async fn write_pieces(
    uploads: &GridUploads,
    id: ObjectId,
    effect: &EffectKey,
    file: &Path,
) -> PortResult<(i64, ImageHash)> {
    let mut file = File::open(file).await.map_err(disk)?.take(0);
    let (mut hasher, mut length) = (Sha256::new(), 0);
    for n in 0.. {
        file.set_limit(PIECE_BYTES as u64);
        let mut bytes = Vec::with_capacity(PIECE_BYTES);
        file.read_to_end(&mut bytes).await.map_err(disk)?;
        if bytes.is_empty() {
            break;
        }
        length += bytes.len() as i64;
        // A megabyte takes a millisecond: too long for a thread that serves others.
        let hashed = tokio::task::spawn_blocking(move || (hasher.chain_update(&bytes), bytes));
        let bytes;
        (hasher, bytes) = hashed.await.map_err(|error| disk(error.into()))?;
        let data = Binary { subtype: BinarySubtype::Generic, bytes };
        let piece = PieceRow { files_id: id, n, data, effect: effect.to_string(), at: now() };
        within(PATIENCE, uploads.pieces.insert_one(piece)).await.map_err(refused)?;
    }
    Ok((length, ImageHash::from_digest(hasher.finalize().into())))
}

fn now() -> DateTime {
    DateTime::from_millis(Timestamp::now().as_millisecond())
}
