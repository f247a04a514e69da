//! Look-ups by identifier, by image, by filter and by effect.

use std::collections::{BTreeMap, HashMap};

use futures::TryStreamExt;
use mongodb::{
    ClientSession, Collection,
    bson::{Document, doc},
    options::{Hint, ReadConcern},
};
use serde_json::Value;
use taja_catalog::{
    Details, EffectKey, Filter, ImageHash, Moment, PortResult, Product, ProductId, TenantId,
    order::{ListOrder, Sort},
    port::{Counts, KnownImage, Noted, Shelved},
};

use crate::{
    collections::Collections,
    deadline::READ,
    document::{self, binary, date, id, key, moment},
    error::{damaged, mongo},
    filter::condition,
    ranked::Placed,
};

/// A limit in the server's words, in which 0 stands for no limit; none when nothing is wanted.
pub(crate) fn at_most(limit: usize) -> Option<i64> {
    (limit > 0).then(|| i64::try_from(limit).unwrap_or(i64::MAX))
}

/// One product.
pub(crate) async fn product(
    collections: &Collections,
    tenant: &TenantId,
    id: &ProductId,
) -> PortResult<Option<Product>> {
    let found = collections.products.find_one(key(tenant, id)).await.map_err(mongo)?;
    found.as_ref().map(document::read_product).transpose()
}

/// Those of several products that are there.
pub(crate) async fn products(
    collections: &Collections,
    tenant: &TenantId,
    ids: &[ProductId],
) -> PortResult<HashMap<ProductId, Product>> {
    let ids: Vec<_> = ids.iter().map(ProductId::as_str).collect();
    let wanted = doc! { "tenant": tenant.as_str(), "id": { "$in": ids } };
    let mut cursor = collections.products.find(wanted).await.map_err(mongo)?;
    let mut found = HashMap::new();
    while let Some(document) = cursor.try_next().await.map_err(mongo)? {
        let product = document::read_product(&document)?;
        found.insert(product.id.clone(), product);
    }
    Ok(found)
}

/// The image with these very bytes.
pub(crate) async fn image(
    collections: &Collections,
    tenant: &TenantId,
    hash: &ImageHash,
) -> PortResult<Option<KnownImage>> {
    let found = collections.images.find_one(image_filter(tenant, hash)).await.map_err(mongo)?;
    let known =
        |found: Document| Ok(KnownImage { product: id(&found, "product")?, hash: *hash, distance: 0 });
    found.map(known).transpose()
}

/// The document of an image, as a transaction sees it.
pub(crate) async fn image_document(
    collections: &Collections,
    session: &mut ClientSession,
    tenant: &TenantId,
    hash: &ImageHash,
) -> PortResult<Option<Document>> {
    collections.images.find_one(image_filter(tenant, hash)).session(session).await.map_err(mongo)
}

fn image_filter(tenant: &TenantId, hash: &ImageHash) -> Document {
    doc! { "tenant": tenant.as_str(), "hash": binary(hash) }
}

/// Products that pass a filter, after a place in an order.
pub(crate) async fn listed(
    collections: &Collections,
    tenant: &TenantId,
    filter: &Filter,
    order: ListOrder,
    after: Option<&Shelved>,
    limit: i64,
) -> PortResult<Vec<Shelved>> {
    let (at, direction) = (order.by.name(), if order.descending { -1 } else { 1 });
    let mut all = vec![doc! { "tenant": tenant.as_str() }, condition(filter)];
    if let Some(after) = after {
        let [past, until] = if order.descending { ["$lt", "$lte"] } else { ["$gt", "$gte"] };
        let moment = date(after.at);
        let twin = doc! { at: moment, "product": { past: after.id.as_str() } };
        all.push(doc! { at: { until: moment } });
        all.push(doc! { "$or": [{ at: { past: moment } }, twin] });
    }
    let passing = doc! { "$and": all };
    let find =
        collections.search.find(passing).sort(doc! { at: direction, "product": direction }).limit(limit);
    let mut cursor = find.projection(doc! { "_id": 0, "product": 1, at: 1 }).await.map_err(mongo)?;
    let mut found = Vec::new();
    while let Some(document) = cursor.try_next().await.map_err(mongo)? {
        let at = *document.get_datetime(at).map_err(|error| damaged("search", error))?;
        found.push(Shelved { at: moment(at)?, id: id(&document, "product")? });
    }
    Ok(found)
}

/// The first products in the order of fields that pass a filter. The server's order of kinds is the domain's.
pub(crate) async fn sorted(
    collections: &Collections,
    tenant: &TenantId,
    filter: &Filter,
    sort: &[Sort],
    limit: i64,
) -> PortResult<Vec<ProductId>> {
    let mut keys = doc! { "_id": 0, "product": 1, "created_at": 1 };
    let mut order = doc! {};
    for (place, sort) in sort.iter().enumerate() {
        let (key, is_missing) = (format!("key{place}"), format!("is_missing{place}"));
        keys.insert(&key, sort_key(sort));
        order.insert(is_missing, 1);
        order.insert(key, if sort.descending { -1 } else { 1 });
    }
    let is_missing = (0..sort.len())
        .map(|place| (format!("is_missing{place}"), doc! { "$eq": [format!("$key{place}"), null] }.into()));
    order.extend(doc! { "created_at": -1, "product": -1 });
    let pipeline = [
        doc! { "$match": { "$and": [{ "tenant": tenant.as_str() }, condition(filter)] } },
        doc! { "$project": keys },
        doc! { "$set": is_missing.collect::<Document>() },
        doc! { "$sort": order },
        doc! { "$limit": limit },
        doc! { "$project": { "product": 1 } },
    ];
    let mut cursor = collections.search.aggregate(pipeline).await.map_err(mongo)?;
    let mut found = Vec::new();
    while let Some(document) = cursor.try_next().await.map_err(mongo)? {
        found.push(id(&document, "product")?);
    }
    Ok(found)
}

/// What a product is sorted by: of the values of a field the one that comes first; of dates, where there are some. Null where
/// there is none.
fn sort_key(sort: &Sort) -> Document {
    if let Some(moment) = Moment::named(&sort.field) {
        return doc! { "$ifNull": [format!("${}", moment.name()), null] };
    }
    let first = if sort.descending { "$max" } else { "$min" };
    let name = Details::stored_name(&sort.field);
    let of_field = doc! { "$and": [
        { "$eq": ["$$field.k", { "$literal": name }] },
        { "$ne": ["$$field.v", null] },
    ] };
    let entries = doc! { "$filter": { "input": "$fields", "as": "field", "cond": of_field } };
    let values = doc! { "$map": { "input": entries, "as": "field", "in": "$$field.v" } };
    let is_date = doc! { "$eq": [{ "$type": "$$value" }, "date"] };
    let dates = doc! { "$filter": { "input": "$$values", "as": "value", "cond": is_date } };
    let of_dates = doc! { "$let": {
        "vars": { "dates": dates },
        "in": { "$cond": [{ "$eq": ["$$dates", []] }, { first: "$$values" }, { first: "$$dates" }] },
    } };
    doc! { "$let": { "vars": { "values": values }, "in": of_dates } }
}

/// A product's place in an order, from its search document.
pub(crate) fn placed(document: &Document, score: f64) -> PortResult<Placed> {
    let created = *document.get_datetime("created_at").map_err(|error| damaged("search", error))?;
    Ok(Placed { score, created_at: moment(created)?, product: id(document, "product")? })
}

/// What an execution left behind.
pub(crate) async fn receipt(
    collections: &Collections,
    tenant: &TenantId,
    effect: &EffectKey,
) -> PortResult<Option<Value>> {
    let key = doc! { "_id": { "t": tenant.as_str(), "e": effect.as_str() } };
    // Who asks may have lost the reply of a commit that a majority is about to have: this waits for it.
    let find = collections.receipts.find_one(key).read_concern(ReadConcern::linearizable()).max_time(READ);
    find.await.map_err(mongo)?.as_ref().map(read_receipt).transpose()
}

fn read_receipt(stored: &Document) -> PortResult<Value> {
    serde_json::from_str(document::text(stored, "receipt")?).map_err(|error| damaged("receipt", error))
}

/// Receipts that name a product, newest first, after a place in that order.
pub(crate) async fn receipts_about(
    collections: &Collections,
    tenant: &TenantId,
    product: &ProductId,
    after: Option<&Noted>,
    limit: i64,
) -> PortResult<Vec<(Noted, Value)>> {
    let mut naming = doc! { "tenant": tenant.as_str(), "products": product.as_str() };
    if let Some(after) = after {
        let at = date(after.at);
        let twin = doc! { "at": at, "_id.e": { "$lt": after.effect.as_str() } };
        naming.insert("$or", vec![doc! { "at": { "$lt": at } }, twin]);
    }
    let find = collections.receipts.find(naming).sort(doc! { "at": -1, "_id.e": -1 }).limit(limit);
    let mut cursor = find.await.map_err(mongo)?;
    let mut found = Vec::new();
    while let Some(stored) = cursor.try_next().await.map_err(mongo)? {
        let at = moment(*stored.get_datetime("at").map_err(|error| damaged("receipt", error))?)?;
        let key = stored.get_document("_id").map_err(|error| damaged("receipt", error))?;
        found.push((Noted { at, effect: id(key, "e")? }, read_receipt(&stored)?));
    }
    Ok(found)
}

/// How often a shop's catalogue changed.
pub(crate) async fn version(collections: &Collections, tenant: &TenantId) -> PortResult<u64> {
    let found = collections.versions.find_one(doc! { "_id": tenant.as_str() }).await.map_err(mongo)?;
    let version = found.map(|found| found.get_i64("version").map_err(|error| damaged("version", error)));
    Ok(version.transpose()?.unwrap_or(0).cast_unsigned())
}

/// How much there is, but for documents of an older service.
pub(crate) async fn counts(collections: &Collections) -> PortResult<Counts> {
    Ok(Counts { products: count(&collections.search).await?, images: count(&collections.images).await? })
}

async fn count(collection: &Collection<Document>) -> PortResult<u64> {
    // Keys are counted, not documents.
    collection.count_documents(doc! {}).hint(Hint::Name("_id_".into())).await.map_err(mongo)
}

/// How many vectors each space has.
pub(crate) async fn spaces(collections: &Collections) -> PortResult<BTreeMap<String, u64>> {
    let ids = collections.vectors.distinct("space", doc! {}).await.map_err(mongo)?;
    let mut spaces = BTreeMap::new();
    for id in ids.iter().filter_map(|id| id.as_str()) {
        let count = collections.vectors.count_documents(doc! { "space": id }).await.map_err(mongo)?;
        spaces.insert(id.to_owned(), count);
    }
    Ok(spaces)
}
