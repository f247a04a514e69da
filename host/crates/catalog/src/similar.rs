//! The use case that finds what looks like a product: by the vectors that its pictures have already.

mod pictures;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    embedding::Space,
    filter::Filter,
    id::{ImageHash, ProductId, TenantId},
    port::{PortResult, Store, VectorIndex},
    recording::exact,
};

pub use pictures::{Resemblance, Resembling};

/// Pictures of the product that are looked for, at most: the first ones show it.
const MAX_IMAGES: usize = 16;
/// Products that a filter may leave.
const MAX_FILTERED: usize = 5_000_000;

/// What the use case acts through.
#[derive(Clone)]
pub struct Similar {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// What is derived from it.
    pub index: Arc<dyn VectorIndex>,
    /// The space of the index.
    pub space: Space,
}

/// A product that looks like another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alike {
    /// The product.
    pub product: ProductId,
    /// Its picture that comes nearest to any of the other's.
    pub image: ImageHash,
    /// Their cosine.
    #[serde(with = "exact")]
    pub score: f32,
}

impl Similar {
    /// The products nearest to one, by their nearest pictures, best first and without itself. None when there is no such
    /// product; nobody is like one without a picture.
    pub async fn run(
        &self,
        tenant: &TenantId,
        product: &ProductId,
        filter: &Filter,
        limit: usize,
    ) -> PortResult<Option<Vec<Alike>>> {
        let version = self.store.version(tenant).await?;
        let Some(stored) = self.store.product(tenant, product).await? else { return Ok(None) };
        self.index.reach(tenant, version).await;
        let shown: HashSet<_> = stored.images.iter().take(MAX_IMAGES).map(|image| image.hash).collect();
        let mut vectors = self.store.vectors_of(tenant, product, &self.space).await?;
        vectors.retain(|row| shown.contains(&row.image));
        if vectors.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let among = if filter.is_everything() {
            None
        } else {
            let ids = self.store.matching(tenant, filter, MAX_FILTERED).await?;
            Some(Arc::new(ids.into_iter().collect()))
        };
        let queries: Vec<_> = vectors.into_iter().map(|row| row.embedding).collect();
        // It takes one place itself.
        let found = self.index.nearest_products(tenant, &queries, among, limit.saturating_add(1)).await?;
        let mut best: HashMap<ProductId, Alike> = HashMap::new();
        for near in found.into_iter().flatten().filter(|near| near.product != *product) {
            let alike = Alike { product: near.product, image: near.image, score: near.score };
            let known = best.entry(alike.product.clone()).or_insert_with(|| alike.clone());
            if alike.score > known.score {
                *known = alike;
            }
        }
        let mut best: Vec<_> = best.into_values().collect();
        best.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.product.cmp(&b.product)));
        best.truncate(limit);
        Ok(Some(best))
    }
}

#[cfg(test)]
mod tests;
