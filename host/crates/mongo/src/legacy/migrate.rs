//! Bringing documents of the older service to the form of today, where they lie.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use futures::TryStreamExt;
use mongodb::{
    ClientSession,
    bson::{Document, doc, oid::ObjectId},
};
use taja_catalog::{PortResult, Product, ProductId, port::PortErrorKind};

use super::{Legacy, Old, old};
use crate::{
    collections::Collections,
    deadline::{READ, WRITE, within},
    document::{self, OPTIONAL, binary, hash},
    error::{damaged, failed, mongo},
    texts::WORDED,
    transaction::{Transaction, transact},
    vectors,
    write::{count_up, note_space, write_images},
};

/// Documents looked at in one go.
const PAGE: i64 = 200;

/// What a migration did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MigrationReport {
    /// Products brought to the form of today.
    pub migrated: u64,
    /// Their pictures.
    pub images: u64,
    /// Pictures left out because another product of the shop has the same bytes.
    pub images_taken: u64,
    /// Their vectors.
    pub vectors: u64,
    /// Vectors left out: no space was given, or they do not fit it. They stay in the product's `embeddings`.
    pub vectors_left_out: u64,
    /// Products left as they are, by reason.
    pub skipped: BTreeMap<String, u64>,
}

/// What became of one document.
#[derive(Debug)]
pub(crate) enum Brought {
    /// It is gone, or of today's form already.
    Nothing,
    /// It has today's form now.
    Migrated { images: u64, images_taken: u64, vectors: u64, vectors_left_out: u64 },
    /// It stays as it is.
    Skipped(String),
}

/// Brings all of them to the form of today, one transaction each.
pub(crate) async fn all(
    collections: &Collections,
    legacy: &Legacy,
    progress: &mut (dyn FnMut(&MigrationReport) + Send),
) -> PortResult<MigrationReport> {
    let mut report = MigrationReport::default();
    let mut after = None;
    loop {
        let page = within(READ, "migrate", page(collections, after)).await?;
        let Some(last) = page.last() else { return Ok(report) };
        after = Some(*last);
        for id in page {
            let bring = Bring { collections, legacy, id };
            let brought = within(WRITE, "migrate", transact(collections.client(), &bring)).await?;
            report.note(brought);
            progress(&report);
        }
    }
}

async fn page(collections: &Collections, after: Option<ObjectId>) -> PortResult<Vec<ObjectId>> {
    let mut wanted = old();
    wanted.insert(
        "_id",
        match after {
            Some(after) => doc! { "$gt": after },
            None => doc! { "$type": "objectId" },
        },
    );
    let find = collections.products.find(wanted).projection(doc! { "_id": 1 }).sort(doc! { "_id": 1 });
    let documents: Vec<Document> =
        find.limit(PAGE).await.map_err(mongo)?.try_collect().await.map_err(mongo)?;
    let id = |document: &Document| document.get_object_id("_id").map_err(|error| damaged("product", error));
    documents.iter().map(id).collect()
}

impl MigrationReport {
    fn note(&mut self, brought: Brought) {
        match brought {
            Brought::Nothing => {}
            Brought::Skipped(reason) => *self.skipped.entry(reason).or_default() += 1,
            Brought::Migrated { images, images_taken, vectors, vectors_left_out } => {
                self.migrated += 1;
                self.images += images;
                self.images_taken += images_taken;
                self.vectors += vectors;
                self.vectors_left_out += vectors_left_out;
            }
        }
    }
}

struct Bring<'a> {
    collections: &'a Collections,
    legacy: &'a Legacy,
    id: ObjectId,
}

#[async_trait]
impl Transaction for Bring<'_> {
    type Answer = Brought;

    async fn run(&self, session: &mut ClientSession) -> PortResult<Brought> {
        bring_one(self.collections, session, self.legacy, self.id).await
    }
}

/// Brings one document to the form of today inside a transaction that goes on with it.
pub(crate) async fn bring(
    collections: &Collections,
    session: &mut ClientSession,
    legacy: &Legacy,
    id: ObjectId,
) -> PortResult<()> {
    match bring_one(collections, session, legacy, id).await? {
        Brought::Skipped(reason) => {
            let message = format!("product {id} of the older service cannot be taken over: {reason}");
            Err(failed(PortErrorKind::Invalid, message))
        }
        Brought::Nothing | Brought::Migrated { .. } => Ok(()),
    }
}

async fn bring_one(
    collections: &Collections,
    session: &mut ClientSession,
    legacy: &Legacy,
    id: ObjectId,
) -> PortResult<Brought> {
    let key = doc! { "_id": id, "tenant": null };
    let found = collections.products.find_one(key.clone()).session(&mut *session).await.map_err(mongo)?;
    let Some(stored) = found else { return Ok(Brought::Nothing) };
    let Some(mut old) = Old::read(&stored, legacy.space.as_ref()) else { return Ok(Brought::Nothing) };
    let fault = old.fault.map(ToOwned::to_owned);
    if let Some(reason) = fault.or_else(|| old.details.check().err().map(|error| error.to_string())) {
        return Ok(Brought::Skipped(reason));
    }
    let version = count_up(collections, session, &legacy.tenant, &[]).await?;
    let before = old.images.len();
    drop_taken(collections, session, legacy, &mut old).await?;
    let product = old.product(&legacy.tenant);
    let text = old.text();
    let update = update(&stored, &product, &text, version, has_all_vectors(&old, legacy));
    collections.products.update_one(key, update).session(&mut *session).await.map_err(mongo)?;
    let search = document::search(&product, &text);
    collections.search.insert_one(search).session(&mut *session).await.map_err(mongo)?;
    let images: Vec<_> = product.images.iter().collect();
    if !images.is_empty() {
        write_images(collections, session, &legacy.tenant, &product.id, &images).await?;
    }
    let vectors = write_vectors(collections, session, legacy, &old, &product.id).await?;
    Ok(Brought::Migrated {
        images: images.len() as u64,
        images_taken: (before - images.len()) as u64,
        vectors,
        vectors_left_out: left_out(&stored, &old, legacy),
    })
}

/// Leaves out pictures that a product of today has.
async fn drop_taken(
    collections: &Collections,
    session: &mut ClientSession,
    legacy: &Legacy,
    old: &mut Old,
) -> PortResult<()> {
    let hashes: Vec<_> = old.images.iter().map(|image| binary(&image.hash)).collect();
    let wanted = doc! { "tenant": legacy.tenant.as_str(), "hash": { "$in": hashes } };
    let mut cursor = collections.images.find(wanted).session(&mut *session).await.map_err(mongo)?;
    let mut taken = HashSet::new();
    while let Some(document) = cursor.next(session).await.transpose().map_err(mongo)? {
        taken.insert(hash(&document, "hash")?);
    }
    old.images.retain(|image| !taken.contains(&image.hash));
    Ok(())
}

fn has_all_vectors(old: &Old, legacy: &Legacy) -> bool {
    legacy.space.is_some() && old.malformed_vectors == 0
}

fn left_out(stored: &Document, old: &Old, legacy: &Legacy) -> u64 {
    match legacy.space {
        Some(_) => old.malformed_vectors as u64,
        None => stored.get_array("embeddings").map_or(0, |vectors| {
            if vectors.iter().all(|vector| vector.as_array().is_some()) { vectors.len() as u64 } else { 1 }
        }),
    }
}

fn update(stored: &Document, product: &Product, text: &str, version: i64, drop_vectors: bool) -> Document {
    let mut set = document::product(product, text);
    set.insert(WORDED, version);
    // One that cannot be read is taken away.
    let unreadable = OPTIONAL.iter().filter(|name| stored.contains_key(**name) && !set.contains_key(**name));
    let mut unset: Document = unreadable.map(|name| ((*name).to_owned(), "".into())).collect();
    if drop_vectors && stored.contains_key("embeddings") {
        unset.insert("embeddings", "");
    }
    let mut update = doc! { "$set": set };
    if !unset.is_empty() {
        update.insert("$unset", unset);
    }
    update
}

async fn write_vectors(
    collections: &Collections,
    session: &mut ClientSession,
    legacy: &Legacy,
    old: &Old,
    product: &ProductId,
) -> PortResult<u64> {
    let Some(space) = &legacy.space else { return Ok(0) };
    let vectors = old.images.iter().filter_map(|image| {
        let embedding = image.embedding.as_ref()?;
        Some(vectors::document(space, &legacy.tenant, product, &image.hash, embedding))
    });
    let vectors: Vec<_> = vectors.collect();
    if !vectors.is_empty() {
        note_space(collections, session, space).await?;
        collections.vectors.insert_many(&vectors).session(session).await.map_err(mongo)?;
    }
    Ok(vectors.len() as u64)
}
