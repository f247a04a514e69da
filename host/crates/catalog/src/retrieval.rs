//! The read-only view of one shop's products that a policy looks through.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use async_trait::async_trait;

use crate::{
    embedding::{Embedding, Space},
    filter::Filter,
    id::{ImageHash, ProductId, TenantId},
    picture::PerceptualHash,
    port::{KnownImage, Neighbour, PortResult, Store, VectorIndex, VectorRow},
    product::Product,
    words::{Known, Vocabularies, WordRules, WordSettings},
};

/// Most products a filter may leave for the vector leg; a filter that passes more is as good as none for recall,
/// but must still be exact, so the bound is the size of a catalogue that one process holds.
const MAX_FILTERED: usize = 5_000_000;

/// What a policy may look up. The tenant is part of every call.
#[async_trait]
pub trait Catalogue: Send + Sync {
    /// The `k` nearest images for every query, best first.
    async fn nearest(
        &self,
        tenant: &TenantId,
        queries: &[Embedding],
        filter: &Filter,
        k: usize,
    ) -> PortResult<Vec<Vec<Neighbour>>>;
    /// Products by words, best first.
    async fn keyword(
        &self,
        tenant: &TenantId,
        text: &str,
        filter: &Filter,
        k: usize,
    ) -> PortResult<Vec<(ProductId, f32)>>;
    /// A text with the words that the shop does not have written like ones that it has, when that finds a product.
    async fn respelled(
        &self,
        _tenant: &TenantId,
        _text: &str,
        _filter: &Filter,
        _known: Known,
    ) -> PortResult<Option<String>> {
        Ok(None)
    }
    /// Products that pass a filter, newest first.
    async fn matching(&self, tenant: &TenantId, filter: &Filter, k: usize) -> PortResult<Vec<ProductId>>;
    /// The image with these very bytes.
    async fn image_by_hash(&self, tenant: &TenantId, hash: &ImageHash) -> PortResult<Option<KnownImage>>;
    /// Images that look alike, nearest first.
    async fn near_duplicates(
        &self,
        tenant: &TenantId,
        look: PerceptualHash,
        max_distance: u32,
        k: usize,
    ) -> PortResult<Vec<KnownImage>>;
}

/// Vectors read from a store at once: some megabytes.
const FILL_PAGE: usize = 1000;

/// A product's pictures in display order, with their looks, and with their vectors where they have one in the space.
pub async fn looks(
    store: &dyn Store,
    space: &Space,
    product: &Product,
) -> PortResult<Vec<(ImageHash, (PerceptualHash, Option<Embedding>))>> {
    let rows = store.vectors_of(&product.tenant, &product.id, space).await?;
    let mut vectors: HashMap<_, _> = rows.into_iter().map(|row| (row.image, row.embedding)).collect();
    let images = product.images.iter();
    Ok(images.map(|image| (image.hash, (image.perceptual, vectors.remove(&image.hash)))).collect())
}

/// Reads every stored vector of a space into an index.
pub async fn fill(store: &dyn Store, index: &dyn VectorIndex, space: &Space) -> PortResult<()> {
    let mut after = None;
    loop {
        let page = store.vectors(space, after.as_ref(), FILL_PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(last.clone());
        index.insert(page.into_iter().map(|(_, row)| row).collect()).await?;
    }
}

/// Tells an index of vectors that a store was given. A picture that went while it was told stays in no index: whoever
/// takes it from the store tells the index afterwards, and this looks afterwards whether it is there.
pub(crate) async fn add(store: &dyn Store, index: &dyn VectorIndex, rows: Vec<VectorRow>) -> PortResult<()> {
    let pictures: Vec<_> = rows.iter().map(|row| (row.tenant.clone(), row.image)).collect();
    index.insert(rows).await?;
    for (tenant, image) in pictures {
        if store.image(&tenant, &image).await?.is_none() {
            index.remove_images(&tenant, &[image]).await?;
        }
    }
    Ok(())
}

/// The catalogue of a store and the index derived from it.
pub struct Retrieval {
    store: Arc<dyn Store>,
    index: Arc<dyn VectorIndex>,
    vocabularies: Arc<Vocabularies>,
    rules: Arc<dyn WordRules>,
}

impl Retrieval {
    /// A view on both, that understands every shop's words in the same way.
    pub fn new(store: Arc<dyn Store>, index: Arc<dyn VectorIndex>) -> Self {
        let rules = Arc::new(WordSettings::default());
        Self { store, index, vocabularies: Arc::default(), rules }
    }

    /// The same view, that understands each shop's words as the shop wants.
    #[must_use]
    pub fn with_words(self, vocabularies: Arc<Vocabularies>, rules: Arc<dyn WordRules>) -> Self {
        Self { vocabularies, rules, ..self }
    }

    async fn among(&self, tenant: &TenantId, filter: &Filter) -> PortResult<Option<Arc<HashSet<ProductId>>>> {
        if filter.is_everything() {
            return Ok(None);
        }
        let ids = self.store.matching(tenant, filter, MAX_FILTERED).await?;
        Ok(Some(Arc::new(ids.into_iter().collect())))
    }
}

#[async_trait]
impl Catalogue for Retrieval {
    async fn nearest(
        &self,
        tenant: &TenantId,
        queries: &[Embedding],
        filter: &Filter,
        k: usize,
    ) -> PortResult<Vec<Vec<Neighbour>>> {
        let among = self.among(tenant, filter).await?;
        self.index.nearest(tenant, queries, among, k).await
    }

    async fn keyword(
        &self,
        tenant: &TenantId,
        text: &str,
        filter: &Filter,
        k: usize,
    ) -> PortResult<Vec<(ProductId, f32)>> {
        let rules = self.rules.of(tenant).await?;
        let wanted = self.vocabularies.wanted(self.store.as_ref(), tenant, &rules, text).await?;
        self.store.keyword(tenant, &wanted, filter, k).await
    }

    async fn respelled(
        &self,
        tenant: &TenantId,
        text: &str,
        filter: &Filter,
        known: Known,
    ) -> PortResult<Option<String>> {
        let rules = self.rules.of(tenant).await?;
        let respelled = self.vocabularies.respelled(self.store.as_ref(), tenant, &rules, text, known).await?;
        let Some(respelled) = respelled else { return Ok(None) };
        let found = self.keyword(tenant, &respelled, filter, 1).await?;
        Ok((!found.is_empty()).then_some(respelled))
    }

    async fn matching(&self, tenant: &TenantId, filter: &Filter, k: usize) -> PortResult<Vec<ProductId>> {
        self.store.matching(tenant, filter, k).await
    }

    async fn image_by_hash(&self, tenant: &TenantId, hash: &ImageHash) -> PortResult<Option<KnownImage>> {
        self.store.image(tenant, hash).await
    }

    async fn near_duplicates(
        &self,
        tenant: &TenantId,
        look: PerceptualHash,
        max_distance: u32,
        k: usize,
    ) -> PortResult<Vec<KnownImage>> {
        self.store.images_like(tenant, look, max_distance, k).await
    }
}
