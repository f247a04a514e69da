//! The vectors of one space, searched by Atlas Vector Search.
//!
//! Not run against Atlas here: see [`crate::atlas`].

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use mongodb::{
    Collection,
    bson::{Binary, Bson, Document, binary::Vector, doc},
};
use taja_catalog::{
    Embedding, ImageHash, PortResult, ProductId, Space, TenantId,
    port::{Neighbour, VectorIndex, VectorRow},
};

use super::ensure;
use crate::{
    collections::Collections,
    deadline::{READ, within},
    document::{amount, hash, id},
    error::mongo,
};

/// Most neighbours a query may ask for, and most candidates Atlas looks at.
const MOST: usize = 10_000;
/// Candidates per neighbour wanted: what Atlas' documentation recommends for a good recall.
const CANDIDATES: usize = 20;
/// Products that are named to Atlas; of a longer list the host picks from more neighbours.
const NAMED: usize = 500;
/// How many times more neighbours are asked for when the host picks.
const OVERSAMPLING: usize = 10;
/// Queries that are on their way at once.
const AT_ONCE: usize = 4;

/// A [`VectorIndex`] that asks Atlas. The store's own commits are what it holds: there is nothing to insert, and Atlas
/// shows a new vector some seconds later.
#[derive(Debug)]
pub struct AtlasIndex {
    vectors: Collection<Document>,
    space: Space,
    len: AtomicUsize,
    told: RwLock<HashMap<TenantId, u64>>,
}

impl AtlasIndex {
    /// The index of a space; none while the server has no vector search or builds the index.
    pub(crate) async fn open(collections: &Collections, space: &Space) -> PortResult<Option<Self>> {
        let vectors = collections.vectors.clone();
        if !ensure(&collections.database, vectors.name(), index(space.dimension)).await? {
            return Ok(None);
        }
        let held = vectors.count_documents(doc! { "space": &space.id }).await.map_err(mongo)?;
        let len = AtomicUsize::new(usize::try_from(held).unwrap_or(usize::MAX));
        Ok(Some(Self { vectors, space: space.clone(), len, told: RwLock::default() }))
    }

    async fn ask(
        &self,
        tenant: &TenantId,
        query: &Embedding,
        among: Option<&HashSet<ProductId>>,
        k: usize,
    ) -> PortResult<Vec<Neighbour>> {
        let Some(pipeline) = pipeline(&self.space, tenant, query, among, k) else { return Ok(Vec::new()) };
        let mut cursor = self.vectors.aggregate(pipeline).await.map_err(mongo)?;
        let mut nearest = Vec::new();
        while let Some(document) = cursor.try_next().await.map_err(mongo)? {
            let neighbour = neighbour(&document)?;
            if among.is_none_or(|among| among.contains(&neighbour.product)) {
                nearest.push(neighbour);
            }
        }
        nearest.truncate(k);
        Ok(nearest)
    }

    fn tell(&self, tenant: &TenantId, next: impl FnOnce(u64) -> u64) {
        let mut told = self.told.write().unwrap_or_else(PoisonError::into_inner);
        let version = told.entry(tenant.clone()).or_default();
        *version = next(*version);
    }
}

/// The index's name: one index holds every space of a dimension.
fn index_name(dimension: usize) -> String {
    format!("taja_vectors_{dimension}")
}

/// The index: its name, its kind, and what it holds of a vector's document.
fn index(dimension: usize) -> Document {
    let dimensions = i64::try_from(dimension).unwrap_or(i64::MAX);
    let vector =
        doc! { "type": "vector", "path": "vector", "numDimensions": dimensions, "similarity": "cosine" };
    let filter = |path: &str| doc! { "type": "filter", "path": path };
    let fields = [vector, filter("space"), filter("tenant"), filter("product")];
    doc! {
        "name": index_name(dimension),
        "type": "vectorSearch",
        "definition": { "fields": fields.to_vec() },
    }
}

/// The pipeline that finds the vectors nearest to a query; none when nothing can be found.
fn pipeline(
    space: &Space,
    tenant: &TenantId,
    query: &Embedding,
    among: Option<&HashSet<ProductId>>,
    k: usize,
) -> Option<Vec<Document>> {
    let mut filter = doc! { "space": &space.id, "tenant": tenant.as_str() };
    let limit = match among {
        Some(among) if among.is_empty() => 0,
        Some(among) if among.len() <= NAMED => {
            let mut ids: Vec<_> = among.iter().map(ProductId::as_str).collect();
            ids.sort_unstable();
            filter.insert("product", doc! { "$in": ids });
            k
        }
        Some(_) => k.saturating_mul(OVERSAMPLING),
        None => k,
    };
    let limit = limit.min(MOST);
    let candidates = limit.saturating_mul(CANDIDATES).clamp(1, MOST);
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let search = doc! {
        "index": index_name(space.dimension),
        "path": "vector",
        "queryVector": Binary::from(Vector::Float32(query.as_slice().to_vec())),
        "numCandidates": number(candidates),
        "limit": number(limit),
        "filter": filter,
    };
    let wanted = doc! { "_id": 0, "product": 1, "image": 1, "score": { "$meta": "vectorSearchScore" } };
    (limit > 0).then(|| vec![doc! { "$vectorSearch": search }, doc! { "$project": wanted }])
}

/// Atlas' score of a cosine is half of one more than it.
fn neighbour(document: &Document) -> PortResult<Neighbour> {
    let score =
        amount(document.get("score").filter(|score| !matches!(score, Bson::Null))).unwrap_or_default();
    Ok(Neighbour {
        product: id(document, "product")?,
        image: hash(document, "image")?,
        score: (2.0 * score - 1.0).clamp(-1.0, 1.0) as f32,
    })
}

#[async_trait]
impl VectorIndex for AtlasIndex {
    async fn nearest(
        &self,
        tenant: &TenantId,
        queries: &[Embedding],
        among: Option<Arc<HashSet<ProductId>>>,
        k: usize,
    ) -> PortResult<Vec<Vec<Neighbour>>> {
        let asked: Vec<_> =
            queries.iter().map(|query| self.ask(tenant, query, among.as_deref(), k)).collect();
        within(READ, "nearest", stream::iter(asked).buffered(AT_ONCE).try_collect()).await
    }

    async fn insert(&self, rows: Vec<VectorRow>) -> PortResult<()> {
        self.len.fetch_add(rows.len(), Ordering::Relaxed);
        for row in rows {
            self.tell(&row.tenant, |version| version + 1);
        }
        Ok(())
    }

    async fn remove(&self, tenant: &TenantId, _product: &ProductId) -> PortResult<()> {
        self.tell(tenant, |version| version + 1);
        Ok(())
    }

    async fn remove_images(&self, tenant: &TenantId, _images: &[ImageHash]) -> PortResult<()> {
        self.tell(tenant, |version| version + 1);
        Ok(())
    }

    async fn reach(&self, tenant: &TenantId, version: u64) {
        self.tell(tenant, |told| told.max(version));
    }

    fn revision(&self, tenant: &TenantId) -> u64 {
        let told = self.told.read().unwrap_or_else(PoisonError::into_inner);
        told.get(tenant).copied().unwrap_or_default()
    }

    fn method(&self) -> &'static str {
        "atlas"
    }

    fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    fn memory_bytes(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::assert_golden;

    fn asked(among: Option<&HashSet<ProductId>>, k: usize) -> Option<Vec<Document>> {
        let space = Space { id: "test@0".into(), model: "test".into(), dimension: 2 };
        let query = Embedding::normalised(vec![3.0, 4.0], 2).unwrap();
        pipeline(&space, &"shop".parse().unwrap(), &query, among, k)
    }

    fn products(count: usize) -> HashSet<ProductId> {
        (0..count).map(|n| format!("p{n}").parse().unwrap()).collect()
    }

    #[test]
    fn the_index_is_as_it_was_written_down() {
        assert_golden("vector_index", &[index(512)]);
    }

    #[test]
    fn a_search_is_as_it_was_written_down() {
        assert_golden("vectors_of_all", &asked(None, 10).unwrap());
        assert_golden("vectors_among_few", &asked(Some(&products(2)), 10).unwrap());
        assert_golden("vectors_among_many", &asked(Some(&products(NAMED + 1)), 10).unwrap());
    }

    #[test]
    fn nothing_is_asked_when_nothing_can_be_found_and_never_too_much() {
        assert_eq!(asked(None, 0), None);
        assert_eq!(asked(Some(&HashSet::new()), 10), None);
        let most = asked(None, usize::MAX).unwrap();
        let search = most[0].get_document("$vectorSearch").unwrap();
        assert_eq!(search.get_i64("limit").unwrap(), MOST as i64);
        assert_eq!(search.get_i64("numCandidates").unwrap(), MOST as i64);
    }

    #[test]
    fn a_score_becomes_a_cosine() {
        let image = crate::document::binary(&taja_catalog::ImageHash::of(b"a"));
        let found = |score: f64| neighbour(&doc! { "product": "p", "image": image.clone(), "score": score });
        assert_eq!(found(1.0).unwrap().score, 1.0);
        assert_eq!(found(0.5).unwrap().score, 0.0);
        assert_eq!(found(0.0).unwrap().score, -1.0);
    }
}
