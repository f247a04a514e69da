//! JSON as it is stored: as text, so that nothing in it is taken for BSON's own; compressed when it is long.

use mongodb::bson::{Binary, Bson, spec::BinarySubtype};
use serde::{Serialize, de::DeserializeOwned};
use taja_queue::{Error, Result};

use super::error::{Damaged, TooLarge};

/// Longer texts are compressed, bytes.
const LONG: usize = 64 * 1024;
/// The most that a value may take, bytes: a payload and a result fit into one document of 16 MiB together. JSON of
/// 50 MB or more, since it shrinks to a seventh or less.
const AT_MOST: usize = 7 * 1024 * 1024;
/// zstd's own default: a good half of a gigabyte per second.
const LEVEL: i32 = 3;

/// The stored form of a job's `what`.
pub(super) async fn stored(what: &'static str, value: &impl Serialize) -> Result<Bson> {
    let text = serde_json::to_string(value)?;
    if text.len() <= LONG {
        return Ok(Bson::String(text));
    }
    // Too much work for a thread that serves others.
    let pack = move || zstd::encode_all(text.as_bytes(), LEVEL);
    let bytes = tokio::task::spawn_blocking(pack).await.map_err(Error::storage)?.map_err(Error::storage)?;
    if bytes.len() > AT_MOST {
        let error = TooLarge { what, size_bytes: bytes.len(), limit_bytes: AT_MOST };
        return Err(Error::storage(error));
    }
    Ok(Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes }))
}

/// Whether reading it back is much work.
pub(super) fn is_long(stored: &Bson) -> bool {
    matches!(stored, Bson::Binary(_))
}

/// The value that was stored in a job's field.
pub(super) fn value<T: DeserializeOwned>(id: &str, field: &'static str, stored: &Bson) -> Result<T, Damaged> {
    let damaged = |source| Damaged { id: id.to_owned(), field, source };
    let read = match stored {
        Bson::String(text) => serde_json::from_str(text),
        Bson::Binary(packed) => {
            let text =
                zstd::decode_all(packed.bytes.as_slice()).map_err(|error| damaged(Some(error.into())))?;
            serde_json::from_slice(&text)
        }
        _ => return Err(damaged(None)),
    };
    read.map_err(|error| damaged(Some(error.into())))
}
