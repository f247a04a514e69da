//! Documents that an older service in Python wrote: found beside ours, read and searched as they are.
//!
//! They have an `ObjectId` and no shop, vectors inside (`embeddings`), and whatever types Python wrote. They belong to
//! one configured shop; a product's identifier is its `ObjectId` in hex. Nothing of theirs is in the other collections,
//! so filters and words read all of them; [`migrate`](crate::MongoStore::migrate) ends that.

pub(crate) mod migrate;
mod read;
mod scan;

use mongodb::{
    ClientSession,
    bson::{Bson, Document, doc, oid::ObjectId},
    options::Collation,
};
use taja_catalog::{ImageHash, PortResult, ProductId, Space, TenantId};

use crate::{collections::Collections, document::binary, error::mongo};

pub(crate) use read::Old;
pub(crate) use scan::{
    Found, counts, found_by_words, image, listed, passing, product, products, vector_count, vectors,
    vectors_of,
};

/// To whom the documents of the older service belong.
#[derive(Debug, Clone)]
pub struct Legacy {
    /// The shop.
    pub tenant: TenantId,
    /// The space of their vectors; without it they are left out.
    pub space: Option<Space>,
}

impl Legacy {
    /// The `_id` that a product's identifier stands for.
    pub(crate) fn key(product: &ProductId) -> Option<ObjectId> {
        product.as_str().parse().ok()
    }

    /// Which of these pictures a document of the older service has.
    pub(crate) async fn taken(
        collections: &Collections,
        session: &mut ClientSession,
        hashes: &[ImageHash],
    ) -> PortResult<Option<ImageHash>> {
        let find = collections.products.find_one(with_images(hashes)).collation(any_case());
        let Some(found) = find.session(session).await.map_err(mongo)? else { return Ok(None) };
        let old = Old::read(&found, None);
        let images = old.map(|old| old.images).unwrap_or_default();
        let taken = hashes.iter().find(|hash| images.iter().any(|image| image.hash == **hash));
        // One of them it is; which one is only for people.
        Ok(taken.or(hashes.first()).copied())
    }
}

/// Documents of the older service.
pub(crate) fn old() -> Document {
    doc! { "tenant": null }
}

/// Documents of the older service that have one of these pictures, in any way a hash is written.
fn with_images(hashes: &[ImageHash]) -> Document {
    let forms = hashes.iter().flat_map(|hash| {
        [
            Bson::String(hash.to_string()),
            Bson::String(format!("sha256:{hash}")),
            Bson::String(format!("0x{hash}")),
            Bson::Binary(binary(hash)),
        ]
    });
    doc! { "tenant": null, "image_hashes": { "$in": forms.collect::<Vec<_>>() } }
}

/// Letters compare without case: hex digits are written both ways.
pub(crate) fn any_case() -> Collation {
    let strength = mongodb::options::CollationStrength::Secondary;
    Collation::builder().locale("en").strength(strength).build()
}
