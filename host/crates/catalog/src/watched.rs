//! A catalogue that is watched for look-ups that may have left something out.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;

use crate::{
    embedding::Embedding,
    filter::Filter,
    id::{ImageHash, ProductId, TenantId},
    picture::PerceptualHash,
    port::{KnownImage, Neighbour, PortResult},
    retrieval::Catalogue,
    words::Known,
};

/// Asks the real one, and looks at how much it answers: as much as was asked for may not be all that there is. Whoever then
/// asks the same for more of it may still get all.
pub(crate) struct Watched {
    pub(crate) real: Arc<dyn Catalogue>,
    /// Whether all was told, by what was asked.
    told: Mutex<HashMap<u64, bool>>,
    /// Whether words were looked up.
    words: AtomicBool,
}

/// What a look-up asks for, but for how much of it.
fn question(asks: impl Hash, filter: &Filter) -> u64 {
    let mut hasher = DefaultHasher::new();
    asks.hash(&mut hasher);
    format!("{filter:?}").hash(&mut hasher);
    hasher.finish()
}

impl Watched {
    pub(crate) fn new(real: Arc<dyn Catalogue>) -> Self {
        Self { real, told: Mutex::default(), words: AtomicBool::default() }
    }

    /// Whether something was asked for that was only ever answered with as much as was asked for.
    pub(crate) fn was_filled(&self) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).values().any(|all| !all)
    }

    /// Which words of the shop are known without asking.
    pub(crate) fn known(&self) -> Known {
        if self.words.load(Ordering::Relaxed) { Known::Lately } else { Known::Now }
    }

    fn look<T>(&self, question: u64, found: Vec<T>, k: usize) -> Vec<T> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        *told.entry(question).or_default() |= found.len() < k;
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
        let bits = |query: &Embedding| query.as_slice().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let look = |(query, found)| self.look(question(("nearest", bits(query)), filter), found, k);
        Ok(queries.iter().zip(found).map(look).collect())
    }

    async fn keyword(
        &self,
        tenant: &TenantId,
        text: &str,
        filter: &Filter,
        k: usize,
    ) -> PortResult<Vec<(ProductId, f32)>> {
        let found = self.real.keyword(tenant, text, filter, k).await?;
        self.words.store(true, Ordering::Relaxed);
        Ok(self.look(question(("keyword", text), filter), found, k))
    }

    async fn respelled(
        &self,
        tenant: &TenantId,
        text: &str,
        filter: &Filter,
        known: Known,
    ) -> PortResult<Option<String>> {
        self.real.respelled(tenant, text, filter, known).await
    }

    async fn matching(&self, tenant: &TenantId, filter: &Filter, k: usize) -> PortResult<Vec<ProductId>> {
        let found = self.real.matching(tenant, filter, k).await?;
        Ok(self.look(question("matching", filter), found, k))
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
        let found = self.real.near_duplicates(tenant, look, max_distance, k).await?;
        Ok(self.look(question(("like", look.0, max_distance), &Filter::everything()), found, k))
    }
}
