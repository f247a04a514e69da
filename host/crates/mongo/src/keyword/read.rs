//! What is read of a shop's catalogue for its lists.
//!
//! All of one search is read in one session, so that nothing is read that is older than the version it has seen.

use std::str::FromStr;

use futures::future::try_join_all;
use mongodb::{
    ClientSession, Cursor,
    bson::{Bson, Document, RawArray, RawDocument, doc},
};
use taja_catalog::{Filter, PortResult, ProductId, TenantId};

use super::sought::Key;
use crate::{
    collections::Collections,
    document::{id, search_id, whole},
    error::{damaged, mongo},
    filter::{condition, leads, unindexed},
    texts::WORDED,
    write::{AGE, DELETED},
};

/// In a row: the key is not there, is in the text, is in the name.
const NOWHERE: i32 = 0;
const IN_TEXT: i32 = 1;
const IN_NAME: i32 = 2;

/// What a search has seen of a shop's catalogue.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seen {
    /// How often it changed.
    pub(super) version: i64,
    /// How often a product was deleted.
    pub(super) age: i64,
    /// The last that were, in this order; not all of them.
    pub(super) deleted: Vec<ProductId>,
}

impl Seen {
    /// What was deleted since there were so many deletions; none when that is not told any more.
    pub(super) fn deleted_since(&self, age: i64) -> Option<&[ProductId]> {
        let count = usize::try_from(self.age - age).ok()?;
        self.deleted.get(self.deleted.len().checked_sub(count)?..)
    }
}

/// Products with what they have of some keys.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Rows {
    /// The products, and when they were added, in milliseconds since 1970.
    pub(super) products: Vec<(ProductId, i64)>,
    /// For each key the places of those that have it, and whether that is in the name.
    pub(super) places: Vec<Vec<(u32, bool)>>,
}

/// Products whose words changed.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// Which.
    pub(super) products: Vec<ProductId>,
    /// What those that are still there have now.
    pub(super) rows: Rows,
}

/// What there is to see of a shop's catalogue.
pub(super) async fn seen(
    collections: &Collections,
    session: &mut ClientSession,
    tenant: &TenantId,
) -> PortResult<Seen> {
    let find = collections.versions.find_one(doc! { "_id": tenant.as_str() });
    let found = find.projection(doc! { "version": 1, AGE: 1, DELETED: 1 }).session(session);
    let Some(found) = found.await.map_err(mongo)? else { return Ok(Seen::default()) };
    let number = |name: &str| found.get(name).and_then(whole).unwrap_or_default();
    let deleted = found.get_array(DELETED).map(Vec::as_slice).unwrap_or_default();
    let product = |stored: &Bson| ProductId::from_str(stored.as_str().unwrap_or_default());
    let deleted = deleted.iter().map(product).collect::<Result<_, _>>();
    let deleted = deleted.map_err(|error| damaged("version", error))?;
    Ok(Seen { version: number("version"), age: number(AGE), deleted })
}

/// Every product of a shop that has one of these keys.
pub(super) async fn whole_lists(
    collections: &Collections,
    session: &mut ClientSession,
    tenant: &TenantId,
    keys: &[Key],
) -> PortResult<Rows> {
    rows(collections, session, having(tenant, keys), keys).await
}

/// What changed in a shop's words after a version.
pub(super) async fn changed(
    collections: &Collections,
    session: &mut ClientSession,
    tenant: &TenantId,
    after: i64,
    keys: &[Key],
) -> PortResult<Changed> {
    let wanted = doc! { "tenant": tenant.as_str(), WORDED: { "$gt": after } };
    // The index has all of this.
    let find = collections.products.find(wanted).sort(doc! { WORDED: 1, "id": 1 });
    let find = find.projection(doc! { "_id": 0, "id": 1 }).session(&mut *session);
    let mut cursor = find.await.map_err(mongo)?;
    let mut products = Vec::new();
    while let Some(found) = cursor.next(session).await {
        products.push(id(&found.map_err(mongo)?, "id")?);
    }
    if products.is_empty() {
        let places = keys.iter().map(|_| Vec::new()).collect();
        return Ok(Changed { products, rows: Rows { places, ..Rows::default() } });
    }
    let those = doc! { "_id": { "$in": search_keys(tenant, &products) } };
    let rows = rows(collections, session, those, keys).await?;
    Ok(Changed { products, rows })
}

/// Those of some products that pass a filter.
pub(super) async fn passing(
    collections: &Collections,
    tenant: &TenantId,
    products: &[ProductId],
    filter: &Filter,
) -> PortResult<Vec<ProductId>> {
    let those = doc! { "_id": { "$in": search_keys(tenant, products) } };
    found(collections, doc! { "$and": [those, condition(filter)] }).await
}

/// Every product of a shop that has one of these keys, as the server compares letters, and passes a filter.
pub(super) async fn all_passing(
    collections: &Collections,
    tenant: &TenantId,
    keys: &[Key],
    filter: &Filter,
) -> PortResult<Vec<ProductId>> {
    let mut wanted = having(tenant, keys);
    wanted.insert("$and", [condition(filter)]);
    found(collections, wanted).await
}

/// Products of a shop that pass a filter, as they are read.
pub(super) struct Reading {
    cursor: Cursor<Document>,
    /// Those that were read.
    pub(super) products: Vec<ProductId>,
}

impl Reading {
    /// Begins to read, so many at once, by the index of fields; not when that would lead to more than `most`.
    pub(super) async fn start(
        collections: &Collections,
        tenant: &TenantId,
        filter: &Filter,
        count: usize,
        most: usize,
    ) -> PortResult<Option<Self>> {
        let leads = leads(filter);
        let wanted = match &leads[..] {
            [] => return Ok(None),
            [_] => doc! { "tenant": tenant.as_str(), "$and": [condition(filter)] },
            leads => {
                let Some(lead) = best_lead(collections, tenant, leads, count, most).await? else {
                    return Ok(None);
                };
                doc! { "tenant": tenant.as_str(), "$and": [lead, unindexed(filter)] }
            }
        };
        let find = collections.search.find(wanted).projection(doc! { "_id": 0, "product": 1 });
        let find = find.batch_size(u32::try_from(count).unwrap_or(u32::MAX));
        Ok(Some(Self { cursor: find.await.map_err(mongo)?, products: Vec::new() }))
    }

    /// Reads so many more; whether these were the last.
    pub(super) async fn go_on(&mut self, count: usize) -> PortResult<bool> {
        for _ in 0..count {
            if !self.cursor.advance().await.map_err(mongo)? {
                return Ok(true);
            }
            self.products.push(product(self.cursor.current())?);
        }
        Ok(false)
    }
}

/// The condition that the fewest products pass: the server would take any. They are counted up to a limit that doubles
/// until one ends below it.
async fn best_lead<'a>(
    collections: &Collections,
    tenant: &TenantId,
    leads: &'a [Document],
    count: usize,
    most: usize,
) -> PortResult<Option<&'a Document>> {
    let mut limit = count.min(most) as u64;
    while limit <= most as u64 {
        let counts = leads.iter().map(|lead| {
            let wanted = doc! { "tenant": tenant.as_str(), "$and": [lead] };
            collections.search.count_documents(wanted).limit(limit).into_future()
        });
        let counts = try_join_all(counts).await.map_err(mongo)?;
        let least = counts.iter().zip(leads).min_by_key(|(count, _)| **count);
        if let Some((_, lead)) = least.filter(|(count, _)| **count < limit) {
            return Ok(Some(lead));
        }
        limit *= 2;
    }
    Ok(None)
}

async fn found(collections: &Collections, wanted: Document) -> PortResult<Vec<ProductId>> {
    let find = collections.search.find(wanted).projection(doc! { "_id": 0, "product": 1 });
    let mut cursor = find.await.map_err(mongo)?;
    let mut products = Vec::new();
    while cursor.advance().await.map_err(mongo)? {
        products.push(product(cursor.current())?);
    }
    Ok(products)
}

fn search_keys(tenant: &TenantId, products: &[ProductId]) -> Vec<Document> {
    products.iter().map(|product| search_id(tenant, product)).collect()
}

/// What the text index finds. A shop comes first in it, so that nothing of another one is read.
fn having(tenant: &TenantId, keys: &[Key]) -> Document {
    let terms: Vec<_> = keys.iter().map(Key::text).collect();
    let text = doc! { "$search": terms.join(" "), "$language": "none" };
    doc! { "tenant": tenant.as_str(), "$text": text }
}

/// Where a key is in a product.
fn place(key: &Key) -> Document {
    let is_in = |list: &str| doc! { "$in": [key.text(), list] };
    match key {
        Key::Term(_) => {
            let in_text = doc! { "$cond": [is_in("$text"), IN_TEXT, NOWHERE] };
            doc! { "$cond": [is_in("$name"), IN_NAME, in_text] }
        }
        Key::Beginning(_) => doc! { "$cond": [is_in("$beginnings"), IN_TEXT, NOWHERE] },
    }
}

async fn rows(
    collections: &Collections,
    session: &mut ClientSession,
    wanted: Document,
    keys: &[Key],
) -> PortResult<Rows> {
    let places: Vec<_> = keys.iter().map(place).collect();
    let pipeline = [
        doc! { "$match": wanted },
        doc! { "$project": { "_id": 0, "product": 1, "created_at": 1, "places": places } },
    ];
    let aggregate = collections.search.aggregate(pipeline).session(&mut *session);
    let mut cursor = aggregate.await.map_err(mongo)?;
    let mut rows = Rows { products: Vec::new(), places: keys.iter().map(|_| Vec::new()).collect() };
    while cursor.advance(session).await.map_err(mongo)? {
        rows.add(cursor.current())?;
    }
    Ok(rows)
}

impl Rows {
    /// Takes a row in, unless it has none of the keys: the server compares letters more loosely than the host does.
    fn add(&mut self, row: &RawDocument) -> PortResult<()> {
        let next = self.products.len() as u32;
        let places: &RawArray = row.get_array("places").map_err(|error| damaged("search", error))?;
        let mut is_any = false;
        for (list, place) in self.places.iter_mut().zip(places) {
            let place = place.map_err(|error| damaged("search", error))?;
            let place = place.as_i32().ok_or_else(|| damaged("search", "a place is no number"))?;
            if place != NOWHERE {
                list.push((next, place == IN_NAME));
                is_any = true;
            }
        }
        if is_any {
            self.products.push(entry(row)?);
        }
        Ok(())
    }
}

/// A product, and when it was added, in milliseconds since 1970.
pub(super) fn entry(row: &RawDocument) -> PortResult<(ProductId, i64)> {
    let created_at = row.get_datetime("created_at").map_err(|error| damaged("search", error))?;
    Ok((product(row)?, created_at.timestamp_millis()))
}

fn product(row: &RawDocument) -> PortResult<ProductId> {
    let product = row.get_str("product").map_err(|error| damaged("search", error))?;
    product.parse().map_err(|error| damaged("identifier", error))
}
