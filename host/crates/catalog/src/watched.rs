//! A catalogue that is watched for look-ups that may have left something out.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;

use crate::{
    embedding::Embedding,
    filter::Filter,
    id::{ImageHash, ProductId, TenantId},
    picture::PerceptualHash,
    port::{KnownImage, Neighbour, PortResult},
    retrieval::Catalogue,
};

/// Asks the real one, and looks at how much it answers: as much as was asked for may not be all that there is.
pub(crate) struct Watched {
    pub(crate) real: Arc<dyn Catalogue>,
    filled: AtomicBool,
}

impl Watched {
    pub(crate) fn new(real: Arc<dyn Catalogue>) -> Self {
        Self { real, filled: AtomicBool::new(false) }
    }

    /// Whether some answer was as long as it could be.
    pub(crate) fn was_filled(&self) -> bool {
        self.filled.load(Ordering::Relaxed)
    }

    fn look<T>(&self, found: Vec<T>, k: usize) -> Vec<T> {
        self.filled.fetch_or(found.len() >= k, Ordering::Relaxed);
        found
    }
}

#[async_trait]
impl Catalogue for Watched {
    async fn nearest(
        &self,
        tenant: &TenantId,
        queries: &[Embedding],
        filter: &Filter,
        k: usize,
    ) -> PortResult<Vec<Vec<Neighbour>>> {
        let found = self.real.nearest(tenant, queries, filter, k).await?;
        Ok(found.into_iter().map(|of_query| self.look(of_query, k)).collect())
    }

    async fn keyword(
        &self,
        tenant: &TenantId,
        text: &str,
        filter: &Filter,
        k: usize,
    ) -> PortResult<Vec<(ProductId, f32)>> {
        Ok(self.look(self.real.keyword(tenant, text, filter, k).await?, k))
    }

    async fn respelled(&self, tenant: &TenantId, text: &str, filter: &Filter) -> PortResult<Option<String>> {
        self.real.respelled(tenant, text, filter).await
    }

    async fn matching(&self, tenant: &TenantId, filter: &Filter, k: usize) -> PortResult<Vec<ProductId>> {
        Ok(self.look(self.real.matching(tenant, filter, k).await?, k))
    }

    async fn image_by_hash(&self, tenant: &TenantId, hash: &ImageHash) -> PortResult<Option<KnownImage>> {
        self.real.image_by_hash(tenant, hash).await
    }

    async fn near_duplicates(
        &self,
        tenant: &TenantId,
        look: PerceptualHash,
        max_distance: u32,
        k: usize,
    ) -> PortResult<Vec<KnownImage>> {
        Ok(self.look(self.real.near_duplicates(tenant, look, max_distance, k).await?, k))
    }
}
