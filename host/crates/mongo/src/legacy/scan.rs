//! Reading the documents of the older service where they lie.

use std::{collections::HashMap, sync::Once};

use futures::TryStreamExt;
use mongodb::{
    Cursor,
    bson::{Document, doc, oid::ObjectId},
};
use taja_catalog::{
    Filter, ImageHash, PortResult, Product, ProductId, Space,
    order::ListOrder,
    port::{Counts, KnownImage, Position, Shelved, VectorRow},
};

use super::{Legacy, Old, any_case, old, read::OldImage, with_images};
use crate::{
    collections::Collections,
    document::whole,
    error::mongo,
    keyword::{Occurrences, find_in, has_pieces},
    ranked::Placed,
    terms::{Asked, Terms},
    vectors::Place,
};

/// One product.
pub(crate) async fn product(
    collections: &Collections,
    legacy: &Legacy,
    id: &ProductId,
) -> PortResult<Option<Product>> {
    Ok(products(collections, legacy, std::slice::from_ref(id)).await?.remove(id))
}

/// Those of several products that are there.
pub(crate) async fn products(
    collections: &Collections,
    legacy: &Legacy,
    ids: &[ProductId],
) -> PortResult<HashMap<ProductId, Product>> {
    let keys: Vec<_> = ids.iter().filter_map(Legacy::key).collect();
    let mut found = HashMap::new();
    if keys.is_empty() {
        return Ok(found);
    }
    let wanted = doc! { "_id": { "$in": keys }, "tenant": null };
    let find = collections.products.find(wanted).projection(doc! { "embeddings": 0 });
    let mut cursor = find.await.map_err(mongo)?;
    while let Some(old) = next(&mut cursor).await? {
        found.insert(old.product_id(), old.product(&legacy.tenant));
    }
    Ok(found)
}

/// The vectors of one product in the space of all of them.
pub(crate) async fn vectors_of(
    collections: &Collections,
    legacy: &Legacy,
    space: &Space,
    id: &ProductId,
) -> PortResult<Vec<VectorRow>> {
    let Some(key) = Legacy::key(id) else { return Ok(Vec::new()) };
    let found = collections.products.find_one(doc! { "_id": key, "tenant": null }).await.map_err(mongo)?;
    let old = found.and_then(|found| Old::read(&found, Some(space)));
    let row = |image: OldImage| {
        let (tenant, product) = (legacy.tenant.clone(), id.clone());
        Some(VectorRow { tenant, product, image: image.hash, embedding: image.embedding? })
    };
    Ok(old.into_iter().flat_map(|old| old.images).filter_map(row).collect())
}

/// The image with these very bytes.
pub(crate) async fn image(collections: &Collections, hash: &ImageHash) -> PortResult<Option<KnownImage>> {
    let wanted = with_images(std::slice::from_ref(hash));
    let find = collections.products.find(wanted).collation(any_case()).projection(doc! { "embeddings": 0 });
    let mut cursor = find.sort(doc! { "_id": 1 }).await.map_err(mongo)?;
    let known = next(&mut cursor).await?.map(|old| old.product_id());
    Ok(known.map(|product| KnownImage { product, hash: *hash, distance: 0 }))
}

/// Products that pass a filter, after a place in an order, in none.
pub(crate) async fn listed(
    collections: &Collections,
    filter: &Filter,
    order: ListOrder,
    after: Option<&Shelved>,
    limit: usize,
) -> PortResult<Vec<Shelved>> {
    let mut cursor = described(collections).await?;
    let mut first: Vec<Shelved> = Vec::new();
    while let Some(old) = next(&mut cursor).await? {
        let place = Shelved { at: old.moment(order.by), id: old.product_id() };
        if after.is_none_or(|after| order.compare(after, &place).is_lt()) && filter.matches(&old) {
            first.push(place);
            if first.len() >= limit.saturating_mul(2) {
                first.sort_by(|one, other| order.compare(one, other));
                first.truncate(limit);
            }
        }
    }
    Ok(first)
}

/// All products that pass a filter.
pub(crate) async fn passing(
    collections: &Collections,
    legacy: &Legacy,
    filter: &Filter,
) -> PortResult<Vec<Product>> {
    let mut cursor = described(collections).await?;
    let mut passing = Vec::new();
    while let Some(old) = next(&mut cursor).await? {
        if filter.matches(&old) {
            passing.push(old.product(&legacy.tenant));
        }
    }
    Ok(passing)
}

/// What a search by words finds among them.
#[derive(Debug)]
pub(crate) struct Found {
    /// Products that have any of the words, and where each word was found.
    pub(crate) by_words: Vec<(Placed, Vec<f64>)>,
    /// Products that have the pieces of a word, with their relevance.
    pub(crate) by_pieces: Vec<Placed>,
    /// How often the words occur.
    pub(crate) occurrences: Occurrences,
}

impl Found {
    /// Nothing, of this many words.
    pub(crate) fn nothing(words: usize) -> Self {
        Self { by_words: Vec::new(), by_pieces: Vec::new(), occurrences: Occurrences::none(words) }
    }
}

/// Products that have any of the words, or pieces of one.
pub(crate) async fn found_by_words(
    collections: &Collections,
    asked: &[Asked],
    filter: &Filter,
) -> PortResult<Found> {
    let mut found = Found::nothing(asked.len());
    let mut cursor = described(collections).await?;
    while let Some(old) = next(&mut cursor).await? {
        if !filter.matches(&old) {
            continue;
        }
        let terms = Terms::of(&old.details.name, &old.text());
        let words = find_in(&terms, asked);
        found.occurrences.count(&words);
        if words.iter().any(|word| *word > 0.0) {
            found.by_words.push((placed(&old, 0.0), words));
        } else if let Some(relevance) = has_pieces(&terms, asked) {
            found.by_pieces.push(placed(&old, relevance));
        }
    }
    Ok(found)
}

fn placed(old: &Old, score: f64) -> Placed {
    Placed { score, created_at: old.created_at, product: old.product_id() }
}

/// How much there is. A document has as many pictures as the longer of its two lists.
pub(crate) async fn counts(collections: &Collections) -> PortResult<Counts> {
    let images = doc! { "$max": [size("image_urls"), size("image_hashes")] };
    let [products, images] = sums(collections, doc! { "$literal": 1 }, images).await?;
    Ok(Counts { products, images })
}

/// How many vectors they have, those that no space takes among them.
pub(crate) async fn vector_count(collections: &Collections) -> PortResult<u64> {
    let [vectors, _] = sums(collections, size("embeddings"), doc! { "$literal": 1 }).await?;
    Ok(vectors)
}

/// How long a list is; 0 when it is none.
fn size(name: &str) -> Document {
    let list = format!("${name}");
    doc! { "$cond": [{ "$isArray": &list }, { "$size": &list }, 0] }
}

/// Two sums over all of them.
async fn sums(collections: &Collections, one: Document, other: Document) -> PortResult<[u64; 2]> {
    let sums = doc! { "$group": { "_id": null, "one": { "$sum": one }, "other": { "$sum": other } } };
    let mut cursor = collections.products.aggregate([doc! { "$match": old() }, sums]).await.map_err(mongo)?;
    let sums = cursor.try_next().await.map_err(mongo)?.unwrap_or_default();
    Ok(["one", "other"].map(|name| sums.get(name).and_then(whole).unwrap_or_default()))
}

/// Vectors in the order of their documents, after one of them.
pub(crate) async fn vectors(
    collections: &Collections,
    legacy: &Legacy,
    space: &Space,
    after: Option<(ObjectId, usize)>,
    limit: usize,
) -> PortResult<Vec<(Position, VectorRow)>> {
    let mut wanted = doc! { "tenant": null, "embeddings.0": { "$exists": true } };
    if let Some((document, _)) = after {
        wanted.insert("_id", doc! { "$gte": document });
    }
    let find = collections.products.find(wanted).sort(doc! { "_id": 1 });
    let mut cursor = find.await.map_err(mongo)?;
    let mut rows = Vec::new();
    while rows.len() < limit {
        let Some(document) = cursor.try_next().await.map_err(mongo)? else { break };
        let Some(old) = Old::read(&document, Some(space)) else { continue };
        report(old.malformed_vectors);
        let passed = after.filter(|(id, _)| *id == old.id).map_or(0, |(_, number)| number + 1);
        let vectors = old.images.iter().enumerate().skip(passed);
        rows.extend(vectors.filter_map(|(number, image)| {
            let row = VectorRow {
                tenant: legacy.tenant.clone(),
                product: old.product_id(),
                image: image.hash,
                embedding: image.embedding.clone()?,
            };
            Some((Place::Old(old.id, number).position(), row))
        }));
    }
    rows.truncate(limit);
    Ok(rows)
}

/// Counts vectors that do not fit, and says so once.
fn report(malformed: usize) {
    static SAID: Once = Once::new();
    if malformed > 0 {
        metrics::counter!("taja_store_legacy_vectors_malformed_total").increment(malformed as u64);
        SAID.call_once(|| {
            tracing::warn!(
                "some products of the older service have vectors that do not fit: they are left out"
            );
        });
    }
}

/// All of them, without what no filter and no word looks at.
async fn described(collections: &Collections) -> PortResult<Cursor<Document>> {
    let described = doc! { "embeddings": 0, "image_urls": 0, "image_hashes": 0 };
    collections.products.find(old()).projection(described).await.map_err(mongo)
}

/// The next one whose `_id` is of the kind that the older service gave.
async fn next(cursor: &mut Cursor<Document>) -> PortResult<Option<Old>> {
    while let Some(document) = cursor.try_next().await.map_err(mongo)? {
        if let Some(old) = Old::read(&document, None) {
            return Ok(Some(old));
        }
    }
    Ok(None)
}
