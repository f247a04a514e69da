//! Which pictures went with a change, written beside the version of a shop's catalogue: the server tells whoever follows
//! that a vector was deleted, but not whose it was.
//!
//! One value of bytes, first some that no other has: of a value that stays the same the server would tell nothing.

use mongodb::bson::{Binary, oid::ObjectId, spec::BinarySubtype};
use taja_catalog::ImageHash;

/// Bytes of what no other value has.
const NONCE_BYTES: usize = 12;
/// Bytes of a hash.
const HASH_BYTES: usize = 32;

/// These pictures as a value.
pub(crate) fn write(images: &[ImageHash]) -> Binary {
    let hashes = images.iter().flat_map(ImageHash::as_bytes);
    let bytes = ObjectId::new().bytes().into_iter().chain(hashes.copied()).collect();
    Binary { subtype: BinarySubtype::Generic, bytes }
}

/// What [`write`] wrote; none if it is something else.
pub(crate) fn read(stored: &[u8]) -> Option<Vec<ImageHash>> {
    let (hashes, rest) = stored.get(NONCE_BYTES..)?.as_chunks::<HASH_BYTES>();
    rest.is_empty().then(|| hashes.iter().map(|hash| ImageHash::from_digest(*hash)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_never_the_same_twice() {
        let images = [ImageHash::of(b"a"), ImageHash::of(b"b")];
        let written = write(&images);
        assert_eq!(read(&written.bytes).unwrap(), images);
        assert_ne!(written, write(&images));
        assert_eq!(read(&written.bytes[..50]), None);
        assert_eq!(read(b""), None);
    }
}
