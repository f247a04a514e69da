//! Uploaded files in the database, where every process can get them: GridFS, bucket `uploads`.
//!
//! A file is its document in `uploads.files` and its pieces in `uploads.chunks`. Every attempt at keeping one writes
//! pieces of its own and the document last, so attempts never disturb each other, and what has no document is not
//! there. Each piece also says for which execution it is and since when: what a broken attempt left behind is found,
//! and goes with the rest.

mod clear;
mod fetch;
mod put;
mod sink;

use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;
use mongodb::{
    Collection, Database, IndexModel,
    bson::{Binary, DateTime, Document, doc, oid::ObjectId},
    options::IndexOptions,
};
use serde::{Deserialize, Serialize};
use taja_catalog::{
    EffectKey, ImageHash, PortError, PortResult,
    port::{PortErrorKind, UploadStore},
};

use crate::{
    Mongo,
    call::{CallError, PATIENCE, within},
};

/// How much of a file is in memory at a time, and in one piece, bytes.
const PIECE_BYTES: usize = 1024 * 1024;

/// Keeps uploads in MongoDB.
#[derive(Debug, Clone)]
pub struct GridUploads {
    files: Collection<FileRow>,
    pieces: Collection<PieceRow>,
}

/// How a file came to its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Naming {
    /// It is the hash of its content, and nothing else is kept or handed out under it.
    ByContent,
    /// It was chosen.
    Freely,
}

/// A kept file, as GridFS has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct FileRow {
    #[serde(rename = "_id")]
    id: ObjectId,
    length: i64,
    #[serde(rename = "chunkSize")]
    chunk_size: i32,
    #[serde(rename = "uploadDate")]
    upload_date: DateTime,
    filename: String,
    metadata: Whose,
}

/// Which file it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Whose {
    effect: String,
    hash: String,
}

/// A piece of a file; `effect` and `at` are beyond what GridFS has.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PieceRow {
    files_id: ObjectId,
    n: i32,
    data: Binary,
    effect: String,
    at: DateTime,
}

impl GridUploads {
    /// Opens the bucket, and makes its indexes where they are missing. Several processes may do so at once.
    ///
    /// # Errors
    /// When the server cannot be reached, or refuses.
    pub async fn open(mongo: &Mongo) -> PortResult<Self> {
        let database = mongo.database();
        let uploads = Self {
            files: database.collection("uploads.files"),
            pieces: database.collection("uploads.chunks"),
        };
        prepare(database).await.map_err(refused)?;
        Ok(uploads)
    }
}

async fn prepare(database: &Database) -> Result<(), CallError> {
    let index = |keys| IndexModel::builder().keys(keys).build();
    let unique =
        |keys| IndexModel::builder().keys(keys).options(IndexOptions::builder().unique(true).build()).build();
    let files = [
        unique(doc! { "metadata.effect": 1, "metadata.hash": 1 }),
        index(doc! { "uploadDate": 1, "metadata.effect": 1 }),
        // GridFS asks for this one and for the first one of the pieces.
        index(doc! { "filename": 1, "uploadDate": 1 }),
    ];
    let pieces = [
        unique(doc! { "files_id": 1, "n": 1 }),
        index(doc! { "effect": 1 }),
        index(doc! { "at": 1, "effect": 1 }),
    ];
    within(PATIENCE, database.collection::<Document>("uploads.files").create_indexes(files)).await?;
    within(PATIENCE, database.collection::<Document>("uploads.chunks").create_indexes(pieces)).await?;
    Ok(())
}

#[async_trait]
impl UploadStore for GridUploads {
    async fn put(&self, effect: &EffectKey, hash: &ImageHash, file: &Path) -> PortResult<()> {
        put::put(self, effect, hash, file, Naming::ByContent).await
    }

    async fn fetch(&self, effect: &EffectKey, hash: &ImageHash, to: &Path) -> PortResult<bool> {
        fetch::fetch(self, effect, hash, to, Naming::ByContent).await
    }

    async fn note(&self, effect: &EffectKey, name: &ImageHash, file: &Path) -> PortResult<()> {
        put::put(self, effect, name, file, Naming::Freely).await
    }

    async fn noted(&self, effect: &EffectKey, name: &ImageHash, to: &Path) -> PortResult<bool> {
        fetch::fetch(self, effect, name, to, Naming::Freely).await
    }

    async fn clear(&self, effect: &EffectKey) -> PortResult<()> {
        clear::clear(self, effect).await
    }

    async fn older_than(&self, before: Timestamp, limit: usize) -> PortResult<Vec<EffectKey>> {
        clear::older_than(self, before, limit).await
    }
}

impl GridUploads {
    /// The document of a kept file.
    async fn kept(&self, effect: &EffectKey, hash: &ImageHash) -> PortResult<Option<FileRow>> {
        let this = doc! { "metadata.effect": effect.as_str(), "metadata.hash": hash.to_string() };
        within(PATIENCE, self.files.find_one(this)).await.map_err(refused)
    }

    /// Whether all its pieces are there.
    async fn is_whole(&self, file: &FileRow) -> PortResult<bool> {
        let pieces = within(PATIENCE, self.pieces.count_documents(doc! { "files_id": file.id }));
        Ok(pieces.await.map_err(refused)? == pieces_of(file.length))
    }

    /// Takes away a file that is not to be.
    async fn discard(&self, file: ObjectId) -> PortResult<()> {
        within(PATIENCE, self.files.delete_one(doc! { "_id": file })).await.map_err(refused)?;
        within(PATIENCE, self.pieces.delete_many(doc! { "files_id": file })).await.map_err(refused)?;
        Ok(())
    }
}

/// How many pieces a file of this length has.
fn pieces_of(length: i64) -> u64 {
    length.unsigned_abs().div_ceil(PIECE_BYTES as u64)
}

fn refused(error: CallError) -> PortError {
    error.of("uploads")
}

/// The disk does not do its part.
fn disk(error: std::io::Error) -> PortError {
    PortError::from_source("uploads", PortErrorKind::Broken, error)
}

/// The bytes are not those that the name says.
fn other_bytes(hash: &ImageHash) -> PortError {
    PortError::new("uploads", PortErrorKind::Broken, format!("the bytes of {hash} are others"))
}
