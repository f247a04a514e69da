//! Getting a kept file.

use std::{io, path::Path};

use mongodb::bson::doc;
use taja_catalog::{EffectKey, ImageHash, PortResult};

use super::{FileRow, GridUploads, Naming, PieceRow, disk, other_bytes, refused, sink::Sink};
use crate::call::{PATIENCE, within};

/// Pieces per answer of the server: with more, one answer could take longer than its time.
const PIECES_AT_ONCE: u32 = 4;

pub(super) async fn fetch(
    uploads: &GridUploads,
    effect: &EffectKey,
    hash: &ImageHash,
    to: &Path,
    naming: Naming,
) -> PortResult<bool> {
    let Some(file) = uploads.kept(effect, hash).await? else { return Ok(false) };
    let to = to.to_owned();
    let beside = to.clone();
    let sink = blocking(move || Sink::beside(&beside)).await?;
    let sink = read_pieces(uploads, &file, sink).await?;
    if sink.length() != file.length {
        // Its pieces are being taken away, or were.
        return Ok(false);
    }
    if naming == Naming::ByContent && sink.content() != *hash {
        return Err(other_bytes(hash));
    }
    blocking(move || sink.finish(&to)).await?;
    Ok(true)
}

async fn read_pieces(uploads: &GridUploads, file: &FileRow, mut sink: Sink) -> PortResult<Sink> {
    let pieces = uploads.pieces.find(doc! { "files_id": file.id }).sort(doc! { "n": 1 });
    let mut pieces = within(PATIENCE, pieces.batch_size(PIECES_AT_ONCE)).await.map_err(refused)?;
    while within(PATIENCE, pieces.advance()).await.map_err(refused)? {
        let piece: PieceRow = pieces.deserialize_current().map_err(|error| refused(error.into()))?;
        sink = blocking(move || sink.write(&piece.data.bytes)).await?;
    }
    Ok(sink)
}

/// Runs what blocks where it may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> PortResult<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(error.into())).map_err(disk)
}
