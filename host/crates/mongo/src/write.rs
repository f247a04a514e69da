//! The one transaction that writes.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use mongodb::{
    ClientSession,
    bson::{Document, doc, oid::ObjectId},
    options::ReturnDocument,
};
use serde_json::Value;
use taja_catalog::{
    EffectKey, ImageHash, Offer, PortError, PortResult, Product, ProductId, Space, StoredImage, TenantId,
    add_product::products_named,
    port::{Change, NewImage, PortErrorKind},
    product,
};

use crate::{
    collections::Collections,
    document::{self, binary, date, key, search_key, whole},
    error::{damaged, failed, mongo, unless_taken},
    filter, intents,
    legacy::{Legacy, migrate},
    look, models, removed,
    texts::WORDED,
    transaction::Transaction,
    vectors,
};

/// Everything that one commit writes.
pub(crate) struct Commit<'a> {
    pub(crate) collections: &'a Collections,
    pub(crate) legacy: Option<&'a Legacy>,
    pub(crate) tenant: &'a TenantId,
    pub(crate) effect: &'a EffectKey,
    pub(crate) space: &'a Space,
    pub(crate) change: &'a Change,
    pub(crate) receipt: &'a Value,
}

impl Commit<'_> {
    /// Refuses what no server needs to be asked about.
    pub(crate) fn check(&self) -> PortResult<()> {
        let (Change::Create { images, .. } | Change::Merge { images, .. }) = self.change else {
            return Ok(());
        };
        if let Change::Create { product, .. } = self.change
            && product.tenant != *self.tenant
        {
            return Err(failed(PortErrorKind::Invalid, format!("product {} is another shop's", product.id)));
        }
        let expected = self.space.dimension;
        if let Some(other) =
            images.iter().map(|new| new.embedding.dimension()).find(|found| *found != expected)
        {
            let message = format!("vector has {other} components, its space has {expected}");
            return Err(failed(PortErrorKind::Invalid, message));
        }
        let mut seen = BTreeSet::new();
        match images.iter().find(|new| !seen.insert(new.image.hash)) {
            Some(twice) => Err(taken(&twice.image.hash)),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Transaction for Commit<'_> {
    type Answer = ();

    async fn run(&self, session: &mut ClientSession) -> PortResult<()> {
        // First what two commits of a shop meet on: the later one finds out before it has written anything.
        let mut version = 0;
        if !matches!(self.change, Change::None) {
            version = count_up(self.collections, session, self.tenant, &[]).await?;
            models::must_serve(self.collections, session, self.space).await?;
        }
        self.write_receipt(session).await?;
        match self.change {
            Change::None => Ok(()),
            Change::Create { product, images, index_text } => {
                create(self.collections, session, product, index_text, version).await?;
                self.add_images(session, &product.id, images).await
            }
            Change::Merge { product, images } => {
                self.append(session, product, images).await?;
                self.add_images(session, product, images).await
            }
            Change::Offer { product, offer } => self.add_offer(session, product, offer).await,
        }
    }
}

impl Commit<'_> {
    async fn write_receipt(&self, session: &mut ClientSession) -> PortResult<()> {
        // As text: a document has no whole numbers above 63 bits.
        let products: Vec<_> = products_named(self.receipt).iter().map(ToString::to_string).collect();
        let receipt = doc! {
            "_id": { "t": self.tenant.as_str(), "e": self.effect.as_str() },
            "receipt": self.receipt.to_string(),
            "at": date(Timestamp::now()),
            "tenant": self.tenant.as_str(),
            "products": products,
        };
        let written = self.collections.receipts.insert_one(receipt).session(session).await;
        unless_taken(written, || format!("receipt of {}", self.effect))?;
        Ok(())
    }

    /// Notes pictures in a stored product, which changed now.
    async fn append(
        &self,
        session: &mut ClientSession,
        product: &ProductId,
        images: &[NewImage],
    ) -> PortResult<()> {
        self.bring(session, product).await?;
        let now = date(Timestamp::now());
        let changed = doc! { "$set": { "updated_at": now } };
        let search = self.collections.search.update_one(search_key(self.tenant, product), changed);
        search.session(&mut *session).await.map_err(mongo)?;
        let images = || images.iter().map(|new| &new.image);
        let update = doc! {
            "$push": {
                "images": { "$each": images().map(document::image).collect::<Vec<_>>() },
                "image_urls": { "$each": images().map(|image| image.url.clone()).collect::<Vec<_>>() },
                "image_hashes": { "$each": images().map(|image| image.hash.to_string()).collect::<Vec<_>>() },
            },
            "$set": { "updated_at": now },
            "$inc": { "revision": 1_i64 },
        };
        self.update(session, product, update).await
    }

    /// Adds an offer to a stored product, which changed now.
    async fn add_offer(
        &self,
        session: &mut ClientSession,
        product: &ProductId,
        offer: &Offer,
    ) -> PortResult<()> {
        self.bring(session, product).await?;
        let stored = self.collections.products.find_one(key(self.tenant, product)).session(&mut *session);
        let stored = stored.await.map_err(mongo)?.ok_or_else(|| missing(product))?;
        let mut changed = document::read_product(&stored)?;
        product::add_offer(&mut changed.offers, offer.clone());
        let offers: Vec<_> = changed.offers.iter().map(document::offer).collect();
        let now = date(Timestamp::now());
        let fields = doc! { "fields": filter::entries((&changed).into()), "updated_at": now };
        let search = search_key(self.tenant, product);
        let search = self.collections.search.update_one(search, doc! { "$set": fields });
        search.session(&mut *session).await.map_err(mongo)?;
        let update = doc! {
            "$set": { "offers": offers, "updated_at": now },
            "$inc": { "revision": 1_i64 },
        };
        self.update(session, product, update).await
    }

    /// Takes a product of the older service over, if it is one.
    async fn bring(&self, session: &mut ClientSession, product: &ProductId) -> PortResult<()> {
        if let Some(legacy) = self.legacy.filter(|legacy| legacy.tenant == *self.tenant)
            && let Some(old) = Legacy::key(product)
        {
            migrate::bring(self.collections, session, legacy, old).await?;
        }
        Ok(())
    }

    async fn update(
        &self,
        session: &mut ClientSession,
        product: &ProductId,
        update: Document,
    ) -> PortResult<()> {
        let updated = self.collections.products.update_one(key(self.tenant, product), update);
        let updated = updated.session(session).await.map_err(mongo)?;
        if updated.matched_count == 0 { Err(missing(product)) } else { Ok(()) }
    }

    async fn add_images(
        &self,
        session: &mut ClientSession,
        product: &ProductId,
        images: &[NewImage],
    ) -> PortResult<()> {
        if images.is_empty() {
            return Ok(());
        }
        let hashes: Vec<_> = images.iter().map(|new| new.image.hash).collect();
        intents::fulfil(self.collections, session, self.tenant, self.effect, &hashes).await?;
        if self.legacy.is_some_and(|legacy| legacy.tenant == *self.tenant)
            && let Some(old) = Legacy::taken(self.collections, session, &hashes).await?
        {
            return Err(taken(&old));
        }
        let stored: Vec<_> = images.iter().map(|new| &new.image).collect();
        write_images(self.collections, session, self.tenant, product, &stored).await?;
        note_space(self.collections, session, self.space).await?;
        let vectors = images
            .iter()
            .map(|new| vectors::document(self.space, self.tenant, product, &new.image.hash, &new.embedding));
        self.collections.vectors.insert_many(vectors).session(session).await.map_err(mongo)?;
        Ok(())
    }
}

/// The field of a shop's version that counts deletions of products, and the one that tells which were the last.
pub(crate) const AGE: &str = "age";
pub(crate) const DELETED: &str = "deleted";
/// Deletions that are told.
const MOST_DELETED: i32 = 32;

/// Counts a deletion beside the version: the lists of words that are kept anywhere lose the product. A deletion that none
/// of the last ones is makes them be read again.
pub(crate) async fn tell_deleted(
    collections: &Collections,
    session: &mut ClientSession,
    tenant: &TenantId,
    product: &ProductId,
) -> PortResult<()> {
    let last = doc! { "$each": [product.as_str()], "$slice": -MOST_DELETED };
    let tell = doc! { "$inc": { AGE: 1_i64 }, "$push": { DELETED: last } };
    let told = collections.versions.update_one(doc! { "_id": tenant.as_str() }, tell).session(session);
    told.await.map_err(mongo)?;
    Ok(())
}

/// Counts a shop's changes, and tells which pictures go: whoever follows the catalogue hears of each. The version now.
pub(crate) async fn count_up(
    collections: &Collections,
    session: &mut ClientSession,
    tenant: &TenantId,
    gone: &[ImageHash],
) -> PortResult<i64> {
    let shop = doc! { "_id": tenant.as_str() };
    let mut count = doc! { "$inc": { "version": 1_i64 } };
    if !gone.is_empty() {
        count.insert("$set", doc! { "removed": removed::write(gone) });
    }
    let counted = collections.versions.find_one_and_update(shop, count).upsert(true);
    let counted = counted.return_document(ReturnDocument::After).session(session).await.map_err(mongo)?;
    let version = counted.and_then(|counted| counted.get_i64("version").ok());
    version.ok_or_else(|| damaged("version", "it has no number"))
}

async fn create(
    collections: &Collections,
    session: &mut ClientSession,
    product: &Product,
    text: &str,
    version: i64,
) -> PortResult<()> {
    let mut document = document::product(product, text);
    document.insert("_id", ObjectId::new());
    document.insert(WORDED, version);
    let written = collections.products.insert_one(document).session(&mut *session).await;
    unless_taken(written, || format!("product {}", product.id))?;
    let search = document::search(product, text);
    collections.search.insert_one(search).session(session).await.map_err(mongo)?;
    Ok(())
}

/// Claims pictures for a shop; `Conflict` when one is taken.
pub(crate) async fn write_images(
    collections: &Collections,
    session: &mut ClientSession,
    tenant: &TenantId,
    product: &ProductId,
    images: &[&StoredImage],
) -> PortResult<()> {
    let documents = images.iter().map(|image| {
        let mut document = doc! {
            "_id": ObjectId::new(),
            "tenant": tenant.as_str(),
            "hash": binary(&image.hash),
            "product": product.as_str(),
        };
        // A picture without a size comes from an older service, which knew no looks.
        if image.width > 0 {
            document.insert("look", image.perceptual.0.cast_signed());
            document.insert("bands", look::bands(image.perceptual));
        }
        document
    });
    let written = collections.images.insert_many(documents).session(session).await;
    unless_taken(written, || "an image".to_owned())?;
    Ok(())
}

/// Notes a space at its first vector; `Invalid` when it has another dimension than is known.
pub(crate) async fn note_space(
    collections: &Collections,
    session: &mut ClientSession,
    space: &Space,
) -> PortResult<()> {
    let dimension = i64::try_from(space.dimension).unwrap_or(i64::MAX);
    let first = doc! { "$setOnInsert": { "model": &space.model, "dimension": dimension } };
    let noted = collections.spaces.find_one_and_update(doc! { "_id": &space.id }, first).upsert(true);
    let noted = noted.return_document(ReturnDocument::After).session(session).await.map_err(mongo)?;
    match noted.and_then(|noted| whole::<i64>(noted.get("dimension")?)) {
        Some(stored) if stored == dimension => Ok(()),
        Some(stored) => {
            let message = format!("space {} has {stored} components, not {dimension}", space.id);
            Err(failed(PortErrorKind::Invalid, message))
        }
        None => Err(damaged("space", "it has no dimension")),
    }
}

fn missing(product: &ProductId) -> PortError {
    failed(PortErrorKind::Conflict, format!("product {product} is not there"))
}

fn taken(image: &ImageHash) -> PortError {
    failed(PortErrorKind::Conflict, format!("image {image} is there already"))
}
